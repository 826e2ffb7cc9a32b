// Deployment: a ReplicaSet for each template it ever had, the current one growing while the others shrink.
// Sizes come from rollout.ts, status and conditions from deployment-status.ts.

import { DEPLOYMENTS, PODS, REPLICA_SETS } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import { deploymentStatus, isComplete, untilDeadline } from './deployment-status.ts';
import { canonical, same, shortHash } from './hash.ts';
import type { Deployment, Labels, Pod, PodTemplate, ReplicaSet } from './objects.ts';
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
import { claim, controllerReference, isFinished, isTerminating } from './pods.ts';
import { typeMetaOf } from './resources.ts';
import {
  type Bounds,
  boundsOf,
  proportionalStep,
  recreateStep,
  rollingStep,
  type Sized,
  type Sizes,
} from './rollout.ts';
import { matchesSelector } from './selector.ts';
import { statusActions } from './status.ts';

const HASH = 'pod-template-hash';
const REVISION = 'deployment.kubernetes.io/revision';
const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history';
const DESIRED = 'deployment.kubernetes.io/desired-replicas';
const BOUND = 'deployment.kubernetes.io/max-replicas';
// these belong to the Deployment alone; all its other annotations are copied to the current ReplicaSet
const OWN_ANNOTATIONS = [
  'kubectl.kubernetes.io/last-applied-configuration',
  REVISION,
  REVISION_HISTORY,
  DESIRED,
  BOUND,
];

export const deployments: Controller = {
  name: 'deployment-controller',
  watches: [
    { resource: DEPLOYMENTS, keys: itself },
    { resource: REPLICA_SETS, keys: (set, observed) => deploymentsOf(set as ReplicaSet, observed) },
    // a Recreate waits for the last old pod to be gone, which no ReplicaSet's status tells
    { resource: PODS, keys: (pod, observed) => deploymentOfPod(pod as Pod, observed) },
  ],
  reconcile: reconcileDeployment,
};

function deploymentsOf(set: ReplicaSet, observed: Observed): readonly string[] {
  if (set.metadata.ownerReferences?.some((owner) => owner.controller === true)) {
    return controllerOf('Deployment')(set);
  }
  return observed
    .list<Deployment>(DEPLOYMENTS, set.metadata.namespace)
    .filter((one) => matchesSelector(one.spec?.selector, set.metadata.labels))
    .map(keyOf);
}

function deploymentOfPod(pod: Pod, observed: Observed): readonly string[] {
  const [key] = controllerOf('ReplicaSet')(pod);
  if (key === undefined) return [];
  const { namespace, name } = nameOf(key);
  const set = observed.get<ReplicaSet>(REPLICA_SETS, name, namespace);
  return set === undefined ? [] : controllerOf('Deployment')(set);
}

export function reconcileDeployment(key: string, observed: Observed, now: number): Plan {
  const { namespace, name } = nameOf(key);
  const deployment = observed.get<Deployment>(DEPLOYMENTS, name, namespace);
  if (deployment?.spec === undefined) return NOTHING;
  const owner = { resource: DEPLOYMENTS, object: deployment };
  const claimed = claim<ReplicaSet>(owner, deployment.spec.selector, REPLICA_SETS, observed);
  const sets = claimed.held
    .filter((set) => !isTerminating(set))
    .toSorted((a, b) => compareAge(a, b));
  const current = sets.find((set) => same(bareTemplate(set), deployment.spec?.template ?? {}));
  const old = sets.filter((set) => set !== current);
  const status = deploymentStatus(deployment, current, old, now);
  if (isTerminating(deployment)) {
    return { actions: statusActions(DEPLOYMENTS, deployment, status) };
  }

  const oldPodsLeft = old.some((set) => hasPods(set, observed));
  const changes =
    current === undefined && !deployment.spec.paused
      ? begin(deployment, old, oldPodsLeft)
      : resize(deployment, current, old, oldPodsLeft);
  const noted = noteRevision(deployment, current);
  if (noted !== undefined) return { actions: [...claimed.actions, ...changes, noted] };
  const againInMs = untilDeadline(deployment, status, now);
  return {
    actions: [
      ...claimed.actions,
      ...changes,
      ...prune(deployment, status, old),
      ...statusActions(DEPLOYMENTS, deployment, status),
    ],
    ...(againInMs === undefined ? {} : { againInMs }),
  };
}

/** A template without a ReplicaSet yet: make it, as large as the surge allows at once. */
function begin(deployment: Deployment, old: readonly ReplicaSet[], oldPodsLeft: boolean): Action[] {
  const bounds = boundsOf(deployment.spec ?? {});
  const sizedOld = old.map(sizedOf);
  const recreate = deployment.spec?.strategy?.type === 'Recreate';
  if (recreate && (oldPodsLeft || sizedOld.some((set) => set.wanted > 0))) {
    return scaled(deployment, bounds, old, recreateStep(bounds, undefined, sizedOld, oldPodsLeft));
  }
  const born: Sized = { uid: 'new', wanted: 0, available: 0, bound: 0 };
  const first = recreate
    ? bounds.desired
    : (rollingStep(bounds, born, sizedOld).get(born.uid) ?? 0);
  const object = newReplicaSet(deployment, bounds, first, lastRevision(old) + 1);
  return [
    {
      verb: 'create',
      resource: REPLICA_SETS,
      object,
      owner: { resource: DEPLOYMENTS, object: deployment },
    },
    scalingEvent(deployment, object.metadata.name, 0, first),
  ];
}

function resize(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
  oldPodsLeft: boolean,
): Action[] {
  const spec = deployment.spec ?? {};
  const bounds = boundsOf(spec);
  const all = current === undefined ? old : [...old, current];
  const sizes = nextSizes(deployment, current, old, oldPodsLeft);
  const actions = scaled(deployment, bounds, all, sizes, current);
  return actions;
}

function nextSizes(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
  oldPodsLeft: boolean,
): Sizes {
  const bounds = boundsOf(deployment.spec ?? {});
  const all = current === undefined ? old : [...old, current];
  const rescaled = all.some((set) => {
    const noted = set.metadata.annotations?.[DESIRED];
    return (set.spec?.replicas ?? 0) > 0 && noted !== undefined && Number(noted) !== bounds.desired;
  });
  if (deployment.spec?.paused === true || rescaled) {
    return proportionalStep(bounds, all.map(sizedOf));
  }
  if (current === undefined) return new Map();
  if (deployment.spec?.strategy?.type === 'Recreate') {
    return recreateStep(bounds, sizedOf(current), old.map(sizedOf), oldPodsLeft);
  }
  return rollingStep(bounds, sizedOf(current), old.map(sizedOf));
}

/** The updates that bring the ReplicaSets to these sizes, and the current one's notes up to date. */
function scaled(
  deployment: Deployment,
  bounds: Bounds,
  sets: readonly ReplicaSet[],
  sizes: Sizes,
  current?: ReplicaSet,
): Action[] {
  const revision = lastRevision(sets.filter((set) => set !== current)) + 1;
  return sets.flatMap((set) => {
    const before = set.spec?.replicas ?? 0;
    const replicas = sizes.get(set.metadata.uid ?? '') ?? before;
    let annotations: Labels = set.metadata.annotations ?? {};
    if (replicas > 0 || before > 0) annotations = { ...annotations, ...notes(bounds) };
    if (set === current) {
      annotations = { ...annotations, ...copiedAnnotations(deployment) };
      annotations = { ...annotations, ...revisionNotes(set, revision) };
    }
    const minReadySeconds = set === current ? deployment.spec?.minReadySeconds : undefined;
    const object: ReplicaSet = {
      ...set,
      metadata: { ...set.metadata, annotations },
      spec: {
        ...set.spec,
        replicas,
        ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
      },
    };
    if (same(object, { ...set, spec: { ...set.spec, replicas: before } })) return [];
    const update: Action = { verb: 'update', resource: REPLICA_SETS, object };
    if (replicas === before) return [update];
    return [update, scalingEvent(deployment, set.metadata.name, before, replicas)];
  });
}

function newReplicaSet(
  deployment: Deployment,
  bounds: Bounds,
  replicas: number,
  revision: number,
): ReplicaSet {
  const template = deployment.spec?.template ?? {};
  const hash = shortHash(canonical(template));
  const labels = { ...template.metadata?.labels, [HASH]: hash };
  const { matchLabels, ...selector } = deployment.spec?.selector ?? {};
  const minReadySeconds = deployment.spec?.minReadySeconds;
  return {
    ...typeMetaOf(REPLICA_SETS),
    metadata: {
      name: `${deployment.metadata.name}-${hash}`,
      namespace: deployment.metadata.namespace ?? '',
      labels,
      annotations: {
        ...copiedAnnotations(deployment),
        ...notes(bounds),
        [REVISION]: String(revision),
      },
      ownerReferences: [controllerReference(DEPLOYMENTS, deployment)],
    },
    spec: {
      replicas,
      ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
      selector: { ...selector, matchLabels: { ...matchLabels, [HASH]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  };
}

/** The Deployment carries its current revision; written alone, for its status rests on the version before. */
function noteRevision(deployment: Deployment, current: ReplicaSet | undefined): Action | undefined {
  const revision = current?.metadata.annotations?.[REVISION];
  const annotations = deployment.metadata.annotations ?? {};
  if (revision === undefined || annotations[REVISION] === revision) return undefined;
  const metadata = {
    ...deployment.metadata,
    annotations: { ...annotations, [REVISION]: revision },
  };
  return { verb: 'update', resource: DEPLOYMENTS, object: { ...deployment, metadata } };
}

/** Old ReplicaSets beyond the history limit go, oldest revision first, once the rollout is over. */
function prune(
  deployment: Deployment,
  status: ReturnType<typeof deploymentStatus>,
  old: readonly ReplicaSet[],
): Action[] {
  if (!isComplete(deployment, status)) return [];
  const empty = old.filter(
    (set) => (set.spec?.replicas ?? 0) === 0 && (set.status?.replicas ?? 0) === 0,
  );
  const excess = empty.length - (deployment.spec?.revisionHistoryLimit ?? 10);
  return empty
    .toSorted((a, b) => revisionOf(a) - revisionOf(b))
    .slice(0, Math.max(0, excess))
    .map((object): Action => ({ verb: 'delete', resource: REPLICA_SETS, object }));
}

function hasPods(set: ReplicaSet, observed: Observed): boolean {
  return observed
    .ownedBy(set.metadata.uid ?? '')
    .some(({ resource, object }) => resource.kind === 'Pod' && !isFinished(object));
}

function bareTemplate(set: ReplicaSet): PodTemplate {
  const template = set.spec?.template ?? {};
  const { [HASH]: _hash, ...labels } = template.metadata?.labels ?? {};
  const metadata = { ...template.metadata, labels };
  return { ...template, metadata };
}

function revisionOf(set: ReplicaSet): number {
  return Number(set.metadata.annotations?.[REVISION] ?? 0);
}

function lastRevision(sets: readonly ReplicaSet[]): number {
  return Math.max(0, ...sets.map(revisionOf));
}

/** A ReplicaSet that becomes current again (an undo) takes the newest revision and remembers its former ones. */
function revisionNotes(set: ReplicaSet, revision: number): Labels {
  const former = revisionOf(set);
  if (former >= revision) return {};
  if (former === 0) return { [REVISION]: String(revision) };
  const history = set.metadata.annotations?.[REVISION_HISTORY];
  const revisions = history === undefined ? String(former) : `${history},${former}`;
  return { [REVISION]: String(revision), [REVISION_HISTORY]: revisions };
}

function notes(bounds: Bounds): Labels {
  return { [DESIRED]: String(bounds.desired), [BOUND]: String(bounds.desired + bounds.surge) };
}

function copiedAnnotations(deployment: Deployment): Labels {
  const annotations = Object.entries(deployment.metadata.annotations ?? {});
  return Object.fromEntries(annotations.filter(([key]) => !OWN_ANNOTATIONS.includes(key)));
}

function sizedOf(set: ReplicaSet): Sized {
  return {
    uid: set.metadata.uid ?? '',
    wanted: set.spec?.replicas ?? 0,
    available: set.status?.availableReplicas ?? 0,
    bound: Number(set.metadata.annotations?.[BOUND] ?? 0),
  };
}

function compareAge(a: ReplicaSet, b: ReplicaSet): number {
  const [one, other] = [a, b].map((set) => Date.parse(set.metadata.creationTimestamp ?? '') || 0);
  return (one ?? 0) - (other ?? 0) || (a.metadata.name < b.metadata.name ? -1 : 1);
}

function scalingEvent(deployment: Deployment, set: string, from: number, to: number): Action {
  const direction = to > from ? 'up' : 'down';
  return {
    verb: 'event',
    regarding: { resource: DEPLOYMENTS, object: deployment },
    type: 'Normal',
    reason: 'ScalingReplicaSet',
    message: `Scaled ${direction} replica set ${set} from ${from} to ${to}`,
  };
}
