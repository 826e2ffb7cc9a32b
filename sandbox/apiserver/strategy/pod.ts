// Pods: conditional defaults, admission (account, token volume, priority, tolerations), and what may change later.

import { type Cluster, readObject, SERVICE_ACCOUNTS } from '../cluster.ts';
import { deepEqual } from '../equal.ts';
import { type FieldError, forbidden, forbiddenField } from '../errors.ts';
import {
  isRecord,
  type JsonObject,
  type KubeObject,
  listAt,
  recordAt,
  stringAt,
} from '../object.ts';
import { bucketOf } from '../registry.ts';
import { fillPodDefaults } from './pod-defaults.ts';
import { validatePodSpec } from './pod-validation.ts';
import type { Strategy } from './strategy.ts';
import { mountToken } from './token-volume.ts';

const PODS = { group: '', plural: 'pods' };
const SYSTEM_PRIORITIES: Readonly<Record<string, number>> = {
  'system-cluster-critical': 2_000_000_000,
  'system-node-critical': 2_000_001_000,
};
/** How long a pod stays on a node that is not ready, as a real server sets it. */
const TOLERATION_SECONDS = 300;

export const POD_STRATEGY: Strategy = {
  defaults(object, old) {
    const spec = recordAt(object, 'spec');
    fillPodDefaults(spec);
    if (old === undefined) {
      object['status'] = { phase: 'Pending', qosClass: qualityOf(spec) };
    }
  },
  admit(object, old, { cluster }) {
    if (old !== undefined) return;
    const spec = recordAt(object, 'spec');
    admitAccount(cluster, object, spec);
    admitPriority(cluster, object, spec);
    tolerateNodeTrouble(spec);
  },
  validate(object, old) {
    const spec = recordAt(object, 'spec');
    const errors = validatePodSpec(spec, 'spec');
    if (old !== undefined) errors.push(...validateChange(spec, recordAt(old, 'spec')));
    return errors;
  },
};

function admitAccount(cluster: Cluster, pod: KubeObject, spec: JsonObject): void {
  const name = stringAt(spec, 'serviceAccountName') ?? 'default';
  spec['serviceAccountName'] = name;
  spec['serviceAccount'] = name;
  const namespace = pod.metadata.namespace ?? '';
  const account = readObject(cluster, SERVICE_ACCOUNTS, name, namespace);
  // the default account is made by a controller a moment after its namespace: a pod need not wait for it
  if (account === undefined && name !== 'default') {
    throw forbidden(
      PODS,
      pod.metadata.name ?? '',
      `error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`,
    );
  }
  const wanted = spec['automountServiceAccountToken'] ?? account?.['automountServiceAccountToken'];
  if (wanted !== false) mountToken(spec);
  const secrets = listAt(account, 'imagePullSecrets');
  if (secrets.length > 0 && listAt(spec, 'imagePullSecrets').length === 0) {
    spec['imagePullSecrets'] = structuredClone(secrets);
  }
}

function admitPriority(cluster: Cluster, pod: KubeObject, spec: JsonObject): void {
  const name = stringAt(spec, 'priorityClassName') ?? '';
  spec['preemptionPolicy'] ??= 'PreemptLowerPriority';
  if (name === '') {
    spec['priority'] = 0;
    return;
  }
  const stored = cluster.store.read(
    bucketOf({ group: 'scheduling.k8s.io', plural: 'priorityclasses' }),
    undefined,
    name,
  );
  const priority = SYSTEM_PRIORITIES[name] ?? stored?.['value'];
  if (typeof priority !== 'number') {
    throw forbidden(PODS, pod.metadata.name ?? '', `no PriorityClass with name ${name} was found`);
  }
  spec['priority'] = priority;
}

function tolerateNodeTrouble(spec: JsonObject): void {
  const tolerations = [...listAt(spec, 'tolerations')];
  for (const key of ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']) {
    const covered = tolerations.some(
      (entry) =>
        isRecord(entry) &&
        (entry['key'] === key || entry['key'] === undefined || entry['key'] === '') &&
        (entry['effect'] === 'NoExecute' ||
          entry['effect'] === undefined ||
          entry['effect'] === ''),
    );
    if (!covered) {
      tolerations.push({
        key,
        operator: 'Exists',
        effect: 'NoExecute',
        tolerationSeconds: TOLERATION_SECONDS,
      });
    }
  }
  spec['tolerations'] = tolerations;
}

function qualityOf(spec: JsonObject): string {
  const containers = [...listAt(spec, 'containers'), ...listAt(spec, 'initContainers')];
  const resources = containers.map((container) => recordAt(container, 'resources'));
  const empty = resources.every(
    (entry) =>
      Object.keys(recordAt(entry, 'limits')).length === 0 &&
      Object.keys(recordAt(entry, 'requests')).length === 0,
  );
  if (empty) return 'BestEffort';
  const guaranteed = resources.every((entry) => {
    const limits = recordAt(entry, 'limits');
    return (
      limits['cpu'] !== undefined &&
      limits['memory'] !== undefined &&
      deepEqual(limits, { ...limits, ...recordAt(entry, 'requests') })
    );
  });
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

/** A running pod is not moulded: images may be exchanged, deadlines shortened, tolerations added. */
function validateChange(spec: JsonObject, old: JsonObject): FieldError[] {
  const changeable = (value: JsonObject): JsonObject => ({
    ...value,
    activeDeadlineSeconds: undefined,
    terminationGracePeriodSeconds: undefined,
    tolerations: undefined,
    schedulingGates: undefined,
    containers: listAt(value, 'containers').map(withoutImage),
    initContainers: listAt(value, 'initContainers').map(withoutImage),
  });
  if (deepEqual(changeable(spec), changeable(old))) return [];
  return [
    forbiddenField(
      'spec',
      'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
    ),
  ];
}

function withoutImage(container: unknown): unknown {
  return isRecord(container) ? { ...container, image: undefined } : container;
}
