// Which Gateways are ours, and as what their proxies run. Pure. Asked by whoever plans, tells of, or translates Gateways.

import { CONTROLLER_NAME, WAYPOINT_CLASS } from '../../mesh/waypoint.ts';
import type { Gateway, GatewayClass } from '../../runtime/kubernetes/gateway-objects.ts';

export type GatewayKind = 'waypoint' | 'ingress';

/** The classes the control plane makes: none for ingress, which the proxy does not serve yet and says so. */
export const OWN_CLASSES: readonly GatewayClass[] = [
  {
    metadata: { name: WAYPOINT_CLASS },
    spec: {
      controllerName: CONTROLLER_NAME,
      description: 'L7 proxies for services and workloads in the mesh',
    },
  },
];

/** undefined: somebody else's, or its class is not there (yet). */
export function gatewayKind(
  { spec }: Gateway,
  classes: ReadonlyMap<string, GatewayClass>,
): GatewayKind | undefined {
  if (classes.get(spec.gatewayClassName)?.spec.controllerName !== CONTROLLER_NAME) return undefined;
  return spec.gatewayClassName === WAYPOINT_CLASS ? 'waypoint' : 'ingress';
}
