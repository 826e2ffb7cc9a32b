// The words by which people ask for waypoints and by which those that run are told apart: labels, classes, and the name of
// who looks after them. Read by the control plane, which acts on them, and by the cli, which writes them.

/** On a Namespace, Service, Pod, ServiceEntry or WorkloadEntry: the name of its waypoint, or `none`. */
export const USE_WAYPOINT = 'ambit-mesh.io/use-waypoint';
/** Beside it: the waypoint's namespace, where that is another one. */
export const USE_WAYPOINT_NAMESPACE = 'ambit-mesh.io/use-waypoint-namespace';
/** On a Service or Namespace, `true`: connections from ingress gateways go through its waypoint too. */
export const INGRESS_USE_WAYPOINT = 'ambit-mesh.io/ingress-use-waypoint';
/** On a Gateway: what it takes connections for. */
export const WAYPOINT_FOR = 'ambit-mesh.io/waypoint-for';
/** On everything that is made for a Gateway: `waypoint` or `ingress`. */
export const MANAGED = 'ambit-mesh.io/managed';
/** Beside it: the Gateway's name. The Gateway API's own label. */
export const GATEWAY_NAME = 'gateway.networking.k8s.io/gateway-name';

export const NO_WAYPOINT = 'none';

/** What is addressed through it: services, workloads by their own addresses, both; `none` while it is only set up. */
export const WAYPOINT_KINDS = ['service', 'workload', 'all', 'none'] as const;
export type WaypointFor = (typeof WAYPOINT_KINDS)[number];

export const WAYPOINT_CLASS = 'ambit-waypoint';
export const INGRESS_CLASS = 'ambit-ingress';
export const CONTROLLER_NAME = 'ambit-mesh.io/gateway-controller';

/** The protocol of a waypoint's one listener. */
export const WAYPOINT_PROTOCOL = 'HBONE';

/** A value nobody knows counts as the default: it must not open a way around the waypoint. */
export function waypointForOf(labels: Readonly<Record<string, string>> | undefined): WaypointFor {
  const value = labels?.[WAYPOINT_FOR];
  return WAYPOINT_KINDS.find((kind) => kind === value) ?? 'service';
}
