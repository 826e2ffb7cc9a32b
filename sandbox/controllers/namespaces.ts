// Namespace deletion: everything in it is deleted, then the namespace itself. Objects that take their time (pods in
// their grace period, finalizers) are waited for; each one's end brings the namespace back here.

import { NAMESPACES, type Resource } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import type { Namespace } from './objects.ts';
import { type Action, type Controller, NOTHING, nameOf, type Plan } from './plan.ts';
import { isTerminating } from './pods.ts';
import { EPHEMERAL } from './resources.ts';
import { statusActions, withCondition } from './status.ts';

// the live API is asked again this often when it knew of objects that our watches did not show
const RECHECK_MS = 1000;

export const namespaces: Controller = {
  name: 'namespace-controller',
  watches: [{ resource: NAMESPACES, keys: ({ metadata }) => [`/${metadata.name}`] }],
  everything: (_resource, { metadata }, observed) => {
    const { namespace } = metadata;
    if (namespace === undefined) return [];
    const home = observed.get<Namespace>(NAMESPACES, namespace);
    return home !== undefined && isTerminating(home) ? [`/${namespace}`] : [];
  },
  reconcile: endNamespace,
};

export function endNamespace(key: string, observed: Observed, now: number): Plan {
  const namespace = observed.get<Namespace>(NAMESPACES, nameOf(key).name);
  if (namespace === undefined || !isTerminating(namespace)) return NOTHING;
  // others' finalizers in spec are theirs to remove; with ours gone there is nothing left to do
  if (!(namespace.spec?.finalizers ?? []).includes('kubernetes')) return NOTHING;
  const { name } = namespace.metadata;
  const resources = observed.resources().filter((resource) => resource.namespaced);
  const lasting = resources.filter((resource) => !EPHEMERAL.includes(resource));
  const left = lasting.flatMap((resource) =>
    observed.list(resource, name).map((object) => ({ resource, object })),
  );
  const deletions = left
    .filter(({ object }) => !isTerminating(object))
    .map(
      ({ resource, object }): Action => ({
        verb: 'delete',
        resource,
        object,
        propagation: 'Background',
      }),
    );
  if (left.length > 0) {
    const kinds = left.map(({ resource }) => resource);
    return { actions: [...deletions, ...tell(namespace, kinds, now)] };
  }
  const events = EPHEMERAL.flatMap((resource) =>
    observed.list(resource, name).map((object): Action => ({ verb: 'delete', resource, object })),
  );
  return {
    actions: [...events, { verb: 'finalize', namespace, resources }],
    againInMs: RECHECK_MS,
  };
}

/** For whoever asks why a namespace does not go away. */
function tell(namespace: Namespace, kinds: readonly Resource[], now: number): readonly Action[] {
  const counts = new Map<string, number>();
  for (const { plural, group } of kinds) {
    const name = group === '' ? plural : `${plural}.${group}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const list = [...counts].map(([name, count]) => `${name} has ${count} resource instances`).sort();
  const conditions = withCondition(
    namespace.status?.conditions,
    {
      type: 'NamespaceContentRemaining',
      status: 'True',
      reason: 'SomeResourcesRemain',
      message: `Some resources are remaining: ${list.join(', ')}`,
    },
    now,
  );
  return statusActions(NAMESPACES, namespace, { ...namespace.status, conditions });
}
