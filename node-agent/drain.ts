// The end of an agent's work: its pods' doors close, what is open may finish until the deadline, and the rest is cut, each
// with its line in the access log. Called by app.ts when it stops.

import { MeshError } from '../mesh/failures.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { TunnelPool } from '../tunnel/pool.ts';
import type { Connections } from './connections.ts';
import type { Dns } from './dns/dns.ts';
import type { Enrolments } from './enrolment.ts';
import type { Trails } from './trail.ts';

/** Sockets that were reset end within one turn; nothing that hangs may hold up the end. */
const CUT_GRACE_MS = 1000;

type Parts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly connections: Connections;
  readonly enrolments: Enrolments;
  readonly pool: TunnelPool;
  readonly trails: Trails;
  readonly dns: Dns | undefined;
};

/** Resolves when nothing is open any more, with how many connections were cut. */
export async function drain(parts: Parts, deadlineMs: number): Promise<number> {
  const { clock, log, connections, enrolments, pool } = parts;
  const deadline = new AbortController();
  const timer = clock.timer(deadlineMs, () => deadline.abort());
  log.info('Draining', { connections: connections.count(), tunnels: pool.tunnels, deadlineMs });
  const drained = enrolments.drain();
  const idle = await connections.idle(undefined, deadline.signal);
  timer.cancel();
  const cut = connections.count();
  if (!idle) log.warn('Cutting open connections: the drain deadline is over', { cut });
  connections.cutAll(
    new MeshError('DRAIN_DEADLINE', 'The connection was cut: the node agent stopped'),
  );
  parts.dns?.close();
  await Promise.all([enrolments.close(), pool.close()]);
  // each cut one has its line, before the process ends
  await Promise.race([parts.trails.allEnded(), clock.sleep(CUT_GRACE_MS)]);
  await drained;
  return cut;
}
