// Gateways of ours from object to running proxy, put together: what is watched for it, the plan, and who carries it out.
// Built by app.ts, which asks for a plan with each translation and tells of the outcomes.

import { MANAGED } from '../../mesh/waypoint.ts';
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
import { References } from '../watch/references.ts';
import { Deployer } from './deployer.ts';
import type { DesiredObject } from './desired.ts';
import { type GatewayFacts, type GatewayPlan, planGateways } from './plan.ts';
import type { DeploySettings } from './settings.ts';

/** What a plan needs that others know. */
export type Surroundings = Pick<GatewayFacts, 'attachedRoutes' | 'uses' | 'roots'> & {
  readonly gateways: Iterable<Gateway>;
};

export type Gateways = {
  /** Resolves once every kind was listed. */
  readonly synced: Promise<void>;
  /** Decides anew, and lets the leader carry it out. */
  plan(around: Surroundings): GatewayPlan;
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
  const deployments = ours<Deployment>(DEPLOYMENTS);
  const made = new Map<Resource, Informer<KubeObject>>([
    [DEPLOYMENTS, deployments],
    [SERVICE_ACCOUNTS, ours(SERVICE_ACCOUNTS)],
    [DISRUPTION_BUDGETS, ours(DISRUPTION_BUDGETS)],
    [AUTOSCALERS, ours(AUTOSCALERS)],
    [CONFIG_MAPS, ours(CONFIG_MAPS)],
  ]);
  const all: readonly Informer<KubeObject>[] = [classes, grants, ...made.values()];
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
  return {
    synced: Promise.all(all.map(({ synced }) => synced)).then(() => {}),
    plan(around) {
      const plan = planGateways(
        {
          ...around,
          classes: new Map([...classes.items()].map((one) => [one.metadata.name ?? '', one])),
          grants: grants.items(),
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
      references.want(plan.references);
      deployer.wish(plan);
      return plan;
    },
    async close() {
      await deployer.close();
      await references.close();
      await Promise.all(all.map((informer) => informer.close()));
    },
  };
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
