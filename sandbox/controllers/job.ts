// Job: pods that run to their end, so many at a time, until enough have succeeded or too many have failed.

import { JOBS, PODS } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import type { Condition, Job, Pod } from './objects.ts';
import {
  type Action,
  type Controller,
  controllerOf,
  itself,
  NOTHING,
  nameOf,
  type Plan,
} from './plan.ts';
import { claim, conditionOf, createPod, isActive, isReady, isTerminating } from './pods.ts';
import { statusActions, timestamp, withCondition } from './status.ts';

const DEFAULT_BACKOFF_LIMIT = 6;

export const jobs: Controller = {
  name: 'job-controller',
  watches: [
    { resource: JOBS, keys: itself },
    { resource: PODS, keys: controllerOf('Job') },
  ],
  reconcile: reconcileJob,
};

export function reconcileJob(key: string, observed: Observed, now: number): Plan {
  const { namespace, name } = nameOf(key);
  const job = observed.get<Job>(JOBS, name, namespace);
  if (job?.spec === undefined || isTerminating(job)) return NOTHING;
  const ended = endOf(job);
  if (ended !== undefined) return expire(job, ended, now);
  const owner = { resource: JOBS, object: job };
  const selector = job.spec.selector ?? { matchLabels: { 'batch.kubernetes.io/job-name': name } };
  const { held, actions: claims } = claim<Pod>(owner, selector, PODS, observed);
  const active = held.filter(isActive);
  const succeeded = held.filter((pod) => pod.status?.phase === 'Succeeded').length;
  const failed = held.filter((pod) => pod.status?.phase === 'Failed').length;
  const outcome = judge(job, { active: active.length, succeeded, failed }, now);
  const changes = outcome === undefined ? work(job, active, succeeded) : active.map(remove);
  const conditions =
    outcome === undefined
      ? (job.status?.conditions ?? [])
      : withCondition(job.status?.conditions, outcome, now);
  const status = {
    ...job.status,
    startTime: job.status?.startTime ?? timestamp(now),
    active: outcome === undefined ? active.length : 0,
    ready: active.filter(isReady).length,
    succeeded,
    failed,
    conditions,
    ...(outcome?.type === 'Complete' ? { completionTime: timestamp(now) } : {}),
  };
  const deadline = job.spec.activeDeadlineSeconds;
  return {
    actions: [...claims, ...changes, ...statusActions(JOBS, job, status)],
    ...(deadline === undefined ? {} : { againInMs: deadline * 1000 }),
  };
}

function judge(
  job: Job,
  counts: { readonly active: number; readonly succeeded: number; readonly failed: number },
  now: number,
): Omit<Condition, 'lastTransitionTime'> | undefined {
  const { completions, parallelism = 1, activeDeadlineSeconds } = job.spec ?? {};
  const { active, succeeded, failed } = counts;
  // without completions, one success ends the work and the others may finish
  const done =
    completions === undefined && parallelism > 1
      ? succeeded > 0 && active === 0
      : succeeded >= (completions ?? 1);
  if (done) {
    const message = 'Reached expected number of succeeded pods';
    return { type: 'Complete', status: 'True', reason: 'CompletionsReached', message };
  }
  if (failed > (job.spec?.backoffLimit ?? DEFAULT_BACKOFF_LIMIT)) {
    const message = 'Job has reached the specified backoff limit';
    return { type: 'Failed', status: 'True', reason: 'BackoffLimitExceeded', message };
  }
  const started = Date.parse(job.status?.startTime ?? timestamp(now));
  if (activeDeadlineSeconds !== undefined && now >= started + activeDeadlineSeconds * 1000) {
    const message = 'Job was active longer than specified deadline';
    return { type: 'Failed', status: 'True', reason: 'DeadlineExceeded', message };
  }
  return undefined;
}

function work(job: Job, active: readonly Pod[], succeeded: number): readonly Action[] {
  const { parallelism = 1, completions, suspend = false } = job.spec ?? {};
  const left = completions === undefined && parallelism > 1 ? parallelism : (completions ?? 1);
  const open = completions === undefined && succeeded > 0 ? 0 : left - succeeded;
  const wanted = suspend ? 0 : Math.min(parallelism, open);
  const missing = Math.max(0, wanted - active.length);
  const name = job.metadata.name;
  const uid = job.metadata.uid ?? '';
  const labels = {
    'batch.kubernetes.io/job-name': name,
    'job-name': name,
    'batch.kubernetes.io/controller-uid': uid,
    'controller-uid': uid,
  };
  const template = job.spec?.template ?? {};
  const created = Array.from({ length: missing }, () => createPod(JOBS, job, { template, labels }));
  return [...created, ...active.slice(wanted).map(remove)];
}

function endOf(job: Job): Condition | undefined {
  const ends = ['Complete', 'Failed'].map((type) => conditionOf(job, type));
  return ends.find((condition) => condition?.status === 'True');
}

function expire(job: Job, ended: Condition, now: number): Plan {
  const ttl = job.spec?.ttlSecondsAfterFinished;
  if (ttl === undefined) return NOTHING;
  const left = Date.parse(ended.lastTransitionTime ?? '') + ttl * 1000 - now;
  if (left > 0) return { actions: [], againInMs: left };
  return { actions: [{ verb: 'delete', resource: JOBS, object: job, propagation: 'Foreground' }] };
}

function remove(object: Pod): Action {
  return { verb: 'delete', resource: PODS, object };
}
