// Where an admitted connection goes next: into a tunnel to a peer, through the gateway of another network, or plainly on.
// Called by node-agent/outbound.ts. A decision without I/O: a plain value, tested as a value.

import { formatIpPort, type IpAddress, type IpPort, isIpv6 } from './address.ts';
import { type Balance, type Endpoint, findEndpoint, pickEndpoint } from './balance.ts';
import { MeshError } from './failures.ts';
import { gatewayName, resolveGateway } from './gateway.ts';
import { type Identity, readIdentity } from './identity.ts';
import type { Intent, WaypointChoice } from './intent.ts';
import { TUNNEL_PORT } from './own-ports.ts';
import type { Permit } from './permit.ts';
import type { Service } from './service.ts';
import type { Snapshot } from './snapshot.ts';
import { type GatewayAddress, type Workload, workloadIdentity } from './workload.ts';

export type TunnelHop = {
  readonly via: 'tunnel';
  readonly to: IpPort;
  readonly expected: readonly Identity[];
  /** What the CONNECT asks for. */
  readonly authority: string;
  readonly workload: Workload;
  readonly service: Service | undefined;
};

/** A tunnel to the gateway of another network, and inside its stream a second one to the service itself. */
export type GatewayHop = {
  readonly via: 'gateway';
  readonly to: IpPort;
  /** Who the gateway may be. */
  readonly expected: readonly Identity[];
  /** Who may answer behind it: what the service says, for no endpoint is chosen here. */
  readonly expectedInside: readonly Identity[];
  /** What both CONNECTs ask for. */
  readonly authority: string;
  readonly gateway: Workload;
  /** What stands for the endpoints over there. */
  readonly workload: Workload;
  readonly service: Service;
};

export type TcpHop = {
  readonly via: 'tcp';
  readonly to: IpPort;
  readonly workload: Workload | undefined;
  readonly service: Service | undefined;
};

/** The endpoint has a DNS name only: {@link hopTo} its address, once that is looked up. */
export type LookupHop = {
  readonly via: 'lookup';
  readonly hostname: string;
  readonly port: number;
  readonly workload: Workload;
  readonly service: Service | undefined;
};

export type Hop = TunnelHop | GatewayHop | TcpHop | LookupHop;

/** @throws MeshError NO_HEALTHY_ENDPOINT, WAYPOINT_UNAVAILABLE, GATEWAY_UNAVAILABLE */
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
      const wanted = { source, service, port, destination: destination.ip };
      const endpoint = pickEndpoint(wanted, snapshot, balance);
      const { workload, reach } = endpoint;
      switch (reach.by) {
        case 'address':
          return hopTo(workload, { ip: reach.ip, port: endpoint.port }, service);
        case 'hostname':
          return {
            via: 'lookup',
            hostname: reach.hostname,
            port: endpoint.port,
            workload,
            service,
          };
        case 'gateway': {
          const abroad = { service, workload, gateway: reach.gateway, port: destination.port };
          return throughGateway(abroad, source, snapshot, balance);
        }
      }
    }
    // falls through: every reach above returns
    case 'waypoint':
      return toWaypoint(intent, source, snapshot, balance);
  }
}

/** Straight to a workload at an address and port of its own, in the way it takes connections. */
export function hopTo(
  workload: Workload,
  to: IpPort,
  service: Service | undefined,
): TunnelHop | TcpHop {
  if (workload.protocol !== 'hbone') return { via: 'tcp', to, workload, service };
  return {
    via: 'tunnel',
    to: { ip: to.ip, port: TUNNEL_PORT },
    expected: [workloadIdentity(workload), ...identitiesIn(service)],
    authority: formatIpPort(to),
    workload,
    service,
  };
}

function toWaypoint(
  intent: Permit<Intent> & { readonly kind: 'waypoint' },
  source: Workload,
  snapshot: Snapshot,
  balance: Balance,
): Hop {
  const { destination, of } = intent;
  const choice = sample(intent.choices, balance.random);
  const service = 'service' in of ? of.service : undefined;
  const replica = choice && replicaOf(choice, { source, destination, snapshot, balance });
  if (choice === undefined || replica === undefined || replica.reach.by === 'hostname') {
    throw unavailable(intent, choice, 'none of its replicas can be reached from this network');
  }
  const { workload, reach } = replica;
  if (reach.by === 'address') {
    return {
      via: 'tunnel',
      to: { ip: reach.ip, port: choice.gateway.port },
      expected: [workloadIdentity(workload), ...identitiesIn(choice.service)],
      // the waypoint decides where it ends: it gets what the application asked for
      authority: formatIpPort(destination),
      workload,
      service,
    };
  }
  // a gateway knows services only, so an address of another network cannot be asked for
  if (service === undefined) throw unavailable(intent, choice, 'it is on another network');
  const abroad = { service, workload, gateway: reach.gateway, port: destination.port };
  return throughGateway(abroad, source, snapshot, balance);
}

function unavailable(
  { destination }: { readonly destination: IpPort },
  choice: WaypointChoice | undefined,
  why: string,
): MeshError {
  const name = choice === undefined ? '' : ` ${gatewayName(choice.gateway)}`;
  const known = choice?.service !== undefined || (choice?.replicas.length ?? 0) > 0;
  return new MeshError(
    'WAYPOINT_UNAVAILABLE',
    `Cannot connect to ${formatIpPort(destination)}: it must be reached through waypoint${name}, and ${known ? why : 'no such waypoint is known'}`,
  );
}

/** By weight; undefined only when nothing has any. */
function sample(
  choices: readonly WaypointChoice[],
  random: () => number,
): WaypointChoice | undefined {
  let at = random() * choices.reduce((sum, { weight }) => sum + weight, 0);
  for (const choice of choices) {
    at -= choice.weight;
    if (at < 0) return choice;
  }
  return choices.at(-1);
}

type Asked = {
  readonly source: Workload;
  readonly destination: IpPort;
  readonly snapshot: Snapshot;
  readonly balance: Balance;
};

function replicaOf(choice: WaypointChoice, asked: Asked): Endpoint | undefined {
  const { source, snapshot, balance } = asked;
  const { gateway, service } = choice;
  // by address it is literal, by name it follows the client
  const destination = gateway.by === 'address' ? gateway.ip : asked.destination.ip;
  if (service !== undefined) {
    return findEndpoint({ source, service, port: undefined, destination }, snapshot, balance);
  }
  const [workload] = choice.replicas;
  if (workload === undefined || workload.health === 'unhealthy') return undefined;
  if (workload.network !== source.network || balance.exclude?.has(workload.uid)) return undefined;
  const ip = addressLike(workload, destination);
  return ip && { workload, port: 0, reach: { by: 'address', ip } };
}

type Abroad = {
  readonly service: Service;
  readonly workload: Workload;
  readonly gateway: GatewayAddress;
  readonly port: number;
};

function throughGateway(
  { service, workload, gateway, port }: Abroad,
  source: Workload,
  snapshot: Snapshot,
  { random }: Balance,
): GatewayHop {
  const found = resolveGateway(gateway, source.namespace, snapshot);
  const replicas = found.replicas.filter(
    ({ health, addresses }) => health === 'healthy' && addresses.length > 0,
  );
  const replica = replicas[Math.floor(random() * replicas.length)];
  const ip = replica && addressLike(replica, gateway.by === 'address' ? gateway.ip : undefined);
  if (replica === undefined || ip === undefined) {
    throw new MeshError(
      'GATEWAY_UNAVAILABLE',
      `Cannot connect to ${service.hostname}:${port}: it is on network "${workload.network}", and no replica of its gateway ${gatewayName(gateway)} is known and healthy`,
    );
  }
  return {
    via: 'gateway',
    to: { ip, port: gateway.port },
    expected: [workloadIdentity(replica), ...identitiesIn(found.service)],
    expectedInside: identitiesIn(service),
    authority: `${service.hostname}:${port}`,
    gateway: replica,
    workload,
    service,
  };
}

/** The same address if it has it, else one of the family, else any. */
function addressLike({ addresses }: Workload, ip: IpAddress | undefined): IpAddress | undefined {
  if (ip === undefined) return addresses[0];
  if (addresses.includes(ip)) return ip;
  return addresses.find((address) => isIpv6(address) === isIpv6(ip)) ?? addresses[0];
}

function identitiesIn(service: Service | undefined): Identity[] {
  return (service?.subjectAltNames ?? [])
    .map(readIdentity)
    .filter((identity) => identity !== undefined);
}
