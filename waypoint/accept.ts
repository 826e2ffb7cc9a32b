// A stream of a peer's tunnel comes to the waypoint: what it asks for, who asks, which protocol it speaks; from there on
// its requests are serve.ts's, or its bytes opaque.ts's. Called by app.ts for each CONNECT.

import { FAILURES, failureCodeOf, MeshError } from '../mesh/failures.ts';
import { sameIdentity } from '../mesh/identity.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import { type Workload, workloadIdentity } from '../mesh/workload.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { TunnelFields, TunnelRequest, TunnelStream } from '../tunnel/tunnel.ts';
import { readAuthority } from '../wire/authority.ts';
import { askedOf } from './asked.ts';
import { detect, type Spoken } from './http/detect.ts';
import type { Http1Server } from './http/http1-server.ts';
import type { Http2Server } from './http/http2-server.ts';
import { StreamSocket } from './http/stream-socket.ts';
import type { Inbound } from './inbound.ts';
import type { RouteTables } from './routing/tables.ts';
import type { ConnectionTrace } from './telemetry/request-spans.ts';

export type AcceptSteps = {
  readonly clock: Clock;
  /** A head may take so long, where requests are due. */
  readonly headTimeoutMs: number;
  readonly log: Log;
  readonly snapshot: () => Snapshot;
  /** This replica; undefined while the mesh does not know it yet. */
  readonly self: () => Workload | undefined;
  readonly connectionTrace: (fields: TunnelFields) => ConnectionTrace;
  readonly tables: Pick<RouteTables, 'tableFor'>;
  readonly http1: Pick<Http1Server, 'take'>;
  readonly http2: Pick<Http2Server, 'take'>;
  readonly opaque: (stream: TunnelStream, inbound: Inbound) => void;
};

export async function acceptStream(request: TunnelRequest, steps: AcceptSteps): Promise<void> {
  let inbound: Inbound;
  let stream: TunnelStream;
  try {
    inbound = inboundOf(request, steps);
    stream = request.accept({});
  } catch (error) {
    steps.log.warn('Refused a connection', { from: request.remote.ip, error });
    request.refuse(FAILURES[failureCodeOf(error)].status ?? 503);
    return;
  }
  const carries = carriedOn(inbound, steps);
  const spoken = carries === 'bytes' ? 'opaque' : await spokenIn(stream, carries, steps);
  if (stream.bytes.destroyed) return;
  switch (spoken) {
    case 'http1':
      steps.http1.take(new StreamSocket(stream, inbound.remote), inbound);
      return;
    case 'http2':
      steps.http2.take(new StreamSocket(stream, inbound.remote), inbound);
      return;
    case 'opaque':
      steps.opaque(stream, inbound);
  }
}

/** What a port or its routes say; HTTP's version is seen from its first bytes. */
function carriedOn(
  { asked, source }: Inbound,
  { tables }: AcceptSteps,
): 'bytes' | 'requests' | 'either' {
  const said = asked.kind === 'service' ? asked.port.appProtocol : 'unknown';
  const routed = tables.tableFor(asked, source.identity?.namespace)?.routes[0]?.kind;
  if ([said, routed].some((one) => one === 'tcp' || one === 'tls')) return 'bytes';
  return said === 'unknown' && routed === undefined ? 'either' : 'requests';
}

/** Where requests are due, bytes that are none must not get around what is asked of requests: HTTP/1 refuses them. */
async function spokenIn(
  { bytes }: TunnelStream,
  carries: 'requests' | 'either',
  steps: AcceptSteps,
): Promise<Spoken> {
  if (carries === 'either') return detect(steps, bytes);
  const spoken = await detect(steps, bytes, steps.headTimeoutMs);
  return spoken === 'opaque' ? 'http1' : spoken;
}

function inboundOf(request: TunnelRequest, steps: AcceptSteps): Inbound {
  const { method, authority = '', remote, peer, fields } = request;
  if (method !== 'CONNECT') {
    throw new MeshError('MALFORMED_REQUEST', `Cannot serve ${method}: a tunnel takes CONNECT only`);
  }
  const destination = readAuthority(authority);
  if (destination === undefined) {
    throw new MeshError(
      'MALFORMED_REQUEST',
      `Cannot serve "${authority.slice(0, 100)}": expected host:port`,
    );
  }
  const self = steps.self();
  if (self === undefined) {
    throw new MeshError(
      'SOURCE_UNKNOWN',
      'Cannot serve: this waypoint is not known to the mesh yet',
    );
  }
  const snapshot = steps.snapshot();
  const asked = askedOf(destination, self, snapshot);
  const claimed = snapshot.workloadByIp(self.network, remote.ip);
  const proven = claimed !== undefined && sameIdentity(workloadIdentity(claimed), peer);
  return {
    source: { identity: peer, ip: remote.ip },
    sourceWorkload: proven ? claimed : undefined,
    remote,
    authority: destination,
    asked,
    trace: steps.connectionTrace(fields),
  };
}
