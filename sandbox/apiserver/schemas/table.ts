// Which built-in kind has which schema; a kind absent here is stored as it comes.

import type { Schema } from '../schema.ts';
import * as core from './core.ts';
import { resource } from './meta.ts';
import { POD, POD_TEMPLATE } from './pod.ts';
import * as policies from './policies.ts';
import * as workloads from './workloads.ts';

const SCHEMAS: Readonly<Record<string, Schema>> = {
  ConfigMap: core.CONFIG_MAP,
  Endpoints: core.ENDPOINTS,
  Event: core.EVENT,
  LimitRange: core.LIMIT_RANGE,
  Namespace: core.NAMESPACE,
  Node: core.NODE,
  PersistentVolumeClaim: core.PERSISTENT_VOLUME_CLAIM,
  Pod: POD,
  PodTemplate: POD_TEMPLATE,
  ReplicationController: core.REPLICATION_CONTROLLER,
  ResourceQuota: core.RESOURCE_QUOTA,
  Secret: core.SECRET,
  Service: core.SERVICE,
  ServiceAccount: core.SERVICE_ACCOUNT,
  'ControllerRevision.apps': workloads.CONTROLLER_REVISION,
  'DaemonSet.apps': workloads.DAEMON_SET,
  'Deployment.apps': workloads.DEPLOYMENT,
  'ReplicaSet.apps': workloads.REPLICA_SET,
  'StatefulSet.apps': workloads.STATEFUL_SET,
  'Job.batch': workloads.JOB,
  'CronJob.batch': workloads.CRON_JOB,
  'PodDisruptionBudget.policy': workloads.DISRUPTION_BUDGET,
  'HorizontalPodAutoscaler.autoscaling': workloads.AUTOSCALER,
  'Event.events.k8s.io': core.EVENTS_EVENT,
  'Lease.coordination.k8s.io': policies.LEASE,
  'EndpointSlice.discovery.k8s.io': policies.ENDPOINT_SLICE,
  'NetworkPolicy.networking.k8s.io': policies.NETWORK_POLICY,
  'Ingress.networking.k8s.io': policies.INGRESS,
  'IngressClass.networking.k8s.io': policies.INGRESS_CLASS,
  'Role.rbac.authorization.k8s.io': policies.ROLE,
  'ClusterRole.rbac.authorization.k8s.io': policies.CLUSTER_ROLE,
  'RoleBinding.rbac.authorization.k8s.io': policies.ROLE_BINDING,
  'ClusterRoleBinding.rbac.authorization.k8s.io': policies.ROLE_BINDING,
  'MutatingWebhookConfiguration.admissionregistration.k8s.io': policies.WEBHOOK_CONFIGURATION,
  'ValidatingWebhookConfiguration.admissionregistration.k8s.io': policies.WEBHOOK_CONFIGURATION,
  'PriorityClass.scheduling.k8s.io': policies.PRIORITY_CLASS,
  'StorageClass.storage.k8s.io': policies.STORAGE_CLASS,
  'CustomResourceDefinition.apiextensions.k8s.io': policies.CUSTOM_RESOURCE_DEFINITION,
};

export function schemaOf(group: string, kind: string): Schema {
  return (
    SCHEMAS[group === '' ? kind : `${kind}.${group}`] ?? {
      ...resource(kind, {}),
      'x-kubernetes-preserve-unknown-fields': true,
    }
  );
}
