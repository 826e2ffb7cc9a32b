// What a Deployment reports: counts, and the conditions Available and Progressing that `kubectl rollout status` reads.

import type {
  Condition,
  Deployment,
  DeploymentStatus,
  ReplicaSet,
  ReplicaSetStatus,
} from './objects.ts';
import { conditionOf } from './pods.ts';
import { boundsOf } from './rollout.ts';
import { timestamp, withCondition } from './status.ts';

const DEFAULT_DEADLINE_SECONDS = 600;

export function deploymentStatus(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
  now: number,
): DeploymentStatus {
  const all = current === undefined ? old : [...old, current];
  const total = (field: keyof ReplicaSetStatus): number =>
    all.reduce((count, set) => count + Number(set.status?.[field] ?? 0), 0);
  const { desired, unavailable } = boundsOf(deployment.spec ?? {});
  const available = total('availableReplicas');
  const wanted = all.reduce((count, set) => count + (set.spec?.replicas ?? 0), 0);
  const counts = {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas: total('replicas'),
    updatedReplicas: current?.status?.replicas ?? 0,
    readyReplicas: total('readyReplicas'),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, wanted - available),
  };
  const enough = available >= desired - unavailable;
  const conditions = withCondition(
    deployment.status?.conditions,
    dated(deployment, now, {
      type: 'Available',
      status: enough ? 'True' : 'False',
      reason: enough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
      message: enough
        ? 'Deployment has minimum availability.'
        : 'Deployment does not have minimum availability.',
    }),
    now,
  );
  const progress = progressOf(deployment, current, counts, now);
  return { ...deployment.status, ...counts, conditions: withCondition(conditions, progress, now) };
}

export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const desired = deployment.spec?.replicas ?? 1;
  return (
    status.updatedReplicas === desired &&
    status.replicas === desired &&
    status.availableReplicas === desired
  );
}

/** The wait until the progress deadline, while one is running. */
export function untilDeadline(
  deployment: Deployment,
  status: DeploymentStatus,
  now: number,
): number | undefined {
  const progressing = conditionOf({ status }, 'Progressing');
  if (progressing === undefined || isSettled(progressing)) return undefined;
  return Math.max(1000, deadlineOf(deployment, progressing) - now);
}

function progressOf(
  deployment: Deployment,
  current: ReplicaSet | undefined,
  status: DeploymentStatus,
  now: number,
): Omit<Condition, 'lastTransitionTime'> {
  const former = conditionOf(deployment, 'Progressing');
  const name = current?.metadata.name ?? '';
  const set = (word: Condition['status'], reason: string, message: string) =>
    dated(deployment, now, { type: 'Progressing', status: word, reason, message });
  if (deployment.spec?.paused === true) {
    return set('Unknown', 'DeploymentPaused', 'Deployment is paused');
  }
  if (current === undefined) {
    return set('True', 'NewReplicaSetCreated', 'Creating a new replica set');
  }
  if (isComplete(deployment, status)) {
    const message = `ReplicaSet "${name}" has successfully progressed.`;
    return set('True', 'NewReplicaSetAvailable', message);
  }
  const aboutThis = former?.message?.includes(`"${name}"`) ?? false;
  if (former?.reason === 'DeploymentPaused') {
    return set('True', 'DeploymentResumed', `Deployment is resumed with replica set "${name}"`);
  }
  if (former === undefined || !aboutThis) {
    return set('True', 'NewReplicaSetCreated', `Created new replica set "${name}"`);
  }
  // done before, now only scaled or a pod replaced: no new rollout began
  if (former.reason === 'NewReplicaSetAvailable') return former;
  if (hasAdvanced(deployment.status ?? {}, status)) {
    return {
      ...set('True', 'ReplicaSetUpdated', `ReplicaSet "${name}" is progressing.`),
      lastUpdateTime: timestamp(now),
    };
  }
  if (former.status !== 'False' && now >= deadlineOf(deployment, former)) {
    const message = `ReplicaSet "${name}" has timed out progressing.`;
    return set('False', 'ProgressDeadlineExceeded', message);
  }
  return former;
}

function hasAdvanced(before: DeploymentStatus, after: DeploymentStatus): boolean {
  const old = (status: DeploymentStatus): number =>
    (status.replicas ?? 0) - (status.updatedReplicas ?? 0);
  return (
    (after.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    old(after) < old(before) ||
    (after.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (after.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  );
}

function deadlineOf(deployment: Deployment, progressing: Condition): number {
  const seconds = deployment.spec?.progressDeadlineSeconds ?? DEFAULT_DEADLINE_SECONDS;
  return Date.parse(progressing.lastUpdateTime ?? '') + seconds * 1000;
}

function isSettled(progressing: Condition): boolean {
  const { reason = '' } = progressing;
  return ['NewReplicaSetAvailable', 'ProgressDeadlineExceeded', 'DeploymentPaused'].includes(
    reason,
  );
}

/** The condition with its update time: now if it says something new, else as it was. */
function dated(
  deployment: Deployment,
  now: number,
  condition: Omit<Condition, 'lastTransitionTime'>,
): Omit<Condition, 'lastTransitionTime'> {
  const former = conditionOf(deployment, condition.type);
  const unchanged = former?.reason === condition.reason && former?.message === condition.message;
  const lastUpdateTime = (unchanged ? former?.lastUpdateTime : undefined) ?? timestamp(now);
  return { ...condition, lastUpdateTime };
}
