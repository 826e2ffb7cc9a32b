// What a CONNECT that came to a waypoint asks for: a service or a workload that this waypoint stands before. Called by
// accept.ts. A decision without I/O. Invariant: what has another waypoint, or none, is not served: its policy is not known
// to be enforced here.

import { type Authority, formatIpPort } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import { isReplica, resolveGateway, waypointsOf } from '../mesh/gateway.ts';
import { HttpFailure } from '../mesh/http-failures.ts';
import type { Service } from '../mesh/service.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import { formatAuthority } from '../wire/authority.ts';
import type { Asked, Destination } from './inbound.ts';

/** @throws MeshError DESTINATION_UNKNOWN, DESTINATION_MISMATCH */
export function askedOf(authority: Authority, self: Workload, snapshot: Snapshot): Destination {
  const addressed =
    authority.kind === 'hostname'
      ? snapshot.serviceByHostname(authority.hostname, self.namespace)
      : (snapshot.serviceByVip(self.network, authority.ip, self.namespace) ??
        snapshot.workloadByIp(self.network, authority.ip));
  const name = formatAuthority(authority);
  if (addressed === undefined) {
    throw new MeshError(
      'DESTINATION_UNKNOWN',
      `Cannot serve ${name}: the mesh knows nothing there`,
    );
  }
  if (!isServedBy(self, addressed, snapshot)) {
    throw new MeshError(
      'DESTINATION_MISMATCH',
      `Cannot serve ${name}: ${self.namespace}/${self.workloadName} is no waypoint of it`,
    );
  }
  if (!('vips' in addressed)) {
    return { kind: 'workload', workload: addressed, port: authority.port };
  }
  const port = addressed.ports.find(({ servicePort }) => servicePort === authority.port);
  if (port !== undefined) return { kind: 'service', service: addressed, port };
  throw new MeshError(
    'DESTINATION_UNKNOWN',
    `Cannot serve ${name}: service ${addressed.hostname} has no port ${authority.port}`,
  );
}

function isServedBy(self: Workload, of: Service | Workload, snapshot: Snapshot): boolean {
  return waypointsOf(of).some(({ destination }) =>
    isReplica(resolveGateway(destination, self.namespace, snapshot), self),
  );
}

/** Where it goes when no route says so: a listener stands before nothing. @throws HttpFailure NO_ROUTE */
export function destinationOf(asked: Asked): Destination {
  if (asked.kind !== 'listener') return asked;
  throw new HttpFailure('NO_ROUTE', `No route of ${nameOf(asked)} takes it`);
}

export function nameOf(asked: Asked): string {
  if (asked.kind === 'listener') return `${asked.gateway}:${asked.port}`;
  if (asked.kind === 'service') return `${asked.service.hostname}:${asked.port.servicePort}`;
  const [ip] = asked.workload.addresses;
  return ip === undefined ? asked.workload.uid : formatIpPort({ ip, port: asked.port });
}
