// Who stands behind the name or address of a waypoint or network gateway? Asked by classify() for the sender, by
// targetOf() for the receiver and by nextHop(), so that all three mean the same replicas.

import type { Service, WeightedWaypoint } from './service.ts';
import { serviceKey } from './service.ts';
import type { Snapshot } from './snapshot.ts';
import type { GatewayAddress, Workload } from './workload.ts';

export type ResolvedGateway = {
  readonly gateway: GatewayAddress;
  /** What its name or address belongs to; undefined when that is a workload itself. */
  readonly service: Service | undefined;
  /** Every replica, healthy or not; none when nothing is known under that name or address. */
  readonly replicas: readonly Workload[];
};

/** `namespace` is the asker's: a service that is not visible there is not found. */
export function resolveGateway(
  gateway: GatewayAddress,
  namespace: string,
  snapshot: Snapshot,
): ResolvedGateway {
  const workload =
    gateway.by === 'address' ? snapshot.workloadByIp(gateway.network, gateway.ip) : undefined;
  if (workload !== undefined) return { gateway, service: undefined, replicas: [workload] };
  const service =
    gateway.by === 'address'
      ? snapshot.serviceByVip(gateway.network, gateway.ip, namespace)
      : snapshot.serviceByKey(serviceKey(gateway));
  if (service !== undefined) {
    return { gateway, service, replicas: snapshot.membersOf(serviceKey(service)) };
  }
  const named = gateway.by === 'hostname' ? workloadNamed(gateway, snapshot) : undefined;
  return { gateway, service: undefined, replicas: named === undefined ? [] : [named] };
}

/** Asked of all replicas: one that is draining still has to finish what it carries. */
export function isReplica({ replicas }: ResolvedGateway, workload: Workload): boolean {
  return replicas.some(({ uid }) => uid === workload.uid);
}

/** The waypoints in front of it that may get connections: the weighted ones, else the one; none: it has no waypoint. */
export function waypointsOf(of: {
  readonly waypoint: GatewayAddress | undefined;
  readonly weightedWaypoints?: readonly WeightedWaypoint[];
}): readonly WeightedWaypoint[] {
  const weighted = (of.weightedWaypoints ?? []).filter(({ weight }) => weight > 0);
  if (weighted.length > 0 || of.waypoint === undefined) return weighted;
  return [{ destination: of.waypoint, weight: 1 }];
}

export function gatewayName(gateway: GatewayAddress): string {
  return gateway.by === 'address' ? gateway.ip : gateway.hostname;
}

function workloadNamed(
  { namespace, hostname }: { readonly namespace: string; readonly hostname: string },
  snapshot: Snapshot,
): Workload | undefined {
  const named = snapshot.workloadsByHostname(hostname);
  return named.find((workload) => workload.namespace === namespace);
}
