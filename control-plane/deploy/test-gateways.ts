// Gateways with few words, and the facts a plan is made of. Used by tests of deploy/.

import { CONTROLLER_NAME } from '../../mesh/waypoint.ts';
import type { Gateway, GatewayClass, Listener } from '../../runtime/kubernetes/gateway-objects.ts';
import type { ConfigMap, Deployment, Service } from '../../runtime/kubernetes/objects.ts';
import type { Outcome } from '../translate/outcome.ts';
import { type GatewayFacts, type GatewayPlan, planGateways } from './plan.ts';
import type { DeploySettings } from './settings.ts';

export const SETTINGS: DeploySettings = {
  image: 'ambit-mesh/waypoint:1',
  replicas: 2,
  namespace: 'ambit-system',
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  cluster: 'Kubernetes',
  network: 'n',
  caAddress: 'ca:15012',
  controlPlaneAddress: 'cp:15012',
  audience: 'ambit-ca',
  otlpEndpoint: undefined,
  traceSampling: undefined,
};

export const MESH: Listener = { name: 'mesh', port: 15008, protocol: 'HBONE' };
export const HTTP: Listener = { name: 'http', port: 80, protocol: 'HTTP' };

export const CLASSES: ReadonlyMap<string, GatewayClass> = new Map(
  ['ambit-waypoint', 'ambit-ingress', 'foreign'].map((name) => [
    name,
    {
      metadata: { name, uid: `u-${name}`, generation: 1 },
      spec: { controllerName: name === 'foreign' ? 'example.com/x' : CONTROLLER_NAME },
    },
  ]),
);

type Changes = {
  readonly name?: string;
  readonly namespace?: string;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
  readonly spec?: Partial<Gateway['spec']>;
  readonly deletionTimestamp?: string;
};

export function waypoint({ spec, ...metadata }: Changes = {}): Gateway {
  const name = metadata.name ?? 'waypoint';
  return {
    metadata: { namespace: 'shop', uid: `u-${name}`, generation: 3, ...metadata, name },
    spec: { gatewayClassName: 'ambit-waypoint', listeners: [MESH], ...spec },
  };
}

export function ingress(listeners: readonly Listener[] = [HTTP], changes: Changes = {}): Gateway {
  const spec = { gatewayClassName: 'ambit-ingress', listeners, ...changes.spec };
  return waypoint({ name: 'edge', ...changes, spec });
}

export const READY: Deployment = {
  metadata: { name: 'waypoint', namespace: 'shop' },
  spec: { replicas: 2, selector: {}, template: { spec: { containers: [] } } },
  status: { readyReplicas: 1 },
};
export const SERVICE: Service = {
  metadata: { name: 'waypoint', namespace: 'shop' },
  spec: { type: 'ClusterIP', clusterIP: '10.96.0.9', clusterIPs: ['10.96.0.9', 'fd00::9'] },
};
export const ROOTS: ConfigMap = { metadata: { name: 'r' }, data: { 'root-cert.pem': 'PEM' } };

export function plan(gateways: readonly Gateway[], facts: Partial<GatewayFacts> = {}): GatewayPlan {
  return planGateways(
    {
      gateways,
      classes: CLASSES,
      grants: [],
      running: () => ({ deployment: READY, service: SERVICE }),
      configMap: () => undefined,
      secret: () => undefined,
      failureOf: () => undefined,
      roots: ROOTS,
      attachedRoutes: new Map(),
      uses: new Map(),
      ...facts,
    },
    SETTINGS,
  );
}

/** `Accepted=True Accepted` and the like, of the Gateway itself. */
export function says(it: GatewayPlan): string[] {
  return it.outcomes.filter(isOfGateway).flatMap(({ findings }) => findings.map(shown));
}

/** Of each listener, by its name. */
export function listenersOf(it: GatewayPlan): Record<string, string[]> {
  const parts = it.outcomes
    .filter(isOfGateway)
    .flatMap(({ parts = {} }) => parts['listeners'] ?? []);
  return Object.fromEntries(parts.map(({ name, findings }) => [name, findings.map(shown)]));
}

export function messageOf(it: GatewayPlan, type: string): string {
  const [outcome] = it.outcomes.filter(isOfGateway);
  return outcome?.findings.find((one) => one.type === type)?.message ?? '';
}

function isOfGateway({ resource }: Outcome): boolean {
  return resource.kind === 'Gateway';
}

function shown({ type, status, reason }: Outcome['findings'][number]): string {
  return `${type}=${status} ${reason}`;
}
