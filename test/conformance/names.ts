// The words of waypoints and gateways that the tests write into objects, as people do: spelled out, not taken from the code.

export const USE_WAYPOINT = 'ambit-mesh.io/use-waypoint';
export const WAYPOINT_CLASS = 'ambit-waypoint';
export const INGRESS_CLASS = 'ambit-ingress';
