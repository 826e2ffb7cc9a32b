// What did this connection address? The first decision about a captured connection, made by node-agent/outbound.ts
// without I/O. Order as in the reference: service address, then workload address, else not ours.

import { formatIpPort, type IpPort, isLoopback } from './address.ts';
import { MeshError } from './failures.ts';
import { isReplica, resolveGateway, waypointsOf } from './gateway.ts';
import type { Intent, WaypointChoice } from './intent.ts';
import { OWN_PORTS } from './own-ports.ts';
import type { Service } from './service.ts';
import type { Snapshot } from './snapshot.ts';
import type { Workload } from './workload.ts';

/**
 * @throws MeshError RECURSION (our own ports in the pod itself), NO_HEALTHY_ENDPOINT (a known service without that
 *   port), WAYPOINT_UNAVAILABLE (its waypoints take no connections), DESTINATION_BLOCKED (unknown, and the source may
 *   only connect to what the mesh knows)
 */
export function classify(source: Workload, destination: IpPort, snapshot: Snapshot): Intent {
  const name = formatIpPort(destination);
  const own = isLoopback(destination.ip) || source.addresses.includes(destination.ip);
  if (own && OWN_PORTS.has(destination.port)) {
    throw new MeshError(
      'RECURSION',
      `Refused a connection to ${name}: it would come back to the node agent`,
    );
  }
  const service = snapshot.serviceByVip(source.network, destination.ip, source.namespace);
  if (service !== undefined) return classifyService(service, { source, destination, snapshot });

  const workload = snapshot.workloadByIp(source.network, destination.ip);
  if (workload === undefined) return classifyUnknown(source, destination);
  const asked = { source, destination, snapshot };
  const choices = waypointsFor(workload, `workload ${workload.uid}`, asked);
  if (choices.length === 0) return { kind: 'workload', destination, workload };
  return { kind: 'waypoint', destination, choices, of: { workload } };
}

type Asked = {
  readonly source: Workload;
  readonly destination: IpPort;
  readonly snapshot: Snapshot;
};

function classifyService(service: Service, asked: Asked): Intent {
  const { destination } = asked;
  const choices = waypointsFor(service, `service ${service.hostname}`, asked);
  if (choices.length > 0) return { kind: 'waypoint', destination, choices, of: { service } };
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

function classifyUnknown(source: Workload, destination: IpPort): Intent {
  if (source.outboundPolicy === 'allow-any') {
    return { kind: 'passthrough', destination, reason: 'unknown-destination' };
  }
  throw new MeshError(
    'DESTINATION_BLOCKED',
    `Refused a connection to ${formatIpPort(destination)}: the mesh knows no such destination, and namespace ${source.namespace} may connect to known ones only; add a ServiceEntry for it, or allow any`,
  );
}

/**
 * None when it has no waypoint, or when the source is one of its replicas: that one's own way to its service is the
 * last hop, not another round through itself.
 */
function waypointsFor(
  of: Service | Workload,
  name: string,
  { source, snapshot }: Asked,
): readonly WaypointChoice[] {
  const wanted = waypointsOf(of);
  if (wanted.length === 0 && 'weightedWaypoints' in of && of.weightedWaypoints.length > 0) {
    throw new MeshError(
      'WAYPOINT_UNAVAILABLE',
      `Cannot reach ${name}: every one of its waypoints has weight 0`,
    );
  }
  const choices = wanted.map(({ destination, weight }) => ({
    ...resolveGateway(destination, source.namespace, snapshot),
    weight,
  }));
  return choices.some((choice) => isReplica(choice, source)) ? [] : choices;
}
