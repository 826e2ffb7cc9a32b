// `kubectl get` of groups `apps` and `batch`.

import { type KubeObject, recordAt, stringAt } from '../../object.ts';
import { formatDuration } from '../age.ts';
import {
  AGE,
  type Column,
  count,
  joined,
  NAME,
  numberAt,
  recordsAt,
  SELECTOR,
  spec,
  status,
  templateColumns,
  text,
} from '../columns.ts';

const desired = (object: KubeObject): number => numberAt(spec(object), 'replicas', 1);
const fromStatus = (name: string, field: string): Column =>
  count(name, (object) => numberAt(status(object), field));
const ready = text(
  'Ready',
  (object) => `${numberAt(status(object), 'readyReplicas')}/${desired(object)}`,
);
const TEMPLATE = templateColumns();

function jobStatus(job: KubeObject): string {
  const isTrue = (type: string): boolean =>
    recordsAt(status(job), 'conditions').some(
      (condition) => condition['type'] === type && condition['status'] === 'True',
    );
  if (isTrue('Complete')) return 'Complete';
  if (isTrue('Failed')) return 'Failed';
  if (job.metadata.deletionTimestamp !== undefined) return 'Terminating';
  if (isTrue('Suspended')) return 'Suspended';
  return isTrue('FailureTarget') ? 'FailureTarget' : 'Running';
}

function jobCompletions(job: KubeObject): string {
  const succeeded = numberAt(status(job), 'succeeded');
  const completions = spec(job)['completions'];
  if (typeof completions === 'number') return `${succeeded}/${completions}`;
  const parallelism = numberAt(spec(job), 'parallelism', 1);
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function jobDuration(job: KubeObject, now: number): string {
  const start = Date.parse(stringAt(status(job), 'startTime') ?? '');
  if (Number.isNaN(start)) return '';
  const end = Date.parse(stringAt(status(job), 'completionTime') ?? '');
  return formatDuration((Number.isNaN(end) ? now : end) - start);
}

export const WORKLOAD_TABLES: Readonly<Record<string, readonly Column[]>> = {
  'Deployment.apps': [
    NAME,
    ready,
    fromStatus('Up-to-date', 'updatedReplicas'),
    fromStatus('Available', 'availableReplicas'),
    AGE,
    ...TEMPLATE,
    SELECTOR,
  ],
  'ReplicaSet.apps': [
    NAME,
    count('Desired', desired),
    fromStatus('Current', 'replicas'),
    fromStatus('Ready', 'readyReplicas'),
    AGE,
    ...TEMPLATE,
    SELECTOR,
  ],
  'DaemonSet.apps': [
    NAME,
    fromStatus('Desired', 'desiredNumberScheduled'),
    fromStatus('Current', 'currentNumberScheduled'),
    fromStatus('Ready', 'numberReady'),
    fromStatus('Up-to-date', 'updatedNumberScheduled'),
    fromStatus('Available', 'numberAvailable'),
    text('Node Selector', nodeSelector),
    AGE,
    ...TEMPLATE,
    SELECTOR,
  ],
  'StatefulSet.apps': [NAME, ready, AGE, ...TEMPLATE],
  'Job.batch': [
    NAME,
    text('Status', jobStatus),
    text('Completions', jobCompletions),
    text('Duration', jobDuration),
    AGE,
    ...TEMPLATE,
    SELECTOR,
  ],
};

function nodeSelector(object: KubeObject): string {
  const template = recordAt(recordAt(spec(object), 'template'), 'spec');
  const labels = Object.entries(recordAt(template, 'nodeSelector'));
  return joined(labels.map(([key, value]) => `${key}=${String(value)}`).sort());
}
