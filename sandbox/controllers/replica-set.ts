// ReplicaSet: as many active pods as wanted, and a status that counts them.

import { PODS, REPLICA_SETS } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import type { Pod, ReplicaSet } from './objects.ts';
import {
  type Action,
  type Controller,
  controllerOf,
  itself,
  keyOf,
  NOTHING,
  nameOf,
  type Plan,
} from './plan.ts';
import {
  claim,
  conditionOf,
  createPod,
  isActive,
  isAvailable,
  isReady,
  isTerminating,
  nextAvailable,
} from './pods.ts';
import { matchesLabels, matchesSelector } from './selector.ts';
import { statusActions } from './status.ts';

// enough for any sandbox at once; a larger step comes in several passes
const MAX_CHANGES_A_PASS = 100;

export const replicaSets: Controller = {
  name: 'replicaset-controller',
  watches: [
    { resource: REPLICA_SETS, keys: itself },
    { resource: PODS, keys: (pod, observed) => ownersOrAdopters(pod as Pod, observed) },
  ],
  reconcile: reconcileReplicaSet,
};

/** A controlled pod concerns its controller; an orphan whoever selects it. */
function ownersOrAdopters(pod: Pod, observed: Observed): readonly string[] {
  if (pod.metadata.ownerReferences?.some((owner) => owner.controller === true)) {
    return controllerOf('ReplicaSet')(pod);
  }
  return observed
    .list<ReplicaSet>(REPLICA_SETS, pod.metadata.namespace)
    .filter((set) => matchesSelector(set.spec?.selector, pod.metadata.labels))
    .map(keyOf);
}

export function reconcileReplicaSet(key: string, observed: Observed, now: number): Plan {
  const { namespace, name } = nameOf(key);
  const set = observed.get<ReplicaSet>(REPLICA_SETS, name, namespace);
  if (set === undefined) return NOTHING;
  const owner = { resource: REPLICA_SETS, object: set };
  const { held, actions } = claim<Pod>(owner, set.spec?.selector, PODS, observed);
  const active = held.filter(isActive);
  const wanted = set.spec?.replicas ?? 1;
  const againInMs = nextAvailable(active, set.spec?.minReadySeconds, now);
  const changes = isTerminating(set) ? [] : scale(set, active, wanted);
  return {
    actions: [
      ...actions,
      ...changes,
      ...statusActions(REPLICA_SETS, set, statusOf(set, active, now)),
    ],
    ...(againInMs === undefined ? {} : { againInMs }),
  };
}

function scale(set: ReplicaSet, active: readonly Pod[], wanted: number): readonly Action[] {
  const missing = Math.min(wanted - active.length, MAX_CHANGES_A_PASS);
  if (missing > 0) {
    const template = set.spec?.template ?? {};
    return Array.from({ length: missing }, () => createPod(REPLICA_SETS, set, { template }));
  }
  return active
    .toSorted((a, b) => compareForDeletion(a, b, active))
    .slice(0, Math.min(-missing, MAX_CHANGES_A_PASS))
    .map((object): Action => ({ verb: 'delete', resource: PODS, object }));
}

/** Whom to give up first: the unassigned, the not ready, the cheap, the crowded together, the young. */
function compareForDeletion(a: Pod, b: Pod, all: readonly Pod[]): number {
  const crowd = (pod: Pod): number =>
    all.filter((other) => other.spec?.nodeName === pod.spec?.nodeName).length;
  const ranks = [
    Number(a.spec?.nodeName !== undefined) - Number(b.spec?.nodeName !== undefined),
    phaseRank(a) - phaseRank(b),
    Number(isReady(a)) - Number(isReady(b)),
    deletionCost(a) - deletionCost(b),
    crowd(b) - crowd(a),
    since(b) - since(a),
    a.metadata.name < b.metadata.name ? -1 : 1,
  ];
  return ranks.find((rank) => rank !== 0) ?? 0;
}

function phaseRank(pod: Pod): number {
  return ['Pending', 'Unknown', 'Running'].indexOf(pod.status?.phase ?? 'Pending');
}

function deletionCost(pod: Pod): number {
  return Number(pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? 0);
}

function since(pod: Pod): number {
  const at = conditionOf(pod, 'Ready')?.lastTransitionTime ?? pod.metadata.creationTimestamp;
  return at === undefined ? 0 : Date.parse(at);
}

function statusOf(set: ReplicaSet, active: readonly Pod[], now: number) {
  const labels = set.spec?.template?.metadata?.labels ?? {};
  return {
    ...set.status,
    replicas: active.length,
    fullyLabeledReplicas: active.filter((pod) => matchesLabels(labels, pod.metadata.labels)).length,
    readyReplicas: active.filter(isReady).length,
    availableReplicas: active.filter((pod) => isAvailable(pod, set.spec?.minReadySeconds, now))
      .length,
    observedGeneration: set.metadata.generation ?? 0,
  };
}
