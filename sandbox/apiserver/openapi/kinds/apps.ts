// Schemas of groups `apps` and `batch`: what makes pods.

import {
  anything,
  flag,
  integer,
  intOrString,
  list,
  object,
  type Schema,
  text,
  time,
} from '../../schema.ts';
import { CONDITIONS, resource, SELECTOR } from '../../schemas/meta.ts';
import { definer, field } from './definition.ts';
import { POD_TEMPLATE } from './pod.ts';

const apps = definer('apps.v1');
const batch = definer('batch.v1');
const int32 = (description: string, more: Partial<Schema> = {}): Schema =>
  integer({ format: 'int32', description, ...more });
const generation = integer({ format: 'int64', description: 'Generation of the spec seen.' });
const selector = field(SELECTOR, 'Which pods belong to it.');
const template = field(POD_TEMPLATE, 'The pods to make.');
const minReadySeconds = int32('How long a pod must be ready to count as available.');
const revisionHistoryLimit = int32('Old revisions to keep.', { default: 10 });
const replicas = int32('How many pods there shall be.', { default: 1 });

const MAX_UNAVAILABLE = intOrString({ default: '25%', description: 'Most that may be missing.' });
const MAX_SURGE = intOrString({ default: '25%', description: 'Most that may be too many.' });

const DEPLOYMENT_STRATEGY = apps(
  'DeploymentStrategy',
  'How old pods give way to new ones.',
  {
    type: text({ default: 'RollingUpdate', description: 'RollingUpdate or Recreate.' }),
    rollingUpdate: apps('RollingUpdateDeployment', 'Limits of a rolling update.', {
      maxUnavailable: MAX_UNAVAILABLE,
      maxSurge: MAX_SURGE,
    }),
  },
  [],
  {
    default: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } },
    'x-kubernetes-patch-strategy': 'retainKeys',
  },
);

const DAEMON_STRATEGY = apps(
  'DaemonSetUpdateStrategy',
  'How old pods give way to new ones.',
  {
    type: text({ default: 'RollingUpdate', description: 'RollingUpdate or OnDelete.' }),
    rollingUpdate: apps('RollingUpdateDaemonSet', 'Limits of a rolling update.', {
      maxUnavailable: intOrString({ default: 1, description: 'Most that may be missing.' }),
      maxSurge: intOrString({ default: 0, description: 'Most that may be too many.' }),
    }),
  },
  [],
  { default: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } } },
);

const STATEFUL_STRATEGY = apps(
  'StatefulSetUpdateStrategy',
  'How old pods give way to new ones.',
  {
    type: text({ default: 'RollingUpdate', description: 'RollingUpdate or OnDelete.' }),
    rollingUpdate: object({
      partition: int32('First ordinal to update.', { default: 0 }),
      maxUnavailable: intOrString(),
    }),
  },
  [],
  { default: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } } },
);

const COUNTS: Readonly<Record<string, Schema>> = {
  replicas: int32('Pods there are.', { default: 0 }),
  readyReplicas: int32('Pods that are ready.'),
  availableReplicas: int32('Pods that are available.'),
  observedGeneration: generation,
  conditions: CONDITIONS,
};

const JOB_SPEC = batch(
  'JobSpec',
  'What the job runs, and how often.',
  {
    parallelism: int32('Pods at a time.', { default: 1 }),
    completions: int32('Successful pods needed.'),
    activeDeadlineSeconds: integer({ format: 'int64' }),
    backoffLimit: int32('Failures before giving up.', { default: 6 }),
    backoffLimitPerIndex: integer(),
    maxFailedIndexes: integer(),
    completionMode: text({ default: 'NonIndexed' }),
    suspend: flag({ default: false, description: 'Whether it waits.' }),
    ttlSecondsAfterFinished: int32('When it is removed after its end.'),
    podReplacementPolicy: text(),
    podFailurePolicy: anything(),
    successPolicy: anything(),
    managedBy: text(),
    manualSelector: flag(),
    selector,
    template,
  },
  ['template'],
);

export const APPS_KINDS: Readonly<Record<string, Schema>> = {
  'Deployment.apps': resource(
    'Keeps pods of one template running and replaces them step by step.',
    {
      spec: apps(
        'DeploymentSpec',
        'How the deployment shall be.',
        {
          replicas,
          selector,
          template,
          strategy: DEPLOYMENT_STRATEGY,
          minReadySeconds,
          revisionHistoryLimit,
          paused: flag({ description: 'Whether changes wait.' }),
          progressDeadlineSeconds: int32('When a rollout without progress has failed.', {
            default: 600,
          }),
        },
        ['selector', 'template'],
      ),
      status: apps('DeploymentStatus', 'How the deployment fares.', {
        ...COUNTS,
        replicas: int32('Pods there are.'),
        updatedReplicas: int32('Pods of the newest template.'),
        unavailableReplicas: int32('Pods that are missing.'),
        terminatingReplicas: int32('Pods on their way out.'),
        collisionCount: integer({ format: 'int32' }),
      }),
    },
  ),
  'ReplicaSet.apps': resource('Keeps a number of pods of one template running.', {
    spec: apps(
      'ReplicaSetSpec',
      'How the replica set shall be.',
      { replicas, selector, template, minReadySeconds },
      ['selector'],
    ),
    status: apps('ReplicaSetStatus', 'How the replica set fares.', {
      ...COUNTS,
      fullyLabeledReplicas: int32('Pods with all labels of the template.'),
      terminatingReplicas: int32('Pods on their way out.'),
    }),
  }),
  'DaemonSet.apps': resource('Runs one pod on each node.', {
    spec: apps(
      'DaemonSetSpec',
      'How the daemon set shall be.',
      {
        selector,
        template,
        updateStrategy: DAEMON_STRATEGY,
        minReadySeconds,
        revisionHistoryLimit,
      },
      ['selector', 'template'],
    ),
    status: apps('DaemonSetStatus', 'How the daemon set fares.', {
      currentNumberScheduled: int32('Nodes that run it and should.', { default: 0 }),
      numberMisscheduled: int32('Nodes that run it and should not.', { default: 0 }),
      desiredNumberScheduled: int32('Nodes that should run it.', { default: 0 }),
      numberReady: int32('Nodes with a ready pod.', { default: 0 }),
      updatedNumberScheduled: int32('Nodes with the newest pod.'),
      numberAvailable: int32('Nodes with an available pod.'),
      numberUnavailable: int32('Nodes without one.'),
      observedGeneration: generation,
      collisionCount: integer({ format: 'int32' }),
      conditions: CONDITIONS,
    }),
  }),
  'StatefulSet.apps': resource('Runs pods with stable names and storage.', {
    spec: apps(
      'StatefulSetSpec',
      'How the stateful set shall be.',
      {
        replicas,
        selector,
        template,
        serviceName: text({ description: 'Headless service of its pods.' }),
        podManagementPolicy: text({ default: 'OrderedReady' }),
        updateStrategy: STATEFUL_STRATEGY,
        minReadySeconds,
        revisionHistoryLimit,
        volumeClaimTemplates: list(anything()),
        persistentVolumeClaimRetentionPolicy: anything(),
        ordinals: object({ start: integer() }),
      },
      ['selector', 'template'],
    ),
    status: apps('StatefulSetStatus', 'How the stateful set fares.', {
      ...COUNTS,
      currentReplicas: integer(),
      updatedReplicas: integer(),
      currentRevision: text(),
      updateRevision: text(),
      collisionCount: integer(),
    }),
  }),
  'ControllerRevision.apps': resource('A template as it was at one revision.', {
    data: anything({ description: 'The template.' }),
    revision: integer({ format: 'int64', description: 'Its number.' }),
  }),
  'Job.batch': resource('Runs pods to their end.', {
    spec: JOB_SPEC,
    status: batch('JobStatus', 'How the job fares.', {
      conditions: CONDITIONS,
      startTime: time(),
      completionTime: time(),
      active: int32('Pods that run.'),
      ready: int32('Pods that are ready.'),
      terminating: int32('Pods on their way out.'),
      succeeded: int32('Pods that succeeded.'),
      failed: int32('Pods that failed.'),
      completedIndexes: text(),
      failedIndexes: text(),
      uncountedTerminatedPods: anything(),
    }),
  }),
};
