// What did this connection address? The first decision about a captured connection, made by node-agent/outbound.ts
// without I/O. Order as in the reference: service address, then workload address, else not ours.

import { formatIpPort, type IpPort, isLoopback } from './address.ts';
import { MeshError } from './failures.ts';
import type { Intent } from './intent.ts';
import { type Service, serviceKey } from './service.ts';
import type { Snapshot } from './snapshot.ts';
import type { GatewayAddress, Workload } from './workload.ts';

/** Ports the agent itself takes in every pod; a connection to them over loopback would come back to us for ever. */
export const OWN_PORTS: ReadonlySet<number> = new Set([15001, 15006, 15008]);

/**
 * @throws MeshError RECURSION (our own ports on loopback), NO_HEALTHY_ENDPOINT (a known service without that port),
 *   WAYPOINT_UNAVAILABLE (a waypoint is wanted and cannot be resolved)
 */
export function classify(source: Workload, destination: IpPort, snapshot: Snapshot): Intent {
  const name = formatIpPort(destination);
  if (isLoopback(destination.ip) && OWN_PORTS.has(destination.port)) {
    throw new MeshError(
      'RECURSION',
      `Refused a connection to ${name}: it would come back to the node agent`,
    );
  }
  const service = snapshot.serviceByVip(source.network, destination.ip, source.namespace);
  if (service !== undefined) return classifyService(service, { source, destination, snapshot });

  const workload = snapshot.workloadByIp(source.network, destination.ip);
  if (workload === undefined)
    return { kind: 'passthrough', destination, reason: 'unknown-destination' };
  if (workload.waypoint === undefined) return { kind: 'workload', destination, workload };
  const waypoint = resolve(workload.waypoint, source, snapshot);
  if (isOneOf(waypoint, source)) return { kind: 'workload', destination, workload };
  const of = `workload ${workload.uid}`;
  return { kind: 'waypoint', destination, ...usable(waypoint, source, of), of: { workload } };
}

type Asked = {
  readonly source: Workload;
  readonly destination: IpPort;
  readonly snapshot: Snapshot;
};

function classifyService(service: Service, { source, destination, snapshot }: Asked): Intent {
  if (service.waypoint !== undefined) {
    const waypoint = resolve(service.waypoint, source, snapshot);
    // the waypoint's own way to its service is the last hop, not another round through itself
    if (!isOneOf(waypoint, source)) {
      const of = `service ${service.hostname}`;
      return { kind: 'waypoint', destination, ...usable(waypoint, source, of), of: { service } };
    }
  }
  if (service.loadBalancing?.mode === 'passthrough') {
    return { kind: 'passthrough', destination, reason: 'passthrough-service' };
  }
  const port = service.ports.find(({ servicePort }) => servicePort === destination.port);
  if (port === undefined) {
    throw new MeshError(
      'NO_HEALTHY_ENDPOINT',
      `Cannot connect to ${formatIpPort(destination)}: service ${service.hostname} has no port ${destination.port}`,
    );
  }
  return { kind: 'service', destination, service, port };
}

type Resolved = {
  readonly gateway: GatewayAddress;
  /** False when nothing is known under the gateway's name or address. */
  readonly known: boolean;
  /** Every replica, healthy or not. */
  readonly replicas: readonly Workload[];
  readonly subjectAltNames: readonly string[];
};

function resolve(gateway: GatewayAddress, source: Workload, snapshot: Snapshot): Resolved {
  const workload =
    gateway.by === 'address' ? snapshot.workloadByIp(gateway.network, gateway.ip) : undefined;
  if (workload !== undefined) {
    return { gateway, known: true, replicas: [workload], subjectAltNames: [] };
  }
  const service =
    gateway.by === 'address'
      ? snapshot.serviceByVip(gateway.network, gateway.ip, source.namespace)
      : snapshot.serviceByKey(serviceKey(gateway));
  if (service === undefined) return { gateway, known: false, replicas: [], subjectAltNames: [] };
  const { subjectAltNames } = service;
  return {
    gateway,
    known: true,
    replicas: snapshot.membersOf(serviceKey(service)),
    subjectAltNames,
  };
}

/** Asked of all replicas: one that is draining still has to finish what it carries. */
function isOneOf({ replicas }: Resolved, source: Workload): boolean {
  return replicas.some(({ uid }) => uid === source.uid);
}

/** @throws MeshError WAYPOINT_UNAVAILABLE */
function usable(
  { gateway, known, replicas, subjectAltNames }: Resolved,
  source: Workload,
  of: string,
): { waypoints: readonly Workload[]; port: number; subjectAltNames: readonly string[] } {
  const waypoints = replicas.filter(
    ({ health, network, addresses }) =>
      health === 'healthy' && network === source.network && addresses.length > 0,
  );
  if (waypoints.length > 0) return { waypoints, port: gateway.port, subjectAltNames };
  const name = gateway.by === 'address' ? gateway.ip : gateway.hostname;
  const why = known ? 'has no healthy replica on this network' : 'is not known';
  throw new MeshError(
    'WAYPOINT_UNAVAILABLE',
    `Cannot reach ${of}: it must be reached through waypoint ${name}, which ${why}`,
  );
}
