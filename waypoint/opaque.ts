// Bytes that are no HTTP: carried to an endpoint of what was asked for, as a node agent would. Called by accept.ts and by
// ingress/accept-connection.ts.

import { MeshError } from '../mesh/failures.ts';
import { HttpFailure } from '../mesh/http-failures.ts';
import { matchStream } from '../mesh/match-route.ts';
import { hopTo } from '../mesh/next-hop.ts';
import { routeKey } from '../mesh/route.ts';
import { pickBackend } from '../mesh/split.ts';
import type { Log } from '../runtime/log.ts';
import { type Leg, splice } from '../tunnel/splice.ts';
import { destinationOf, nameOf } from './asked.ts';
import type { Destination, Inbound } from './inbound.ts';
import { backendOf, type PickParts, pickTarget } from './pick.ts';
import type { RouteTables } from './tables.ts';
import type { Dialer } from './upstream/dial.ts';
import type { BackendSecurity } from './upstream/secure.ts';

export type OpaqueSteps = {
  readonly log: Log;
  readonly pick: PickParts;
  readonly tables: Pick<RouteTables, 'tableFor'>;
  readonly random: () => number;
  readonly dialer: Pick<Dialer, 'open'>;
  readonly security: BackendSecurity;
};

export async function carryBytes(stream: Leg, inbound: Inbound, steps: OpaqueSteps): Promise<void> {
  const gone = new AbortController();
  stream.bytes.once('close', () =>
    gone.abort(new MeshError('UPSTREAM_RESET', 'The client has gone')),
  );
  try {
    const backend = backendFor(inbound, steps);
    const target = pickTarget(backend, inbound.authority, steps.pick);
    const { workload, to, service, servicePort } = target;
    const announced = { from: inbound.remote, traceparent: inbound.traceparent };
    const plain = await steps.dialer.open(hopTo(workload, to, service), announced, gone.signal);
    const tls = endsHere(inbound) ? steps.security.tlsFor(service, servicePort) : undefined;
    const leg =
      tls === undefined ? plain : await steps.security.secure(plain, to, tls, [], gone.signal);
    await splice(stream, leg, { sent: 0, received: 0 });
  } catch (error) {
    steps.log.warn('Cannot carry a connection', { to: nameOf(inbound.asked), error });
    stream.reset();
  }
}

/** Bytes that a client has put in TLS for the backend itself, or for nobody we know of, go on as they are. */
function endsHere({ asked }: Inbound): boolean {
  return asked.kind === 'listener' && !asked.passthrough;
}

/** By a TCPRoute or TLSRoute, where there is one; routes for requests say nothing of bytes. @throws HttpFailure */
function backendFor(
  { asked, source }: Inbound,
  { tables, pick, random }: OpaqueSteps,
): Destination {
  const serverName = asked.kind === 'listener' ? (asked.serverName ?? '') : '';
  const table = tables.tableFor(asked, source.identity?.namespace, serverName);
  const matched = table === undefined ? undefined : matchStream(table, serverName);
  if (matched === undefined) return destinationOf(asked);
  // what stands in for a route that could not be read
  if (matched.rule.filters.some(({ kind }) => kind === 'broken')) {
    throw new HttpFailure('FILTER_BROKEN', `Route ${routeKey(matched.route)} cannot be applied`);
  }
  const backend = pickBackend(matched.rule.backends, random);
  if (backend !== undefined) return backendOf(backend.target, pick);
  throw new HttpFailure('NO_BACKEND', `No backend of ${routeKey(matched.route)} has a weight`);
}
