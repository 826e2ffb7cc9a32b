// What did this connection address? The first decision about a captured connection, made by node-agent/outbound.ts
// without I/O. Order as in the reference: service address, then workload address, else not ours.

import { formatIpPort, type IpPort, isLoopback } from './address.ts';
import { MeshError } from './failures.ts';
import type { Intent } from './intent.ts';
import type { Service } from './service.ts';
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
  const waypoint = resolve(workload.waypoint, { source, snapshot, of: `workload ${workload.uid}` });
  if (waypoint.waypoints.some(({ uid }) => uid === source.uid)) {
    return { kind: 'workload', destination, workload };
  }
  return { kind: 'waypoint', destination, ...waypoint, of: { workload } };
}

type Asked = {
  readonly source: Workload;
  readonly destination: IpPort;
  readonly snapshot: Snapshot;
};

function classifyService(service: Service, { source, destination, snapshot }: Asked): Intent {
  if (service.waypoint !== undefined) {
    const waypoint = resolve(service.waypoint, {
      source,
      snapshot,
      of: `service ${service.hostname}`,
    });
    // the waypoint's own way to its service is the last hop, not another round through itself
    if (!waypoint.waypoints.some(({ uid }) => uid === source.uid)) {
      return { kind: 'waypoint', destination, ...waypoint, of: { service } };
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

type Resolution = {
  readonly source: Workload;
  readonly snapshot: Snapshot;
  readonly of: string;
};

function resolve(
  gateway: GatewayAddress,
  { source, snapshot, of }: Resolution,
): { waypoints: readonly Workload[]; port: number; subjectAltNames: readonly string[] } {
  if (gateway.by === 'address') {
    const workload = snapshot.workloadByIp(gateway.network, gateway.ip);
    if (workload !== undefined)
      return { waypoints: [workload], port: gateway.port, subjectAltNames: [] };
  }
  const service =
    gateway.by === 'address'
      ? snapshot.serviceByVip(gateway.network, gateway.ip, source.namespace)
      : snapshot.serviceByKey(`${gateway.namespace}/${gateway.hostname}`);
  const members =
    service === undefined ? [] : snapshot.membersOf(`${service.namespace}/${service.hostname}`);
  const waypoints = members.filter(({ health }) => health === 'healthy');
  if (service === undefined || waypoints.length === 0) {
    const name = gateway.by === 'address' ? gateway.ip : gateway.hostname;
    const why = service === undefined ? 'is not known' : 'has no healthy replica';
    throw new MeshError(
      'WAYPOINT_UNAVAILABLE',
      `Cannot reach ${of}: it must be reached through waypoint ${name}, which ${why}`,
    );
  }
  return { waypoints, port: gateway.port, subjectAltNames: service.subjectAltNames };
}
