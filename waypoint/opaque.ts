// Bytes that are no HTTP: carried to an endpoint of what was asked for, as a node agent would. Called by accept.ts.

import { MeshError } from '../mesh/failures.ts';
import { hopTo } from '../mesh/next-hop.ts';
import type { Log } from '../runtime/log.ts';
import { splice } from '../tunnel/splice.ts';
import type { TunnelStream } from '../tunnel/tunnel.ts';
import { nameOf } from './asked.ts';
import type { Inbound } from './inbound.ts';
import { type PickParts, pickTarget } from './pick.ts';
import type { Dialer } from './upstream/dial.ts';

export type OpaqueSteps = {
  readonly log: Log;
  readonly pick: PickParts;
  readonly dialer: Pick<Dialer, 'open'>;
};

export async function carryBytes(
  stream: TunnelStream,
  inbound: Inbound,
  steps: OpaqueSteps,
): Promise<void> {
  const gone = new AbortController();
  stream.bytes.once('close', () =>
    gone.abort(new MeshError('UPSTREAM_RESET', 'The client has gone')),
  );
  try {
    const { workload, to, service } = pickTarget(inbound.asked, inbound.authority, steps.pick);
    const announced = { from: inbound.remote, traceparent: inbound.traceparent };
    const leg = await steps.dialer.open(hopTo(workload, to, service), announced, gone.signal);
    await splice(stream, leg, { sent: 0, received: 0 });
  } catch (error) {
    steps.log.warn('Cannot carry a connection', { to: nameOf(inbound.asked), error });
    stream.reset();
  }
}
