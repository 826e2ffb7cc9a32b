// The resources the controllers know: the table of runtime/kubernetes plus the kinds only a controller-manager touches.
// Garbage collection and namespace deletion walk OWNABLE and whatever CustomResourceDefinitions add to it.

import {
  AUTOSCALERS,
  apiVersionOf,
  CONFIG_MAPS,
  CUSTOM_RESOURCE_DEFINITIONS,
  DAEMON_SETS,
  DEPLOYMENTS,
  DISRUPTION_BUDGETS,
  ENDPOINT_SLICES,
  ENDPOINTS,
  EVENTS,
  JOBS,
  LEASES,
  NODES,
  PODS,
  REPLICA_SETS,
  type Resource,
  ROLE_BINDINGS,
  ROLES,
  SECRETS,
  SERVICE_ACCOUNTS,
  SERVICES,
  STATEFUL_SETS,
} from '../../runtime/kubernetes/resources.ts';
import type { CustomResourceDefinition } from './objects.ts';

const namespacedApi = (group: string, plural: string, kind: string): Resource => ({
  group,
  version: 'v1',
  plural,
  kind,
  namespaced: true,
});

export const CONTROLLER_REVISIONS = namespacedApi(
  'apps',
  'controllerrevisions',
  'ControllerRevision',
);

/** Namespaced kinds of the API server itself that may own, be owned, and die with their namespace. */
export const OWNABLE: readonly Resource[] = [
  PODS,
  SERVICES,
  SECRETS,
  CONFIG_MAPS,
  SERVICE_ACCOUNTS,
  ENDPOINTS,
  ENDPOINT_SLICES,
  DEPLOYMENTS,
  REPLICA_SETS,
  DAEMON_SETS,
  STATEFUL_SETS,
  CONTROLLER_REVISIONS,
  JOBS,
  LEASES,
  DISRUPTION_BUDGETS,
  AUTOSCALERS,
  ROLES,
  ROLE_BINDINGS,
];

/** Die with their namespace but never own anything: emptied last, so that they tell the story until the end. */
export const EPHEMERAL: readonly Resource[] = [EVENTS];

export function keyOfResource(resource: Resource): string {
  return `${resource.group}/${resource.plural}`;
}

/** The namespaced resource a CustomResourceDefinition declares; undefined for cluster scope or nothing served. */
export function resourceOf(crd: CustomResourceDefinition): Resource | undefined {
  const version = crd.spec?.versions.find((one) => one.served)?.name;
  if (crd.spec === undefined || version === undefined) return undefined;
  if (crd.spec.scope !== 'Namespaced') return undefined;
  const { plural, kind } = crd.spec.names;
  return { group: crd.spec.group, version, plural, kind, namespaced: true };
}

/** The resource an owner reference points at, by group and kind: versions come and go. */
export function resourceOfOwner(
  owner: { readonly apiVersion: string; readonly kind: string },
  known: readonly Resource[],
): Resource | undefined {
  const group = owner.apiVersion.includes('/') ? owner.apiVersion.split('/')[0] : '';
  return (
    known.find((resource) => resource.group === group && resource.kind === owner.kind) ??
    [NODES, CUSTOM_RESOURCE_DEFINITIONS].find(
      (resource) => resource.group === group && resource.kind === owner.kind,
    )
  );
}

export function typeMetaOf(resource: Resource): { apiVersion: string; kind: string } {
  return { apiVersion: apiVersionOf(resource), kind: resource.kind };
}
