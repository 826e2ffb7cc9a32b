// Facts about pods that several controllers ask for: ready, available, active, and how one is made from a template.

import { PODS, type Resource } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import type {
  Condition,
  KubeObject,
  LabelSelector,
  Labels,
  OwnerReference,
  Pod,
  PodSpec,
  PodTemplate,
} from './objects.ts';
import type { Action, Unnamed } from './plan.ts';
import { typeMetaOf } from './resources.ts';
import { matchesSelector } from './selector.ts';

export function conditionOf(
  object: { status?: { conditions?: readonly Condition[] } },
  type: string,
) {
  return object.status?.conditions?.find((condition) => condition.type === type);
}

export function isReady(pod: Pod): boolean {
  return conditionOf(pod, 'Ready')?.status === 'True';
}

export function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

export function isTerminating(object: KubeObject): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}

export function isActive(pod: Pod): boolean {
  return !isFinished(pod) && !isTerminating(pod);
}

/** When a pod counts as available: ready for `minReadySeconds`. Infinity while it is not ready. */
export function availableAt(pod: Pod, minReadySeconds = 0): number {
  const ready = conditionOf(pod, 'Ready');
  if (ready?.status !== 'True') return Number.POSITIVE_INFINITY;
  if (minReadySeconds === 0) return 0;
  return Date.parse(ready.lastTransitionTime ?? '') + minReadySeconds * 1000;
}

export function isAvailable(pod: Pod, minReadySeconds: number | undefined, now: number): boolean {
  return availableAt(pod, minReadySeconds) <= now;
}

/** The wait until the next of these pods turns available, if one will by time alone. */
export function nextAvailable(
  pods: readonly Pod[],
  minReadySeconds: number | undefined,
  now: number,
): number | undefined {
  const waits = pods
    .map((pod) => availableAt(pod, minReadySeconds) - now)
    .filter((wait) => wait > 0 && Number.isFinite(wait));
  return waits.length === 0 ? undefined : Math.min(...waits);
}

export function controllerReference(resource: Resource, owner: KubeObject): OwnerReference {
  return {
    ...typeMetaOf(resource),
    name: owner.metadata.name,
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

export function isControlledBy(object: KubeObject, uid: string | undefined): boolean {
  return (
    object.metadata.ownerReferences?.some(
      (owner) => owner.controller === true && owner.uid === uid,
    ) ?? false
  );
}

export type PodMaking = {
  readonly template: PodTemplate;
  /** A fixed name; without it the server names the pod after its owner. */
  readonly name?: string;
  readonly labels?: Labels;
  readonly annotations?: Labels;
  readonly spec?: Partial<PodSpec>;
};

/** The action that creates one pod of a controller. */
export function createPod(resource: Resource, owner: KubeObject, making: PodMaking): Action {
  const { template } = making;
  const annotations = { ...template.metadata?.annotations, ...making.annotations };
  const metadata = {
    ...(owner.metadata.namespace === undefined ? {} : { namespace: owner.metadata.namespace }),
    labels: { ...template.metadata?.labels, ...making.labels },
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    ownerReferences: [controllerReference(resource, owner)],
  };
  const rest = { ...typeMetaOf(PODS), spec: { ...template.spec, ...making.spec } };
  const object: KubeObject | Unnamed =
    making.name === undefined
      ? { ...rest, metadata: { ...metadata, generateName: `${owner.metadata.name}-` } }
      : { ...rest, metadata: { ...metadata, name: making.name } };
  return { verb: 'create', resource: PODS, object, owner: { resource, object: owner } };
}

export type Claim<T> = { readonly held: readonly T[]; readonly actions: readonly Action[] };

/**
 * The objects a controller holds: those it controls and still selects. Selected orphans are adopted, and those whose
 * labels moved away are released, each by an update that a concurrent change refuses.
 */
export function claim<T extends KubeObject>(
  owner: { readonly resource: Resource; readonly object: KubeObject },
  selector: LabelSelector | undefined,
  resource: Resource,
  observed: Observed,
): Claim<T> {
  const uid = owner.object.metadata.uid;
  const held: T[] = [];
  const actions: Action[] = [];
  for (const object of observed.list<T>(resource, owner.object.metadata.namespace)) {
    const references = object.metadata.ownerReferences ?? [];
    const controller = references.find((reference) => reference.controller === true);
    const selected = matchesSelector(selector, object.metadata.labels);
    if (controller?.uid === uid) {
      if (selected || isTerminating(object)) {
        held.push(object);
        continue;
      }
      const ownerReferences = references.filter((reference) => reference.uid !== uid);
      actions.push(update(resource, object, ownerReferences));
    } else if (controller === undefined && selected) {
      if (isTerminating(object) || isTerminating(owner.object)) continue;
      const ownerReferences = [...references, controllerReference(owner.resource, owner.object)];
      actions.push(update(resource, object, ownerReferences));
    }
  }
  return { held, actions };
}

function update(
  resource: Resource,
  object: KubeObject,
  ownerReferences: readonly OwnerReference[],
): Action {
  return {
    verb: 'update',
    resource,
    object: { ...object, metadata: { ...object.metadata, ownerReferences } },
  };
}
