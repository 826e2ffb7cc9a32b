// Gateways of ours from object to running proxy, put together: what is watched for it, the plan, and who carries it out.
// Built by app.ts, which asks for a plan with each translation and tells of the outcomes.

import { type BackendTls, backendTlsKey } from '../../mesh/backend-tls.ts';
import type { GatewayListeners } from '../../mesh/gateway-listeners.ts';
import type { Route } from '../../mesh/route.ts';
import { MANAGED } from '../../mesh/waypoint.ts';
import type { BackendTlsPolicy } from '../../runtime/kubernetes/backend-tls-objects.ts';
import type {
  Gateway,
  GatewayClass,
  ReferenceGrant,
} from '../../runtime/kubernetes/gateway-objects.ts';
import { type Informer, type InformerParts, inform } from '../../runtime/kubernetes/informer.ts';
import type {
  ConfigMap,
  Deployment,
  KubeObject,
  Secret,
  Service,
} from '../../runtime/kubernetes/objects.ts';
import {
  AUTOSCALERS,
  BACKEND_TLS_POLICIES,
  CONFIG_MAPS,
  DEPLOYMENTS,
  DISRUPTION_BUDGETS,
  GATEWAY_CLASSES,
  REFERENCE_GRANTS,
  type Resource,
  SECRETS,
  SERVICE_ACCOUNTS,
  SERVICES,
} from '../../runtime/kubernetes/resources.ts';
import { type BackendTlsPlan, planBackendTls } from '../translate/backend-tls.ts';
import { References } from '../watch/references.ts';
import { Deployer } from './deployer.ts';
import type { DesiredObject } from './desired.ts';
import { type GatewayFacts, type GatewayPlan, planGateways } from './plan.ts';
import type { DeploySettings } from './settings.ts';

/** What a plan needs that others know. */
export type Surroundings = Pick<GatewayFacts, 'attachedRoutes' | 'uses' | 'roots'> & {
  readonly gateways: Iterable<Gateway>;
  /** Those in force. */
  readonly routes: readonly Route[];
};

/** What is decided of Gateways, and of TLS from them to backends. */
export type Decision = GatewayPlan & {
  readonly backendTls: readonly BackendTls[];
  readonly ancestorOutcomes: BackendTlsPlan['outcomes'];
};

export type Gateways = {
  /** Resolves once every kind was listed. */
  readonly synced: Promise<void>;
  /** Looks for what the Gateways there are refer to; resolves when all of it was found, or was not. */
  lookUp(around: Surroundings): Promise<void>;
  /** Decides anew, and lets the leader carry it out. */
  plan(around: Surroundings): Decision;
  close(): Promise<void>;
};

export function followGateways(
  parts: InformerParts & { readonly services: Informer<Service>; readonly isLeader: () => boolean },
  settings: DeploySettings,
  onChange: () => void,
): Gateways {
  const optional = { optional: true };
  const classes = inform<GatewayClass>(parts, GATEWAY_CLASSES, optional);
  const grants = inform<ReferenceGrant>(parts, REFERENCE_GRANTS, optional);
  const ours = <T extends KubeObject>(resource: Resource): Informer<T> =>
    inform<T>(parts, resource, { labelSelector: MANAGED, optional: true });
  const tlsPolicies = inform<BackendTlsPolicy>(parts, BACKEND_TLS_POLICIES, optional);
  const deployments = ours<Deployment>(DEPLOYMENTS);
  const made = new Map<Resource, Informer<KubeObject>>([
    [DEPLOYMENTS, deployments],
    [SERVICE_ACCOUNTS, ours(SERVICE_ACCOUNTS)],
    [DISRUPTION_BUDGETS, ours(DISRUPTION_BUDGETS)],
    [AUTOSCALERS, ours(AUTOSCALERS)],
    [CONFIG_MAPS, ours(CONFIG_MAPS)],
  ]);
  const all: readonly Informer<KubeObject>[] = [classes, grants, tlsPolicies, ...made.values()];
  for (const informer of all) informer.subscribe(onChange);
  const references = new References(parts, onChange);
  const observedBy = new Map([...made, [GATEWAY_CLASSES, classes], [SERVICES, parts.services]]);
  const deployer = new Deployer({
    ...parts,
    observed: (resource, namespace, name) =>
      observedBy.get(resource)?.get(name, resource.namespaced ? namespace : undefined),
    managed: () => managedBy(new Map([...made, [SERVICES, parts.services]])),
    onFailure: onChange,
  });
  const decide = (around: Surroundings): GatewayPlan =>
    planGateways(
      {
        ...around,
        classes: new Map([...classes.items()].map((one) => [one.metadata.name ?? '', one])),
        grants: [...grants.items()],
        running: (namespace, name) => ({
          deployment: deployments.get(name, namespace),
          service: parts.services.get(name, namespace),
        }),
        configMap: (namespace, name) => references.find<ConfigMap>(CONFIG_MAPS, namespace, name),
        secret: (namespace, name) => references.find<Secret>(SECRETS, namespace, name),
        failureOf: (uid) => deployer.failureOf(uid),
      },
      settings,
    );
  const decideTls = (around: Surroundings): BackendTlsPlan =>
    planBackendTls({
      policies: tlsPolicies.items(),
      service: (namespace, name) => parts.services.get(name, namespace),
      configMap: (namespace, name) => references.find<ConfigMap>(CONFIG_MAPS, namespace, name),
      routes: around.routes,
      clusterDomain: settings.clusterDomain,
    });
  let told: readonly GatewayListeners[] = [];
  let toldTls: readonly BackendTls[] = [];
  return {
    synced: Promise.all(all.map(({ synced }) => synced)).then(() => {}),
    async lookUp(around) {
      references.want([...decide(around).references, ...decideTls(around).references]);
      await references.listed();
    },
    plan(around) {
      const plan = decide(around);
      const tls = decideTls(around);
      references.want([...plan.references, ...tls.references]);
      deployer.wish(plan);
      told = withoutGaps(plan.listeners, plan.pending, told, ({ gateway }) => gateway);
      toldTls = withoutGaps(tls.tls, tls.pending, toldTls, backendTlsKey);
      return {
        ...plan,
        listeners: told,
        backendTls: toldTls,
        ancestorOutcomes: tls.outcomes,
      };
    },
    async close() {
      await deployer.close();
      await references.close();
      await Promise.all(all.map((informer) => informer.close()));
    },
  };
}

/** What was not looked for yet may be there: what was told before holds until it is known. */
function withoutGaps<T>(
  wanted: readonly T[],
  pending: ReadonlySet<string>,
  before: readonly T[],
  keyOf: (one: T) => string,
): readonly T[] {
  return wanted.map((one) => {
    const key = keyOf(one);
    return (pending.has(key) ? before.find((old) => keyOf(old) === key) : undefined) ?? one;
  });
}

function* managedBy(
  informers: ReadonlyMap<Resource, Informer<KubeObject>>,
): Iterable<DesiredObject> {
  for (const [resource, informer] of informers) {
    for (const object of informer.items()) {
      if (object.metadata.labels?.[MANAGED] !== undefined) yield { resource, object };
    }
  }
}
