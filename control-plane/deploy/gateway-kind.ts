// Which Gateways are ours, and as what their proxies run. Pure. Asked by whoever plans, tells of, or translates Gateways.

import {
  CONTROLLER_NAME,
  GATEWAY_NAME,
  INGRESS_CLASS,
  MANAGED,
  WAYPOINT_CLASS,
} from '../../mesh/waypoint.ts';
import type { Gateway, GatewayClass } from '../../runtime/kubernetes/gateway-objects.ts';
import type { KubeObject } from '../../runtime/kubernetes/objects.ts';

export type GatewayKind = 'waypoint' | 'ingress';

/** The classes the control plane makes; people may make more with its name as controller, for ingress. */
export const OWN_CLASSES: readonly GatewayClass[] = [
  {
    metadata: { name: WAYPOINT_CLASS },
    spec: {
      controllerName: CONTROLLER_NAME,
      description: 'L7 proxies for services and workloads in the mesh',
    },
  },
  {
    metadata: { name: INGRESS_CLASS },
    spec: { controllerName: CONTROLLER_NAME, description: 'Gateways from outside into the mesh' },
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

/** The Gateway that a pod of ours was made for, as its name in the pod's namespace. */
export function gatewayOfPod({ metadata }: KubeObject): string | undefined {
  const { labels = {} } = metadata;
  const kind = labels[MANAGED];
  return kind === 'waypoint' || kind === 'ingress' ? labels[GATEWAY_NAME] : undefined;
}
