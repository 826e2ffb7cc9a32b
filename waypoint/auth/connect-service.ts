// A byte stream from this waypoint to a service of the mesh, on its own behalf: to authorization services and to issuers of
// keys. Built by app.ts for the guard.

import { parseIp } from '../../mesh/address.ts';
import { MeshError } from '../../mesh/failures.ts';
import { hopTo } from '../../mesh/next-hop.ts';
import { backendOf, type PickParts, pickTarget } from '../pick.ts';
import type { Dialer } from '../upstream/dial.ts';
import type { ConnectToService } from './external-authorization.ts';

/** @throws HttpFailure BACKEND_INVALID, MeshError */
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
    const authority = { kind: 'address', ip: vip ?? parseIp('0.0.0.0'), port } as const;
    const target = pickTarget(backend, authority, pick);
    const [ip] = pick.self()?.addresses ?? [];
    if (ip === undefined) {
      throw new MeshError('SOURCE_UNKNOWN', 'This waypoint is not known to the mesh yet');
    }
    const hop = hopTo(target.workload, target.to, target.service);
    const { bytes } = await dialer.open(hop, { from: { ip, port: 0 } }, signal);
    return bytes;
  };
}
