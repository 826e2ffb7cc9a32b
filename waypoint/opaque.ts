// Bytes that are no HTTP: carried to an endpoint of what was asked for, as a node agent would. Called by accept.ts and by
// ingress/accept-connection.ts.

import { MeshError } from '../mesh/failures.ts';
import { HttpFailure } from '../mesh/http-failures.ts';
import { matchStream } from '../mesh/match-route.ts';
import { routeKey } from '../mesh/route.ts';
import { serviceKey } from '../mesh/service.ts';
import { pickBackend } from '../mesh/split.ts';
import { DEFAULT_TRAFFIC_POLICY } from '../mesh/traffic-defaults.ts';
import type { RequestBalancing } from '../mesh/traffic-policy.ts';
import type { Log } from '../runtime/log.ts';
import { type Leg, splice } from '../tunnel/splice.ts';
import { destinationOf, nameOf } from './asked.ts';
import type { Guard } from './auth/guard.ts';
import type { Destination, Inbound } from './inbound.ts';
import { backendOf, type PickParts, Way } from './pick.ts';
import type { RouteTables } from './routing/tables.ts';
import type { Dialer } from './upstream/dial.ts';
import { hopOf, tlsTo } from './upstream/endpoints.ts';
import type { BackendSecurity } from './upstream/secure.ts';

export type OpaqueSteps = {
  readonly log: Log;
  readonly pick: PickParts;
  readonly tables: Pick<RouteTables, 'tableFor'>;
  readonly random: () => number;
  readonly dialer: Pick<Dialer, 'open'>;
  readonly guard: Pick<Guard, 'admitBytes'>;
  readonly security: BackendSecurity;
};

export async function carryBytes(stream: Leg, inbound: Inbound, steps: OpaqueSteps): Promise<void> {
  const gone = new AbortController();
  stream.bytes.once('close', () =>
    gone.abort(new MeshError('UPSTREAM_RESET', 'The client has gone')),
  );
  let leave = (): void => {};
  try {
    leave = steps.guard.admitBytes(inbound, (why) => {
      steps.log.warn('Cut a connection', { to: nameOf(inbound.asked), error: why });
      stream.reset();
    });
    const backend = backendFor(inbound, steps);
    const way = new Way(backend, inbound, balancingOf(backend, steps.pick), steps.pick);
    const target = way.next(undefined);
    const { workload, to } = target;
    const announced = { from: inbound.remote, traceparent: inbound.trace.traceparent };
    const plain = await steps.dialer.open(hopOf(target), announced, gone.signal);
    const tls = endsHere(inbound) ? tlsTo(target, steps.security) : undefined;
    const leg =
      tls === undefined ? plain : await steps.security.secure(plain, to, tls, [], gone.signal);
    const ended = way.upstream?.loads.begin(workload.uid);
    try {
      await splice(stream, leg, { sent: 0, received: 0 });
    } finally {
      ended?.(undefined);
    }
  } catch (error) {
    steps.log.warn('Cannot carry a connection', { to: nameOf(inbound.asked), error });
    stream.reset();
  } finally {
    leave();
  }
}

function balancingOf(backend: Destination, { settings }: PickParts): RequestBalancing {
  if (backend.kind !== 'service') return DEFAULT_TRAFFIC_POLICY.loadBalancing;
  const { service, port } = backend;
  const place = { service: serviceKey(service), port: port.servicePort, route: undefined };
  return settings.of(place).loadBalancing;
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
