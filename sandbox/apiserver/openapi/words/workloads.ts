// Words on groups `apps` and `batch`.

import type { Words } from './shape.ts';

export const WORKLOAD_WORDS: Words = {
  'apps.v1.Deployment': {
    is: 'Keeps pods of one template running and replaces them step by step.',
    fields: {
      spec: { is: 'How the deployment shall be.', type: 'apps.v1.DeploymentSpec' },
      status: { is: 'How the deployment fares.', type: 'apps.v1.DeploymentStatus' },
    },
  },
  'apps.v1.DeploymentSpec': {
    is: 'How the deployment shall be.',
    fields: {
      replicas: 'How many pods there shall be.',
      selector: 'Which pods belong to it.',
      template: { is: 'The pods to make.', type: 'core.v1.PodTemplateSpec' },
      strategy: { is: 'How old pods give way to new ones.', type: 'apps.v1.DeploymentStrategy' },
      minReadySeconds: 'How long a pod must be ready to count as available.',
      revisionHistoryLimit: 'Old revisions to keep.',
      paused: 'Whether changes wait.',
      progressDeadlineSeconds: 'When a rollout without progress has failed.',
    },
  },
  'apps.v1.DeploymentStrategy': {
    is: 'How old pods give way to new ones.',
    fields: {
      type: 'RollingUpdate or Recreate.',
      rollingUpdate: { is: 'Limits of a rolling update.', type: 'apps.v1.RollingUpdateDeployment' },
    },
  },
  'apps.v1.RollingUpdateDeployment': {
    is: 'Limits of a rolling update.',
    fields: {
      maxUnavailable: 'Most that may be missing.',
      maxSurge: 'Most that may be too many.',
    },
  },
  'apps.v1.DeploymentStatus': {
    is: 'How the deployment fares.',
    fields: {
      replicas: 'Pods there are.',
      readyReplicas: 'Pods that are ready.',
      availableReplicas: 'Pods that are available.',
      observedGeneration: 'Generation of the spec seen.',
      conditions: 'Observations of the present state.',
      updatedReplicas: 'Pods of the newest template.',
      unavailableReplicas: 'Pods that are missing.',
      terminatingReplicas: 'Pods on their way out.',
    },
  },
  'apps.v1.ReplicaSet': {
    is: 'Keeps a number of pods of one template running.',
    fields: {
      spec: { is: 'How the replica set shall be.', type: 'apps.v1.ReplicaSetSpec' },
      status: { is: 'How the replica set fares.', type: 'apps.v1.ReplicaSetStatus' },
    },
  },
  'apps.v1.ReplicaSetSpec': {
    is: 'How the replica set shall be.',
    fields: {
      replicas: 'How many pods there shall be.',
      selector: 'Which pods belong to it.',
      template: { is: 'The pods to make.', type: 'core.v1.PodTemplateSpec' },
      minReadySeconds: 'How long a pod must be ready to count as available.',
    },
  },
  'apps.v1.ReplicaSetStatus': {
    is: 'How the replica set fares.',
    fields: {
      replicas: 'Pods there are.',
      readyReplicas: 'Pods that are ready.',
      availableReplicas: 'Pods that are available.',
      observedGeneration: 'Generation of the spec seen.',
      conditions: 'Observations of the present state.',
      fullyLabeledReplicas: 'Pods with all labels of the template.',
      terminatingReplicas: 'Pods on their way out.',
    },
  },
  'apps.v1.DaemonSet': {
    is: 'Runs one pod on each node.',
    fields: {
      spec: { is: 'How the daemon set shall be.', type: 'apps.v1.DaemonSetSpec' },
      status: { is: 'How the daemon set fares.', type: 'apps.v1.DaemonSetStatus' },
    },
  },
  'apps.v1.DaemonSetSpec': {
    is: 'How the daemon set shall be.',
    fields: {
      selector: 'Which pods belong to it.',
      template: { is: 'The pods to make.', type: 'core.v1.PodTemplateSpec' },
      updateStrategy: {
        is: 'How old pods give way to new ones.',
        type: 'apps.v1.DaemonSetUpdateStrategy',
      },
      minReadySeconds: 'How long a pod must be ready to count as available.',
      revisionHistoryLimit: 'Old revisions to keep.',
    },
  },
  'apps.v1.DaemonSetUpdateStrategy': {
    is: 'How old pods give way to new ones.',
    fields: {
      type: 'RollingUpdate or OnDelete.',
      rollingUpdate: { is: 'Limits of a rolling update.', type: 'apps.v1.RollingUpdateDaemonSet' },
    },
  },
  'apps.v1.RollingUpdateDaemonSet': {
    is: 'Limits of a rolling update.',
    fields: {
      maxUnavailable: 'Most that may be missing.',
      maxSurge: 'Most that may be too many.',
    },
  },
  'apps.v1.DaemonSetStatus': {
    is: 'How the daemon set fares.',
    fields: {
      currentNumberScheduled: 'Nodes that run it and should.',
      numberMisscheduled: 'Nodes that run it and should not.',
      desiredNumberScheduled: 'Nodes that should run it.',
      numberReady: 'Nodes with a ready pod.',
      updatedNumberScheduled: 'Nodes with the newest pod.',
      numberAvailable: 'Nodes with an available pod.',
      numberUnavailable: 'Nodes without one.',
      observedGeneration: 'Generation of the spec seen.',
      conditions: 'Observations of the present state.',
    },
  },
  'apps.v1.StatefulSet': {
    is: 'Runs pods with stable names and storage.',
    fields: {
      spec: { is: 'How the stateful set shall be.', type: 'apps.v1.StatefulSetSpec' },
      status: { is: 'How the stateful set fares.', type: 'apps.v1.StatefulSetStatus' },
    },
  },
  'apps.v1.StatefulSetSpec': {
    is: 'How the stateful set shall be.',
    fields: {
      replicas: 'How many pods there shall be.',
      selector: 'Which pods belong to it.',
      template: { is: 'The pods to make.', type: 'core.v1.PodTemplateSpec' },
      serviceName: 'Headless service of its pods.',
      updateStrategy: {
        is: 'How old pods give way to new ones.',
        type: 'apps.v1.StatefulSetUpdateStrategy',
      },
      minReadySeconds: 'How long a pod must be ready to count as available.',
      revisionHistoryLimit: 'Old revisions to keep.',
    },
  },
  'apps.v1.StatefulSetUpdateStrategy': {
    is: 'How old pods give way to new ones.',
    fields: {
      type: 'RollingUpdate or OnDelete.',
    },
  },
  'apps.v1.StatefulSetStatus': {
    is: 'How the stateful set fares.',
    fields: {
      replicas: 'Pods there are.',
      readyReplicas: 'Pods that are ready.',
      availableReplicas: 'Pods that are available.',
      observedGeneration: 'Generation of the spec seen.',
      conditions: 'Observations of the present state.',
    },
  },
  'apps.v1.ControllerRevision': {
    is: 'A template as it was at one revision.',
    fields: {
      data: 'The template.',
      revision: 'Its number.',
    },
  },
  'batch.v1.Job': {
    is: 'Runs pods to their end.',
    fields: {
      spec: { is: 'What the job runs, and how often.', type: 'batch.v1.JobSpec' },
      status: { is: 'How the job fares.', type: 'batch.v1.JobStatus' },
    },
  },
  'batch.v1.JobSpec': {
    is: 'What the job runs, and how often.',
    fields: {
      parallelism: 'Pods at a time.',
      completions: 'Successful pods needed.',
      backoffLimit: 'Failures before giving up.',
      suspend: 'Whether it waits.',
      ttlSecondsAfterFinished: 'When it is removed after its end.',
      selector: 'Which pods belong to it.',
      template: { is: 'The pods to make.', type: 'core.v1.PodTemplateSpec' },
    },
  },
  'batch.v1.JobStatus': {
    is: 'How the job fares.',
    fields: {
      conditions: 'Observations of the present state.',
      active: 'Pods that run.',
      ready: 'Pods that are ready.',
      terminating: 'Pods on their way out.',
      succeeded: 'Pods that succeeded.',
      failed: 'Pods that failed.',
    },
  },
};
