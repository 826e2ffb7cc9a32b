// Gateway -> the objects that run its proxy: ServiceAccount, Deployment, Service, PodDisruptionBudget and, where it is asked
// for, HorizontalPodAutoscaler. Pure. Called by plan.ts; applied by deployer.ts.
// Invariant: all of them carry our labels and the Gateway as owner, whatever its overlays say.

import { TUNNEL_PORT } from '../../mesh/own-ports.ts';
import { GATEWAY_NAME, MANAGED } from '../../mesh/waypoint.ts';
import type { Gateway } from '../../runtime/kubernetes/gateway-objects.ts';
import type { KubeObject, OwnerReference } from '../../runtime/kubernetes/objects.ts';
import {
  AUTOSCALERS,
  apiVersionOf,
  DEPLOYMENTS,
  DISRUPTION_BUDGETS,
  GATEWAYS,
  type Resource,
  SERVICE_ACCOUNTS,
  SERVICES,
} from '../../runtime/kubernetes/resources.ts';
import type { GatewayKind } from './gateway-kind.ts';
import { overlay, type Tree } from './overlay.ts';
import type { Parameters } from './parameters.ts';
import { podTemplate, STATUS_PORT } from './pod-template.ts';
import type { DeploySettings } from './settings.ts';

export type DesiredObject = { readonly resource: Resource; readonly object: KubeObject };

// Kubernetes' autoscaler looks at use against what was requested; above this a burst would find no room.
const BUSY_PERCENT = 70;
// Old enough for every cluster this runs on; of one replica in each zone the near one is taken.
const NEAR = 'PreferClose';

export function desiredObjects(
  gateway: Gateway,
  kind: GatewayKind,
  parameters: Parameters,
  settings: DeploySettings,
): DesiredObject[] {
  const { name = '', namespace = '' } = gateway.metadata;
  const selector = { [GATEWAY_NAME]: name };
  const own = { ...selector, [MANAGED]: kind };
  const given = gateway.spec.infrastructure ?? {};
  const made = (resource: Resource, patch: Tree | undefined, body: Tree): DesiredObject => {
    const metadata = {
      name,
      namespace,
      labels: { ...given.labels, ...own },
      ...(given.annotations === undefined ? {} : { annotations: given.annotations }),
    };
    const object = overlay({ metadata, ...body }, patch ?? {}) as Tree & { metadata: Tree };
    return {
      resource,
      object: {
        ...object,
        apiVersion: apiVersionOf(resource),
        kind: resource.kind,
        metadata: {
          ...object.metadata,
          name,
          namespace,
          labels: { ...(object.metadata['labels'] as Readonly<Record<string, string>>), ...own },
          ownerReferences: [ownerOf(gateway)],
        },
      },
    };
  };
  const { min, max } = parameters.replicas ?? { min: settings.replicas, max: settings.replicas };
  const scaled = min < max || parameters.overlays.horizontalPodAutoscaler !== undefined;
  const labels = { pod: { ...given.labels, ...own }, selector };
  const { overlays } = parameters;
  const deployment = made(DEPLOYMENTS, overlays.deployment, {
    spec: {
      // the autoscaler's to write where there is one
      ...(scaled ? {} : { replicas: min }),
      selector: { matchLabels: selector },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: podTemplate(gateway, kind, labels, settings),
    },
  });
  const { replicas = min } = (deployment.object as { spec?: { replicas?: number } }).spec ?? {};
  return [
    made(SERVICE_ACCOUNTS, overlays.serviceAccount, {}),
    deployment,
    made(SERVICES, overlays.service, { spec: serviceSpec(gateway, kind, selector, parameters) }),
    // of one replica every disruption would have to wait for ever
    ...(replicas > 1 || scaled || overlays.podDisruptionBudget !== undefined
      ? [
          made(DISRUPTION_BUDGETS, overlays.podDisruptionBudget, {
            spec: { minAvailable: 1, selector: { matchLabels: selector } },
          }),
        ]
      : []),
    ...(scaled
      ? [
          made(AUTOSCALERS, overlays.horizontalPodAutoscaler, {
            spec: {
              scaleTargetRef: {
                apiVersion: apiVersionOf(DEPLOYMENTS),
                kind: DEPLOYMENTS.kind,
                name,
              },
              minReplicas: min,
              maxReplicas: Math.max(min, max),
              metrics: [
                {
                  type: 'Resource',
                  resource: {
                    name: 'cpu',
                    target: { type: 'Utilization', averageUtilization: BUSY_PERCENT },
                  },
                },
              ],
            },
          }),
        ]
      : []),
  ];
}

export function ownerOf({ metadata }: Gateway, controller = true): OwnerReference {
  return {
    apiVersion: apiVersionOf(GATEWAYS),
    kind: GATEWAYS.kind,
    name: metadata.name ?? '',
    uid: metadata.uid ?? '',
    controller,
  };
}

function serviceSpec(
  { spec }: Gateway,
  kind: GatewayKind,
  selector: Tree,
  { serviceType }: Parameters,
): Tree {
  const status = {
    name: 'status-port',
    port: STATUS_PORT,
    targetPort: STATUS_PORT,
    protocol: 'TCP',
  };
  if (kind === 'waypoint') {
    const mesh = { name: 'mesh', port: TUNNEL_PORT, targetPort: TUNNEL_PORT, protocol: 'TCP' };
    const type = serviceType ?? 'ClusterIP';
    return { type, selector, trafficDistribution: NEAR, ports: [mesh, status] };
  }
  // several listeners may share a port
  const ports = new Map(
    spec.listeners.map(({ name, port }) => [
      port,
      { name: portName(name, port), port, targetPort: port, protocol: 'TCP' },
    ]),
  );
  const [address] = spec.addresses ?? [];
  return {
    type: serviceType ?? 'LoadBalancer',
    selector,
    ports: [...ports.values(), status],
    ...(address?.value === undefined ? {} : { loadBalancerIP: address.value }),
  };
}

/** A listener may have a longer name than a port of a Service, and one with dots. */
function portName(listener: string, port: number): string {
  return /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(listener) && listener !== 'status-port'
    ? listener
    : `port-${port}`;
}
