// Where an admitted connection goes next: into a tunnel to a peer, or plainly on. Called by outbound.ts. A decision without
// I/O: a plain value, tested as a value.

import { formatIpPort, type IpAddress, type IpPort, isIpv6 } from '../mesh/address.ts';
import { type Balance, pickEndpoint } from '../mesh/balance.ts';
import { MeshError } from '../mesh/failures.ts';
import { type Identity, readIdentity } from '../mesh/identity.ts';
import type { Intent } from '../mesh/intent.ts';
import type { Permit } from '../mesh/permit.ts';
import type { Service } from '../mesh/service.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import { type Workload, workloadIdentity } from '../mesh/workload.ts';
import { TUNNEL_PORT } from './capture/capture.ts';

export type Hop =
  | {
      readonly via: 'tunnel';
      readonly to: IpPort;
      readonly expected: readonly Identity[];
      /** What the CONNECT asks for. */
      readonly authority: string;
      readonly workload: Workload;
      readonly service: Service | undefined;
    }
  | {
      readonly via: 'tcp';
      readonly to: IpPort;
      readonly workload: Workload | undefined;
      readonly service: Service | undefined;
    };

/** @throws MeshError NO_HEALTHY_ENDPOINT, WAYPOINT_UNAVAILABLE */
export function nextHop(
  intent: Permit<Intent>,
  source: Workload,
  snapshot: Snapshot,
  balance: Balance,
): Hop {
  const { destination } = intent;
  switch (intent.kind) {
    case 'passthrough':
      return { via: 'tcp', to: destination, workload: undefined, service: undefined };
    case 'workload':
      return hopTo(intent.workload, destination, undefined);
    case 'service': {
      const { service, port } = intent;
      const wanted = { source, service, port, preferIpv6: isIpv6(destination.ip) };
      const endpoint = pickEndpoint(wanted, snapshot, balance);
      const to = { ip: endpoint.address, port: endpoint.port };
      return hopTo(endpoint.workload, to, service);
    }
    case 'waypoint': {
      const waypoint = pickWaypoint(intent.waypoints, balance, destination);
      const ip = addressLike(waypoint, destination.ip);
      return {
        via: 'tunnel',
        to: { ip, port: intent.port },
        expected: [workloadIdentity(waypoint), ...identitiesIn(intent.subjectAltNames)],
        // the waypoint decides where it ends: it gets what the application asked for
        authority: formatIpPort(destination),
        workload: waypoint,
        service: 'service' in intent.of ? intent.of.service : undefined,
      };
    }
  }
}

function hopTo(workload: Workload, to: IpPort, service: Service | undefined): Hop {
  if (workload.protocol !== 'hbone') return { via: 'tcp', to, workload, service };
  return {
    via: 'tunnel',
    to: { ip: to.ip, port: TUNNEL_PORT },
    expected: [workloadIdentity(workload), ...identitiesIn(service?.subjectAltNames ?? [])],
    authority: formatIpPort(to),
    workload,
    service,
  };
}

function pickWaypoint(
  waypoints: readonly Workload[],
  { random, exclude }: Balance,
  destination: IpPort,
): Workload {
  const left = waypoints.filter(({ uid }) => exclude?.has(uid) !== true);
  const picked = left[Math.floor(random() * left.length)];
  if (picked !== undefined) return picked;
  throw new MeshError(
    'WAYPOINT_UNAVAILABLE',
    `Cannot connect to ${formatIpPort(destination)}: no replica of its waypoint is left to try`,
  );
}

function addressLike(workload: Workload, ip: IpAddress): IpAddress {
  const same = workload.addresses.find((address) => isIpv6(address) === isIpv6(ip));
  const address = same ?? workload.addresses[0];
  if (address !== undefined) return address;
  throw new MeshError('WAYPOINT_UNAVAILABLE', `Cannot reach ${workload.uid}: it has no address`);
}

function identitiesIn(names: readonly string[]): Identity[] {
  return names.map(readIdentity).filter((identity) => identity !== undefined);
}
