// The Gateway that a waypoint is: what `ambit waypoint generate` prints and `apply` applies. Pure.

import { TUNNEL_PORT } from '../../mesh/own-ports.ts';
import { WAYPOINT_CLASS, WAYPOINT_FOR, WAYPOINT_PROTOCOL } from '../../mesh/waypoint.ts';
import type { Gateway } from '../../runtime/kubernetes/gateway-objects.ts';
import { apiVersionOf, GATEWAYS } from '../../runtime/kubernetes/resources.ts';

export type WaypointWish = {
  readonly name: string;
  readonly namespace: string;
  /** undefined: as it is where nobody says, for services. */
  readonly for: string | undefined;
};

export function waypointManifest({ name, namespace, for: kind }: WaypointWish): Gateway {
  return {
    apiVersion: apiVersionOf(GATEWAYS),
    kind: GATEWAYS.kind,
    metadata: {
      name,
      namespace,
      ...(kind === undefined ? {} : { labels: { [WAYPOINT_FOR]: kind } }),
    },
    spec: {
      gatewayClassName: WAYPOINT_CLASS,
      listeners: [{ name: 'mesh', port: TUNNEL_PORT, protocol: WAYPOINT_PROTOCOL }],
    },
  };
}
