// Which endpoint gets a request or a connection: one of the backend's, by the rules all of the mesh balances by. Called by
// forward.ts for each try, and by opaque.ts.

import { type Authority, type IpAddress, isIpv6, parseIp } from '../mesh/address.ts';
import { type Balance, pickEndpoint } from '../mesh/balance.ts';
import { MeshError } from '../mesh/failures.ts';
import { HttpFailure } from '../mesh/http-failures.ts';
import type { BackendTarget } from '../mesh/route.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import type { Destination } from './inbound.ts';
import type { Target } from './upstream/endpoints.ts';

export type PickParts = {
  readonly snapshot: () => Snapshot;
  readonly self: () => Workload | undefined;
  readonly balance: Balance;
};

/**
 * `asked` is the backend; `exclude` are workloads that were tried before, by uid.
 * @throws MeshError NO_HEALTHY_ENDPOINT, SOURCE_UNKNOWN, GATEWAY_UNAVAILABLE
 */
export function pickTarget(
  asked: Destination,
  authority: Authority,
  parts: PickParts,
  exclude?: ReadonlySet<string>,
): Target {
  if (asked.kind === 'workload') {
    const [first] = asked.workload.addresses;
    const ip = authority.kind === 'address' ? authority.ip : first;
    if (ip === undefined) {
      throw new MeshError('NO_HEALTHY_ENDPOINT', `${asked.workload.uid} has no address`);
    }
    return {
      workload: asked.workload,
      to: { ip, port: asked.port },
      service: undefined,
      servicePort: undefined,
    };
  }
  const source = parts.self();
  if (source === undefined) {
    throw new MeshError('SOURCE_UNKNOWN', 'This waypoint is not known to the mesh yet');
  }
  const { service, port } = asked;
  const destination = authority.kind === 'address' ? authority.ip : familyOf(service.vips[0]?.ip);
  const balance = exclude === undefined ? parts.balance : { ...parts.balance, exclude };
  const endpoint = pickEndpoint({ source, service, port, destination }, parts.snapshot(), balance);
  const { reach, workload } = endpoint;
  if (reach.by === 'address')
    return {
      workload,
      to: { ip: reach.ip, port: endpoint.port },
      service,
      servicePort: port.servicePort,
    };
  throw new MeshError(
    'GATEWAY_UNAVAILABLE',
    `Cannot reach ${workload.uid} from a waypoint: it has no address on this network`,
  );
}

/** What a route's backend stands for. @throws HttpFailure BACKEND_INVALID */
export function backendOf(target: BackendTarget, { snapshot }: PickParts): Destination {
  if (target.kind === 'invalid') throw new HttpFailure('BACKEND_INVALID', target.why);
  if (target.subset !== undefined) {
    throw new HttpFailure(
      'BACKEND_INVALID',
      `No subset ${target.subset} of ${target.service} is known`,
    );
  }
  const service = snapshot().serviceByKey(target.service);
  const port = service?.ports.find(({ servicePort }) => servicePort === target.port);
  if (service !== undefined && port !== undefined) return { kind: 'service', service, port };
  throw new HttpFailure(
    'BACKEND_INVALID',
    `Service ${target.service} with port ${target.port} is not known`,
  );
}

/** Which family is preferred when a name was asked for. */
function familyOf(ip: IpAddress | undefined): IpAddress {
  return parseIp(ip !== undefined && isIpv6(ip) ? '::' : '0.0.0.0');
}
