// Which kinds are taken in protobuf, and their messages. Read by codec.ts; the tables are in messages/.

import protobuf from 'protobufjs';
import { ACCESS_MESSAGES } from './messages/access.ts';
import { CORE_MESSAGES } from './messages/core.ts';
import { META_MESSAGES } from './messages/meta.ts';
import { POD_MESSAGES } from './messages/pods.ts';
import { WORKLOAD_MESSAGES } from './messages/workloads.ts';

const { root } = protobuf.parse(
  [
    'syntax = "proto3";',
    META_MESSAGES,
    POD_MESSAGES,
    CORE_MESSAGES,
    WORKLOAD_MESSAGES,
    ACCESS_MESSAGES,
  ].join('\n'),
  { keepCase: true },
);
root.resolveAll();

/** By apiVersion. What `kubectl create` and clients written in Go send in protobuf. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  v1: [
    'Binding',
    'ConfigMap',
    'ConfigMapList',
    'Event',
    'Namespace',
    'Pod',
    'ResourceQuota',
    'Secret',
    'SecretList',
    'Service',
    'ServiceAccount',
  ],
  'apps/v1': ['DaemonSet', 'Deployment', 'ReplicaSet', 'StatefulSet'],
  'authentication.k8s.io/v1': ['TokenRequest', 'TokenReview'],
  'authorization.k8s.io/v1': [
    'SelfSubjectAccessReview',
    'SelfSubjectRulesReview',
    'SubjectAccessReview',
  ],
  'autoscaling/v1': ['Scale'],
  'autoscaling/v2': ['HorizontalPodAutoscaler'],
  'batch/v1': ['CronJob', 'Job'],
  'coordination.k8s.io/v1': ['Lease'],
  'networking.k8s.io/v1': ['Ingress'],
  'policy/v1': ['Eviction', 'PodDisruptionBudget'],
  'rbac.authorization.k8s.io/v1': ['ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'],
  'scheduling.k8s.io/v1': ['PriorityClass'],
};

export const UNKNOWN: protobuf.Type = root.lookupType('Unknown');

/** Undefined for a kind that is not taken in protobuf. */
export function messageOf(apiVersion: string, kind: string): protobuf.Type | undefined {
  // a delete carries its options under the version of what is deleted
  const isKnown = kind === 'DeleteOptions' || (KINDS[apiVersion] ?? []).includes(kind);
  return isKnown ? root.lookupType(kind) : undefined;
}
