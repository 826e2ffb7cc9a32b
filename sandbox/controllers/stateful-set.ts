// StatefulSet: pods with fixed names, made in order and replaced one at a time from the last to the first.
// Volume claims are not made: the sandbox has no volumes to claim.

import { PODS, STATEFUL_SETS } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import type { Pod, StatefulSet } from './objects.ts';
import {
  type Action,
  type Controller,
  controllerOf,
  itself,
  NOTHING,
  nameOf,
  type Plan,
} from './plan.ts';
import {
  claim,
  createPod,
  isAvailable,
  isFinished,
  isReady,
  isTerminating,
  nextAvailable,
} from './pods.ts';
import { CONTROLLER_REVISIONS } from './resources.ts';
import { REVISION_HASH, type Revised, revise } from './revisions.ts';
import { statusActions } from './status.ts';

export const statefulSets: Controller = {
  name: 'statefulset-controller',
  watches: [
    { resource: STATEFUL_SETS, keys: itself },
    { resource: PODS, keys: controllerOf('StatefulSet') },
    { resource: CONTROLLER_REVISIONS, keys: controllerOf('StatefulSet') },
  ],
  reconcile: reconcileStatefulSet,
};

export function reconcileStatefulSet(key: string, observed: Observed, now: number): Plan {
  const { namespace, name } = nameOf(key);
  const set = observed.get<StatefulSet>(STATEFUL_SETS, name, namespace);
  if (set?.spec === undefined) return NOTHING;
  const owner = { resource: STATEFUL_SETS, object: set };
  const { held, actions: claims } = claim<Pod>(owner, set.spec.selector, PODS, observed);
  const pods = held.filter((pod) => ordinalOf(set, pod) !== undefined);
  const inUse = new Set(pods.map((pod) => pod.metadata.labels?.[REVISION_HASH] ?? ''));
  const revision = revise(STATEFUL_SETS, set, observed, inUse);
  const changes = isTerminating(set)
    ? []
    : [...revision.actions, ...step(set, pods, revision.name, now)];
  const againInMs = nextAvailable(pods, set.spec.minReadySeconds, now);
  const status = statusOf(set, pods, revision, now);
  return {
    actions: [...claims, ...changes, ...statusActions(STATEFUL_SETS, set, status)],
    ...(againInMs === undefined ? {} : { againInMs }),
  };
}

function ordinalOf(set: StatefulSet, pod: Pod): number | undefined {
  const suffix = pod.metadata.name.slice(set.metadata.name.length + 1);
  return /^\d+$/.test(suffix) ? Number(suffix) : undefined;
}

/** The next thing to do: fill from below, shrink from above, then update from above. */
function step(set: StatefulSet, pods: readonly Pod[], revision: string, now: number): Action[] {
  const wanted = set.spec?.replicas ?? 1;
  const parallel = set.spec?.podManagementPolicy === 'Parallel';
  const settled = (pod: Pod): boolean =>
    !isTerminating(pod) && isAvailable(pod, set.spec?.minReadySeconds, now);
  const actions: Action[] = [];
  for (let ordinal = 0; ordinal < wanted; ordinal++) {
    const pod = pods.find((one) => ordinalOf(set, one) === ordinal);
    if (pod === undefined) actions.push(create(set, ordinal, revision));
    else if (isFinished(pod) && !isTerminating(pod)) actions.push(remove(pod));
    // the order is the promise: the next one starts when this one serves
    if (!parallel && (pod === undefined || !settled(pod))) return actions;
  }
  const excess = pods
    .filter((pod) => (ordinalOf(set, pod) ?? 0) >= wanted)
    .toSorted((a, b) => (ordinalOf(set, b) ?? 0) - (ordinalOf(set, a) ?? 0));
  if (excess.length > 0) {
    if (parallel) return [...actions, ...excess.filter((pod) => !isTerminating(pod)).map(remove)];
    if (excess.some(isTerminating)) return actions;
    return [...actions, ...excess.slice(0, 1).map(remove)];
  }
  return actions.length > 0 ? actions : update(set, pods, revision, settled);
}

function update(
  set: StatefulSet,
  pods: readonly Pod[],
  revision: string,
  settled: (pod: Pod) => boolean,
): Action[] {
  const { type, rollingUpdate } = set.spec?.updateStrategy ?? {};
  if (type === 'OnDelete') return [];
  const partition = rollingUpdate?.partition ?? 0;
  const updatable = pods
    .filter((pod) => (ordinalOf(set, pod) ?? 0) >= partition)
    .toSorted((a, b) => (ordinalOf(set, b) ?? 0) - (ordinalOf(set, a) ?? 0));
  for (const pod of updatable) {
    if (isTerminating(pod)) return [];
    if (pod.metadata.labels?.[REVISION_HASH] !== revision) return [remove(pod)];
    if (!settled(pod)) return [];
  }
  return [];
}

function create(set: StatefulSet, ordinal: number, revision: string): Action {
  const name = `${set.metadata.name}-${ordinal}`;
  const { serviceName } = set.spec ?? {};
  return createPod(STATEFUL_SETS, set, {
    template: set.spec?.template ?? {},
    name,
    labels: {
      [REVISION_HASH]: revision,
      'statefulset.kubernetes.io/pod-name': name,
      'apps.kubernetes.io/pod-index': String(ordinal),
    },
    spec: { hostname: name, ...(serviceName === undefined ? {} : { subdomain: serviceName }) },
  });
}

function remove(object: Pod): Action {
  return { verb: 'delete', resource: PODS, object };
}

function statusOf(set: StatefulSet, pods: readonly Pod[], { name }: Revised, now: number) {
  const living = pods.filter((pod) => !isTerminating(pod));
  const updated = living.filter((pod) => pod.metadata.labels?.[REVISION_HASH] === name);
  const wanted = set.spec?.replicas ?? 1;
  const former = set.status?.['currentRevision'];
  const finished = updated.length === wanted && living.length === wanted;
  const currentRevision = finished || former === undefined ? name : former;
  return {
    ...set.status,
    replicas: living.length,
    readyReplicas: living.filter(isReady).length,
    availableReplicas: living.filter((pod) => isAvailable(pod, set.spec?.minReadySeconds, now))
      .length,
    updatedReplicas: updated.length,
    currentReplicas: living.filter(
      (pod) => pod.metadata.labels?.[REVISION_HASH] === currentRevision,
    ).length,
    currentRevision,
    updateRevision: name,
    observedGeneration: set.metadata.generation ?? 0,
  };
}
