// The way from this waypoint to an endpoint: a stream of a pooled tunnel to those in the mesh, plain TCP to others. Called
// by endpoints.ts and opaque.ts with a hop that was decided upon.

import { randomFillSync } from 'node:crypto';
import { formatIpPort, type IpPort } from '../../mesh/address.ts';
import { MeshError } from '../../mesh/failures.ts';
import type { Identity } from '../../mesh/identity.ts';
import type { Hop } from '../../mesh/next-hop.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import type { Workload } from '../../mesh/workload.ts';
import type { Clock } from '../../runtime/clock.ts';
import { connectTunnel } from '../../tunnel/connect.ts';
import type { Credentials } from '../../tunnel/contexts.ts';
import { type TunnelKey, TunnelPool } from '../../tunnel/pool.ts';
import { dial } from '../../tunnel/socket.ts';
import type { Leg } from '../../tunnel/splice.ts';
import { formatBaggage } from '../../wire/baggage.ts';
import { formatForwarded } from '../../wire/forwarded.ts';
import { formatTraceparent, newTrace } from '../../wire/trace-context.ts';

const TRACE_BYTES = 24;

export type DialerParts = {
  readonly clock: Clock;
  readonly credentials: () => Promise<Credentials>;
  readonly identity: Identity;
  readonly snapshot: () => Snapshot;
  /** The waypoint itself; undefined while the mesh does not know it yet. */
  readonly self: () => Workload | undefined;
};

/** What the endpoint's agent hears of the client; of a connection that serves many, of the first. */
export type Announced = { readonly from: IpPort; readonly traceparent?: string | undefined };

export class Dialer {
  readonly #parts: DialerParts;
  readonly pool: TunnelPool;

  constructor(parts: DialerParts) {
    this.#parts = parts;
    this.pool = new TunnelPool({
      clock: parts.clock,
      dial: (key, signal) => this.#tunnel(key, signal),
      isCurrent: (key) => isCurrent(key, parts.snapshot()),
    });
  }

  /** @throws MeshError */
  async open(hop: Hop, announced: Announced, signal?: AbortSignal): Promise<Leg> {
    const { clock, self, identity } = this.#parts;
    switch (hop.via) {
      case 'tcp': {
        const socket = await dial({ clock }, { to: hop.to }, signal);
        return {
          bytes: socket,
          reset: () => {
            // while its own end is under way the kernel takes no reset, and Node would keep the descriptor
            if (socket.writableEnded) socket.destroy();
            else if (!socket.destroyed) socket.resetAndDestroy();
          },
        };
      }
      case 'tunnel': {
        const source = self();
        const [sourceIp] = source?.addresses ?? [];
        if (source === undefined || sourceIp === undefined) {
          throw new MeshError(
            'SOURCE_UNKNOWN',
            'Cannot open a tunnel: this waypoint is not known to the mesh yet',
          );
        }
        const key: TunnelKey = {
          owner: source.uid,
          source: identity,
          sourceIp,
          expected: hop.expected,
          destination: hop.to,
          workload: hop.workload.uid,
        };
        const fields = {
          ...baggageFields(source),
          forwarded: formatForwarded(announced.from, hop.service?.hostname),
          traceparent:
            announced.traceparent ??
            formatTraceparent(newTrace(randomFillSync(Buffer.alloc(TRACE_BYTES)), false)),
        };
        return this.pool.open(key, { authority: hop.authority, fields }, signal);
      }
      case 'gateway':
      case 'lookup':
        throw new MeshError(
          'GATEWAY_UNAVAILABLE',
          `Cannot reach ${hop.workload.uid} from a waypoint: ${hop.via === 'gateway' ? 'it is on another network' : 'it has a DNS name only'}`,
        );
    }
  }

  async #tunnel({ destination, expected }: TunnelKey, signal: AbortSignal) {
    const { clock, credentials } = this.#parts;
    const name = formatIpPort(destination);
    const [own, socket] = await Promise.all([
      credentials(),
      dial({ clock }, { to: destination }, signal),
    ]);
    return connectTunnel({ clock, credentials: own }, socket, { name, expected }, signal);
  }
}

function isCurrent({ workload: uid, destination }: TunnelKey, snapshot: Snapshot): boolean {
  if (uid === undefined) return true;
  const workload = snapshot.workloadByUid(uid);
  if (workload === undefined || !workload.addresses.includes(destination.ip)) return false;
  const owner = snapshot.workloadByIp(workload.network, destination.ip);
  return owner === undefined || owner.uid === uid;
}

function baggageFields(workload: Workload): { baggage?: string } {
  const baggage = formatBaggage({
    cluster: workload.cluster,
    namespace: workload.namespace,
    workloadType: workload.workloadType,
    workloadName: workload.workloadName,
    serviceName: workload.canonicalName,
    serviceVersion: workload.canonicalRevision,
    region: workload.locality.region,
    zone: workload.locality.zone,
  });
  return baggage === '' ? {} : { baggage };
}
