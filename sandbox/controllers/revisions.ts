// ControllerRevisions: the numbered history of a DaemonSet's or StatefulSet's template, which `kubectl rollout history`
// and `undo` read. The current template's revision always has the highest number.

import type { Resource } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import { canonical, same, shortHash } from './hash.ts';
import type { ControllerRevision, KubeObject, Labels, PodTemplate } from './objects.ts';
import type { Action } from './plan.ts';
import { controllerReference, isControlledBy } from './pods.ts';
import { CONTROLLER_REVISIONS, typeMetaOf } from './resources.ts';

export const REVISION_HASH = 'controller-revision-hash';

const DEFAULT_HISTORY_LIMIT = 10;

export type Revised = {
  /** The label value that marks pods made from the current template. */
  readonly hash: string;
  /** The current revision's object name. */
  readonly name: string;
  readonly actions: readonly Action[];
};

type Templated = KubeObject & {
  readonly spec?: { readonly template?: PodTemplate; readonly revisionHistoryLimit?: number };
};

export function revise(
  resource: Resource,
  owner: Templated,
  observed: Observed,
  inUse: ReadonlySet<string>,
): Revised {
  const template = owner.spec?.template ?? {};
  const data = { spec: { template: { ...template, $patch: 'replace' } } };
  const hash = shortHash(canonical(template));
  const name = `${owner.metadata.name}-${hash}`;
  const history = observed
    .list<ControllerRevision>(CONTROLLER_REVISIONS, owner.metadata.namespace)
    .filter((one) => isControlledBy(one, owner.metadata.uid))
    .toSorted((a, b) => a.revision - b.revision);
  const current = history.find((one) => same(one.data, data));
  const newest = history.at(-1)?.revision ?? 0;
  const marker = current?.metadata.labels?.[REVISION_HASH] ?? hash;
  const actions = prune(history, current, inUse, owner.spec?.revisionHistoryLimit);
  if (current === undefined) {
    const object: ControllerRevision = {
      ...typeMetaOf(CONTROLLER_REVISIONS),
      metadata: {
        name,
        namespace: owner.metadata.namespace ?? '',
        labels: { ...template.metadata?.labels, [REVISION_HASH]: hash },
        ...changeCause(owner),
        ownerReferences: [controllerReference(resource, owner)],
      },
      data,
      revision: newest + 1,
    };
    actions.push({ verb: 'create', resource: CONTROLLER_REVISIONS, object });
  } else if (current.revision < newest) {
    const object = { ...current, revision: newest + 1 };
    actions.push({ verb: 'update', resource: CONTROLLER_REVISIONS, object });
  }
  return { hash: marker, name: current?.metadata.name ?? name, actions };
}

function prune(
  history: readonly ControllerRevision[],
  current: ControllerRevision | undefined,
  inUse: ReadonlySet<string>,
  limit = DEFAULT_HISTORY_LIMIT,
): Action[] {
  const idle = history.filter(
    (one) => one !== current && !inUse.has(one.metadata.labels?.[REVISION_HASH] ?? ''),
  );
  return idle
    .slice(0, Math.max(0, idle.length - limit))
    .map((object): Action => ({ verb: 'delete', resource: CONTROLLER_REVISIONS, object }));
}

function changeCause(owner: KubeObject): { annotations?: Labels } {
  const cause = owner.metadata.annotations?.['kubernetes.io/change-cause'];
  return cause === undefined ? {} : { annotations: { 'kubernetes.io/change-cause': cause } };
}
