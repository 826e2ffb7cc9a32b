// A byte stream from this waypoint to a service of the mesh, on its own behalf: to authorization services, issuers of keys,
// and the Redis of rate limits. Built by app.ts. The way is balanced and secured like that of any request.

import type { Duplex } from 'node:stream';
import { parseIp } from '../../mesh/address.ts';
import { MeshError } from '../../mesh/failures.ts';
import { hopTo } from '../../mesh/next-hop.ts';
import { DEFAULT_TRAFFIC_POLICY } from '../../mesh/traffic-defaults.ts';
import { StreamSocket } from '../http/stream-socket.ts';
import { backendOf, type PickParts, Way } from '../pick.ts';
import type { Dialer } from './dial.ts';

/** `service`: `namespace/hostname`. @throws HttpFailure BACKEND_INVALID, MeshError, the signal's reason */
export type ConnectToService = (
  to: { readonly service: string; readonly port: number },
  signal?: AbortSignal,
) => Promise<Duplex>;

export function serviceConnector({
  pick,
  dialer,
}: {
  readonly pick: PickParts;
  readonly dialer: Pick<Dialer, 'open'>;
}): ConnectToService {
  return async ({ service, port }, signal) => {
    const backend = backendOf({ kind: 'service', service, port, subset: undefined }, pick);
    const vip = backend.kind === 'service' ? backend.service.vips[0]?.ip : undefined;
    const [ip] = pick.self()?.addresses ?? [];
    if (ip === undefined) {
      throw new MeshError('SOURCE_UNKNOWN', 'This waypoint is not known to the mesh yet');
    }
    const client = {
      authority: { kind: 'address', ip: vip ?? parseIp('0.0.0.0'), port },
      source: { identity: undefined, ip },
    } as const;
    const way = new Way(backend, client, DEFAULT_TRAFFIC_POLICY.loadBalancing, pick);
    const target = way.next(undefined);
    const hop = hopTo(target.workload, target.to, target.service);
    const leg = await dialer.open(hop, { from: { ip, port: 0 } }, signal);
    return new StreamSocket(leg, target.to);
  };
}
