// Controllers of pods: apps and batch.

import {
  anything,
  flag,
  integer,
  intOrString,
  list,
  mergeList,
  object,
  oneOf,
  type Schema,
  text,
  time,
} from '../schema.ts';
import { CLAIM_TEMPLATE } from './core.ts';
import { CONDITIONS, META, OBJECT_REFERENCE, resource, SELECTOR } from './meta.ts';
import { POD_TEMPLATE_SPEC } from './pod.ts';

const count = (more: Partial<Schema> = {}): Schema =>
  integer({ format: 'int32', minimum: 0, ...more });
const statusOf = (fields: readonly string[], more: Readonly<Record<string, Schema>> = {}): Schema =>
  object({
    observedGeneration: integer({ format: 'int64' }),
    ...Object.fromEntries(fields.map((name) => [name, integer({ format: 'int32' })])),
    conditions: CONDITIONS,
    collisionCount: integer(),
    ...more,
  });

const SURGE: Readonly<Record<string, Schema>> = {
  maxUnavailable: intOrString(),
  maxSurge: intOrString(),
};

export const DEPLOYMENT: Schema = resource('Pods kept running and updated step by step.', {
  spec: object(
    {
      replicas: count({ default: 1, description: 'How many pods.' }),
      selector: SELECTOR,
      template: POD_TEMPLATE_SPEC,
      strategy: object(
        {
          type: oneOf(['Recreate', 'RollingUpdate'], { default: 'RollingUpdate' }),
          rollingUpdate: object(SURGE),
        },
        [],
        { default: {}, description: 'How old pods give way to new ones.' },
      ),
      minReadySeconds: count(),
      revisionHistoryLimit: count({ default: 10 }),
      paused: flag(),
      progressDeadlineSeconds: integer({ format: 'int32', default: 600 }),
    },
    ['selector', 'template'],
  ),
  status: statusOf([
    'replicas',
    'updatedReplicas',
    'readyReplicas',
    'availableReplicas',
    'unavailableReplicas',
    'terminatingReplicas',
  ]),
});

export const REPLICA_SET: Schema = resource('A number of equal pods.', {
  spec: object(
    {
      replicas: count({ default: 1 }),
      minReadySeconds: count(),
      selector: SELECTOR,
      template: POD_TEMPLATE_SPEC,
    },
    ['selector'],
  ),
  status: statusOf([
    'replicas',
    'fullyLabeledReplicas',
    'readyReplicas',
    'availableReplicas',
    'terminatingReplicas',
  ]),
});

export const DAEMON_SET: Schema = resource('One pod on every node.', {
  spec: object(
    {
      selector: SELECTOR,
      template: POD_TEMPLATE_SPEC,
      updateStrategy: object(
        {
          type: oneOf(['OnDelete', 'RollingUpdate'], { default: 'RollingUpdate' }),
          rollingUpdate: object(SURGE),
        },
        [],
        { default: {} },
      ),
      minReadySeconds: count(),
      revisionHistoryLimit: count({ default: 10 }),
    },
    ['selector', 'template'],
  ),
  status: statusOf([
    'currentNumberScheduled',
    'numberMisscheduled',
    'desiredNumberScheduled',
    'numberReady',
    'updatedNumberScheduled',
    'numberAvailable',
    'numberUnavailable',
  ]),
});

export const STATEFUL_SET: Schema = resource('Pods with a name and a place each.', {
  spec: object(
    {
      replicas: count({ default: 1 }),
      selector: SELECTOR,
      template: POD_TEMPLATE_SPEC,
      volumeClaimTemplates: list(CLAIM_TEMPLATE),
      serviceName: text(),
      podManagementPolicy: oneOf(['OrderedReady', 'Parallel'], { default: 'OrderedReady' }),
      updateStrategy: object(
        {
          type: oneOf(['OnDelete', 'RollingUpdate'], { default: 'RollingUpdate' }),
          rollingUpdate: object({
            partition: integer({ default: 0 }),
            maxUnavailable: intOrString(),
          }),
        },
        [],
        { default: {} },
      ),
      revisionHistoryLimit: count({ default: 10 }),
      minReadySeconds: count(),
      persistentVolumeClaimRetentionPolicy: object({
        whenDeleted: text({ default: 'Retain' }),
        whenScaled: text({ default: 'Retain' }),
      }),
      ordinals: object({ start: integer() }),
    },
    ['selector', 'template'],
  ),
  status: statusOf(
    ['replicas', 'readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas'],
    { currentRevision: text(), updateRevision: text() },
  ),
});

export const CONTROLLER_REVISION: Schema = resource(
  'A snapshot of a template.',
  {
    data: anything(),
    revision: integer({ format: 'int64' }),
  },
  ['revision'],
);

const JOB_SPEC: Schema = object(
  {
    parallelism: count(),
    completions: count(),
    activeDeadlineSeconds: integer({ format: 'int64' }),
    podFailurePolicy: anything(),
    successPolicy: anything(),
    backoffLimit: count({ default: 6 }),
    backoffLimitPerIndex: count(),
    maxFailedIndexes: count(),
    selector: SELECTOR,
    manualSelector: flag(),
    template: POD_TEMPLATE_SPEC,
    ttlSecondsAfterFinished: count(),
    completionMode: oneOf(['NonIndexed', 'Indexed'], { default: 'NonIndexed' }),
    suspend: flag({ default: false }),
    podReplacementPolicy: text({ default: 'TerminatingOrFailed' }),
    managedBy: text(),
  },
  ['template'],
);

export const JOB: Schema = resource('Pods that run to completion.', {
  spec: JOB_SPEC,
  status: object({
    conditions: { ...CONDITIONS, 'x-kubernetes-list-type': 'atomic' },
    startTime: time(),
    completionTime: time(),
    active: integer(),
    succeeded: integer(),
    failed: integer(),
    terminating: integer(),
    completedIndexes: text(),
    failedIndexes: text(),
    uncountedTerminatedPods: anything(),
    ready: integer(),
  }),
});

export const CRON_JOB: Schema = resource('Jobs at given times.', {
  spec: object(
    {
      schedule: text(),
      timeZone: text(),
      startingDeadlineSeconds: integer(),
      concurrencyPolicy: oneOf(['Allow', 'Forbid', 'Replace'], { default: 'Allow' }),
      suspend: flag({ default: false }),
      jobTemplate: object({ metadata: META, spec: JOB_SPEC }),
      successfulJobsHistoryLimit: count({ default: 3 }),
      failedJobsHistoryLimit: count({ default: 1 }),
    },
    ['schedule', 'jobTemplate'],
  ),
  status: object({
    active: list(OBJECT_REFERENCE),
    lastScheduleTime: time(),
    lastSuccessfulTime: time(),
  }),
});

export const DISRUPTION_BUDGET: Schema = resource('How many pods may be away on purpose.', {
  spec: object({
    minAvailable: intOrString(),
    maxUnavailable: intOrString(),
    selector: SELECTOR,
    unhealthyPodEvictionPolicy: text(),
  }),
  status: object({
    observedGeneration: integer(),
    disruptedPods: anything(),
    disruptionsAllowed: integer(),
    currentHealthy: integer(),
    desiredHealthy: integer(),
    expectedPods: integer(),
    conditions: CONDITIONS,
  }),
});

export const AUTOSCALER: Schema = resource('Scales by metrics; kept, not acted on.', {
  spec: object(
    {
      scaleTargetRef: object({ kind: text(), name: text(), apiVersion: text() }, ['kind', 'name']),
      minReplicas: count(),
      maxReplicas: count(),
      metrics: list(anything()),
      behavior: anything(),
    },
    ['scaleTargetRef', 'maxReplicas'],
  ),
  status: anything(),
});

/** Kept here because only webhook configurations merge by it. */
export const WEBHOOKS: Schema = mergeList('name', anything());
