// DaemonSet: one pod on every node it fits, each bound to its node by an affinity of its own; a changed template
// replaces them node by node, within maxUnavailable, or beside the old pod within maxSurge.

import { DAEMON_SETS, NODES, PODS } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import type { DaemonSet, Node, Pod, PodSpec, Toleration } from './objects.ts';
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
  createPod,
  isAvailable,
  isFinished,
  isReady,
  isTerminating,
  nextAvailable,
} from './pods.ts';
import { CONTROLLER_REVISIONS } from './resources.ts';
import { REVISION_HASH, revise } from './revisions.ts';
import { fitsNode, matchesSelector, untolerated } from './selector.ts';
import { resolveCount, statusActions } from './status.ts';

// what every daemon pod endures, whatever its template says: a daemon belongs to its node in bad times too
const OWN_TOLERATIONS: readonly Toleration[] = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
];
const OF_HOST_NETWORK: Toleration = {
  key: 'node.kubernetes.io/network-unavailable',
  operator: 'Exists',
  effect: 'NoSchedule',
};

export const daemonSets: Controller = {
  name: 'daemonset-controller',
  watches: [
    { resource: DAEMON_SETS, keys: itself },
    { resource: PODS, keys: (pod, observed) => setsOf(pod as Pod, observed) },
    { resource: NODES, keys: (_node, observed) => observed.list(DAEMON_SETS).map(keyOf) },
    { resource: CONTROLLER_REVISIONS, keys: controllerOf('DaemonSet') },
  ],
  reconcile: reconcileDaemonSet,
};

function setsOf(pod: Pod, observed: Observed): readonly string[] {
  if (pod.metadata.ownerReferences?.some((owner) => owner.controller === true)) {
    return controllerOf('DaemonSet')(pod);
  }
  return observed
    .list<DaemonSet>(DAEMON_SETS, pod.metadata.namespace)
    .filter((set) => matchesSelector(set.spec?.selector, pod.metadata.labels))
    .map(keyOf);
}

/** A node as this set sees it: whether it wants a pod here, and the pods it has, old template or new. */
type Place = {
  readonly node: string;
  readonly wanted: boolean;
  readonly old: readonly Pod[];
  readonly current: readonly Pod[];
  /** Pods on their way out: nothing is put beside them without surge. */
  readonly leaving: number;
};

export function reconcileDaemonSet(key: string, observed: Observed, now: number): Plan {
  const { namespace, name } = nameOf(key);
  const set = observed.get<DaemonSet>(DAEMON_SETS, name, namespace);
  if (set?.spec === undefined) return NOTHING;
  const owner = { resource: DAEMON_SETS, object: set };
  const { held, actions: claims } = claim<Pod>(owner, set.spec.selector, PODS, observed);
  const inUse = new Set(held.map((pod) => pod.metadata.labels?.[REVISION_HASH] ?? ''));
  const revision = revise(DAEMON_SETS, set, observed, inUse);
  const places = survey(set, held, revision.hash, observed);
  const changes = isTerminating(set)
    ? []
    : [...revision.actions, ...place(set, places, revision.hash, now)];
  const againInMs = nextAvailable(held, set.spec.minReadySeconds, now);
  return {
    actions: [
      ...claims,
      ...changes,
      ...statusActions(DAEMON_SETS, set, statusOf(set, places, now)),
    ],
    ...(againInMs === undefined ? {} : { againInMs }),
  };
}

function survey(
  set: DaemonSet,
  pods: readonly Pod[],
  hash: string,
  observed: Observed,
): readonly Place[] {
  const spec = set.spec?.template?.spec ?? {};
  const nodes = observed.list<Node>(NODES);
  const names = new Set([...nodes.map((node) => node.metadata.name), ...pods.map(nodeOf)]);
  return [...names].filter(Boolean).map((name): Place => {
    const here = pods.filter((pod) => nodeOf(pod) === name);
    const living = here.filter((pod) => !isTerminating(pod));
    const node = nodes.find((one) => one.metadata.name === name);
    return {
      node: name,
      wanted: node !== undefined && belongs(spec, node, living.length > 0),
      current: living.filter((pod) => pod.metadata.labels?.[REVISION_HASH] === hash),
      old: living.filter((pod) => pod.metadata.labels?.[REVISION_HASH] !== hash),
      leaving: here.length - living.length,
    };
  });
}

/** A daemon that runs already is only driven off by NoExecute. */
function belongs(spec: PodSpec, node: Node, running: boolean): boolean {
  const effects = running ? ['NoExecute'] : ['NoSchedule', 'NoExecute'];
  return fitsNode(spec, node) && untolerated(tolerationsOf(spec), node, effects) === undefined;
}

function tolerationsOf(spec: PodSpec): readonly Toleration[] {
  const own = spec.hostNetwork === true ? [...OWN_TOLERATIONS, OF_HOST_NETWORK] : OWN_TOLERATIONS;
  return [...(spec.tolerations ?? []), ...own];
}

/** The node a pod is on, or is meant for while the scheduler has not bound it yet. */
function nodeOf(pod: Pod): string {
  if (pod.spec?.nodeName !== undefined && pod.spec.nodeName !== '') return pod.spec.nodeName;
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const fields = required?.nodeSelectorTerms.flatMap((term) => term.matchFields ?? []) ?? [];
  return fields.find((field) => field.key === 'metadata.name')?.values?.[0] ?? '';
}

function place(set: DaemonSet, places: readonly Place[], hash: string, now: number): Action[] {
  const actions: Action[] = [];
  for (const { node, wanted, old, current, leaving } of places) {
    const all = [...current, ...old];
    const finished = all.filter(isFinished);
    if (!wanted) actions.push(...all.map(remove));
    else if (finished.length > 0) actions.push(...finished.map(remove));
    else if (all.length === 0 && leaving === 0) actions.push(create(set, node, hash));
    else actions.push(...youngest(current).map(remove), ...youngest(old).map(remove));
  }
  if (set.spec?.updateStrategy?.type === 'OnDelete') return actions;
  return [...actions, ...update(set, places, hash, now)];
}

/** All but the oldest: there is one pod of a template on a node. */
function youngest(pods: readonly Pod[]): readonly Pod[] {
  const age = (pod: Pod): number => Date.parse(pod.metadata.creationTimestamp ?? '') || 0;
  return pods.toSorted((a, b) => age(a) - age(b)).slice(1);
}

function update(set: DaemonSet, places: readonly Place[], hash: string, now: number): Action[] {
  const wanted = places.filter((one) => one.wanted);
  const rolling = set.spec?.updateStrategy?.rollingUpdate;
  const surge = resolveCount(rolling?.maxSurge, wanted.length, 'up');
  const available = (pod: Pod): boolean => isAvailable(pod, set.spec?.minReadySeconds, now);
  const outdated = wanted.filter((one) => one.old.length > 0 && !one.old.some(isFinished));
  if (surge > 0) {
    const surging = wanted.filter((one) => one.current.length + one.old.length + one.leaving > 1);
    const room = Math.max(0, surge - surging.length);
    const ready = outdated.filter((one) => one.current.some(available));
    const next = outdated.filter((one) => one.current.length === 0);
    // an old pod that serves nobody is replaced without waiting for room
    const broken = next.filter((one) => !one.old.some(available));
    const healthy = next.filter((one) => one.old.some(available)).slice(0, room);
    return [
      ...[...ready, ...broken].flatMap((one) => one.old.map(remove)),
      ...healthy.map((one) => create(set, one.node, hash)),
    ];
  }
  const limit = Math.max(1, resolveCount(rolling?.maxUnavailable ?? 1, wanted.length, 'up'));
  const down = wanted.filter((one) => ![...one.current, ...one.old].some(available));
  const broken = outdated.filter((one) => !one.old.some(available));
  const room = Math.max(0, limit - down.length);
  const healthy = outdated.filter((one) => one.old.some(available)).slice(0, room);
  return [...broken, ...healthy].flatMap((one) => one.old.map(remove));
}

function create(set: DaemonSet, node: string, hash: string): Action {
  const template = set.spec?.template ?? {};
  const spec = template.spec ?? {};
  const field = { key: 'metadata.name', operator: 'In', values: [node] };
  const { nodeAffinity } = spec.affinity ?? {};
  const required = nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const terms = required?.nodeSelectorTerms ?? [{}];
  return createPod(DAEMON_SETS, set, {
    template,
    labels: {
      [REVISION_HASH]: hash,
      'pod-template-generation': String(set.metadata.generation ?? 1),
    },
    spec: {
      tolerations: tolerationsOf(spec),
      affinity: {
        ...spec.affinity,
        nodeAffinity: {
          ...nodeAffinity,
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: terms.map((term) => ({ ...term, matchFields: [field] })),
          },
        },
      },
    },
  });
}

function remove(object: Pod): Action {
  return { verb: 'delete', resource: PODS, object };
}

function statusOf(set: DaemonSet, places: readonly Place[], now: number) {
  const wanted = places.filter((one) => one.wanted);
  const count = (test: (pod: Pod) => boolean): number =>
    wanted.filter((one) => [...one.current, ...one.old].some(test)).length;
  const available = count((pod) => isAvailable(pod, set.spec?.minReadySeconds, now));
  return {
    ...set.status,
    desiredNumberScheduled: wanted.length,
    currentNumberScheduled: count(() => true),
    numberMisscheduled: places.filter(
      (one) => !one.wanted && one.current.length + one.old.length > 0,
    ).length,
    numberReady: count(isReady),
    numberAvailable: available,
    numberUnavailable: wanted.length - available,
    updatedNumberScheduled: wanted.filter((one) => one.current.length > 0).length,
    observedGeneration: set.metadata.generation ?? 0,
  };
}
