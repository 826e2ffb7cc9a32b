// Which kinds have rules of their own.

import { DEFINITION_STRATEGY } from '../crd/strategy.ts';
import type { KindDefinition } from '../kinds.ts';
import { CONFIG_MAP_STRATEGY, SECRET_STRATEGY } from './configuration.ts';
import { NAMESPACE_STRATEGY } from './namespace.ts';
import { POD_STRATEGY } from './pod.ts';
import { SERVICE_STRATEGY } from './service.ts';
import { BINDING_STRATEGY, ENDPOINT_SLICE_STRATEGY, EVENT_STRATEGY } from './small.ts';
import type { Strategy } from './strategy.ts';
import {
  CRON_JOB_STRATEGY,
  DAEMON_SET_STRATEGY,
  DEPLOYMENT_STRATEGY,
  JOB_STRATEGY,
  REPLICA_SET_STRATEGY,
  STATEFUL_SET_STRATEGY,
} from './workload.ts';

const STRATEGIES: Readonly<Record<string, Strategy>> = {
  '/ConfigMap': CONFIG_MAP_STRATEGY,
  '/Event': EVENT_STRATEGY,
  '/Namespace': NAMESPACE_STRATEGY,
  '/Pod': POD_STRATEGY,
  '/Secret': SECRET_STRATEGY,
  '/Service': SERVICE_STRATEGY,
  'apiextensions.k8s.io/CustomResourceDefinition': DEFINITION_STRATEGY,
  'apps/DaemonSet': DAEMON_SET_STRATEGY,
  'apps/Deployment': DEPLOYMENT_STRATEGY,
  'apps/ReplicaSet': REPLICA_SET_STRATEGY,
  'apps/StatefulSet': STATEFUL_SET_STRATEGY,
  'batch/CronJob': CRON_JOB_STRATEGY,
  'batch/Job': JOB_STRATEGY,
  'discovery.k8s.io/EndpointSlice': ENDPOINT_SLICE_STRATEGY,
  'events.k8s.io/Event': EVENT_STRATEGY,
  'rbac.authorization.k8s.io/ClusterRoleBinding': BINDING_STRATEGY,
  'rbac.authorization.k8s.io/RoleBinding': BINDING_STRATEGY,
};
const NOTHING_SPECIAL: Strategy = {};

export function strategyOf(kind: Pick<KindDefinition, 'group' | 'kind'>): Strategy {
  return STRATEGIES[`${kind.group}/${kind.kind}`] ?? NOTHING_SPECIAL;
}
