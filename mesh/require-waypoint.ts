// Did a connection come the way it must? Whoever addresses a workload that has a waypoint is led there by its own agent; a
// caller that is not led, or leads itself around it, is stopped at the destination. Asked by node-agent/decide.ts for each
// new connection, and by the cli's explanations. Pure.

import { MeshError } from './failures.ts';
import { gatewayName, resolveGateway, waypointsOf } from './gateway.ts';
import { type Identity, sameIdentity } from './identity.ts';
import type { Service } from './service.ts';
import type { Snapshot } from './snapshot.ts';
import { type GatewayAddress, type Workload, workloadIdentity } from './workload.ts';

export type Entrance = {
  /** From the caller's certificate; undefined for plaintext. */
  readonly peer: Identity | undefined;
  /** The application's. */
  readonly port: number;
};

/**
 * A service's own waypoint may come straight, and so may everybody where a service of that port has none: what was
 * addressed, the service or the workload, cannot be told here.
 *
 * @throws MeshError WAYPOINT_REQUIRED
 */
export function requireWaypoint(
  { peer, port }: Entrance,
  workload: Workload,
  snapshot: Snapshot,
): void {
  const { waypoint, namespace } = workload;
  if (waypoint === undefined) return;
  const entitled: GatewayAddress[] = [waypoint];
  for (const service of servicesAt(port, workload, snapshot)) {
    const own = waypointsOf(service);
    if (own.length === 0 && service.weightedWaypoints.length === 0) return;
    entitled.push(...own.map(({ destination }) => destination));
  }
  const isEntitled = (gateway: GatewayAddress): boolean =>
    resolveGateway(gateway, namespace, snapshot).replicas.some(
      (replica) => peer !== undefined && sameIdentity(workloadIdentity(replica), peer),
    );
  if (entitled.some(isEntitled)) return;
  throw new MeshError(
    'WAYPOINT_REQUIRED',
    `Refused a connection to ${workload.uid} port ${port}: it must come through waypoint ${gatewayName(waypoint)}, and its caller is no known replica of it`,
  );
}

function servicesAt(port: number, workload: Workload, snapshot: Snapshot): Service[] {
  return [...workload.services].flatMap(([key, mappings]) => {
    const service = snapshot.serviceByKey(key);
    if (service === undefined) return [];
    const serves = mappings.some(({ servicePort, targetPort }) => {
      const named = service.ports.find((one) => one.servicePort === servicePort)?.targetPort;
      return (targetPort || named) === port;
    });
    return serves ? [service] : [];
  });
}
