// The kinds the API server has of itself, as rows of what sets each apart. Read by the registry at the start, and by tests.

import { type KindDefinition, type ScalePaths, STORED_VERBS, type Subresource } from './kinds.ts';
import { schemaOf } from './schemas/table.ts';

const READ_WRITE = ['get', 'patch', 'update'];
const DEFAULT_SCALE: ScalePaths = {
  specReplicasPath: '.spec.replicas',
  statusReplicasPath: '.status.replicas',
  labelSelectorPath: '.status.selector',
};

type Row = {
  readonly kind: string;
  readonly plural: string;
  readonly short?: readonly string[];
  readonly categories?: readonly string[];
  readonly cluster?: boolean;
  readonly status?: boolean;
  readonly scale?: boolean;
  readonly subresources?: readonly Subresource[];
  readonly virtual?: boolean;
};

const CONNECT = ['create', 'get'];
const PROXY = ['create', 'delete', 'get', 'patch', 'update'];
const ALL = ['all'];

const CORE: readonly Row[] = [
  { kind: 'Binding', plural: 'bindings', virtual: true },
  { kind: 'ConfigMap', plural: 'configmaps', short: ['cm'] },
  { kind: 'Endpoints', plural: 'endpoints', short: ['ep'] },
  { kind: 'Event', plural: 'events', short: ['ev'] },
  { kind: 'LimitRange', plural: 'limitranges', short: ['limits'] },
  {
    kind: 'Namespace',
    plural: 'namespaces',
    short: ['ns'],
    cluster: true,
    status: true,
    subresources: [{ name: 'finalize', kind: 'Namespace', verbs: ['update'] }],
  },
  {
    kind: 'Node',
    plural: 'nodes',
    short: ['no'],
    cluster: true,
    status: true,
    subresources: [{ name: 'proxy', kind: 'NodeProxyOptions', verbs: PROXY }],
  },
  {
    kind: 'PersistentVolumeClaim',
    plural: 'persistentvolumeclaims',
    short: ['pvc'],
    status: true,
  },
  {
    kind: 'PersistentVolume',
    plural: 'persistentvolumes',
    short: ['pv'],
    cluster: true,
    status: true,
  },
  {
    kind: 'Pod',
    plural: 'pods',
    short: ['po'],
    categories: ALL,
    status: true,
    subresources: [
      { name: 'attach', kind: 'PodAttachOptions', verbs: CONNECT },
      { name: 'binding', kind: 'Binding', verbs: ['create'] },
      {
        name: 'eviction',
        kind: 'Eviction',
        group: 'policy',
        version: 'v1',
        verbs: ['create'],
      },
      { name: 'exec', kind: 'PodExecOptions', verbs: CONNECT },
      { name: 'log', kind: 'Pod', verbs: ['get'] },
      { name: 'portforward', kind: 'PodPortForwardOptions', verbs: CONNECT },
      { name: 'proxy', kind: 'PodProxyOptions', verbs: PROXY },
    ],
  },
  { kind: 'PodTemplate', plural: 'podtemplates' },
  {
    kind: 'ReplicationController',
    plural: 'replicationcontrollers',
    short: ['rc'],
    categories: ALL,
    status: true,
    scale: true,
  },
  { kind: 'ResourceQuota', plural: 'resourcequotas', short: ['quota'], status: true },
  { kind: 'Secret', plural: 'secrets' },
  {
    kind: 'Service',
    plural: 'services',
    short: ['svc'],
    categories: ALL,
    status: true,
    subresources: [{ name: 'proxy', kind: 'ServiceProxyOptions', verbs: PROXY }],
  },
  {
    kind: 'ServiceAccount',
    plural: 'serviceaccounts',
    short: ['sa'],
    subresources: [
      {
        name: 'token',
        kind: 'TokenRequest',
        group: 'authentication.k8s.io',
        version: 'v1',
        verbs: ['create'],
      },
    ],
  },
];

const GROUPS: readonly { group: string; version: string; rows: readonly Row[] }[] = [
  { group: '', version: 'v1', rows: CORE },
  {
    group: 'apiextensions.k8s.io',
    version: 'v1',
    rows: [
      {
        kind: 'CustomResourceDefinition',
        plural: 'customresourcedefinitions',
        short: ['crd', 'crds'],
        categories: ['api-extensions'],
        cluster: true,
        status: true,
      },
    ],
  },
  {
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    rows: [
      {
        kind: 'MutatingWebhookConfiguration',
        plural: 'mutatingwebhookconfigurations',
        categories: ['api-extensions'],
        cluster: true,
      },
      {
        kind: 'ValidatingWebhookConfiguration',
        plural: 'validatingwebhookconfigurations',
        categories: ['api-extensions'],
        cluster: true,
      },
    ],
  },
  {
    group: 'apps',
    version: 'v1',
    rows: [
      { kind: 'ControllerRevision', plural: 'controllerrevisions' },
      { kind: 'DaemonSet', plural: 'daemonsets', short: ['ds'], categories: ALL, status: true },
      {
        kind: 'Deployment',
        plural: 'deployments',
        short: ['deploy'],
        categories: ALL,
        status: true,
        scale: true,
      },
      {
        kind: 'ReplicaSet',
        plural: 'replicasets',
        short: ['rs'],
        categories: ALL,
        status: true,
        scale: true,
      },
      {
        kind: 'StatefulSet',
        plural: 'statefulsets',
        short: ['sts'],
        categories: ALL,
        status: true,
        scale: true,
      },
    ],
  },
  {
    group: 'authentication.k8s.io',
    version: 'v1',
    rows: [
      { kind: 'SelfSubjectReview', plural: 'selfsubjectreviews', cluster: true, virtual: true },
      { kind: 'TokenReview', plural: 'tokenreviews', cluster: true, virtual: true },
    ],
  },
  {
    group: 'authorization.k8s.io',
    version: 'v1',
    rows: [
      { kind: 'LocalSubjectAccessReview', plural: 'localsubjectaccessreviews', virtual: true },
      {
        kind: 'SelfSubjectAccessReview',
        plural: 'selfsubjectaccessreviews',
        cluster: true,
        virtual: true,
      },
      {
        kind: 'SelfSubjectRulesReview',
        plural: 'selfsubjectrulesreviews',
        cluster: true,
        virtual: true,
      },
      { kind: 'SubjectAccessReview', plural: 'subjectaccessreviews', cluster: true, virtual: true },
    ],
  },
  {
    group: 'autoscaling',
    version: 'v2',
    rows: [
      {
        kind: 'HorizontalPodAutoscaler',
        plural: 'horizontalpodautoscalers',
        short: ['hpa'],
        categories: ALL,
        status: true,
      },
    ],
  },
  {
    group: 'batch',
    version: 'v1',
    rows: [
      { kind: 'CronJob', plural: 'cronjobs', short: ['cj'], categories: ALL, status: true },
      { kind: 'Job', plural: 'jobs', categories: ALL, status: true },
    ],
  },
  {
    group: 'coordination.k8s.io',
    version: 'v1',
    rows: [{ kind: 'Lease', plural: 'leases' }],
  },
  {
    group: 'discovery.k8s.io',
    version: 'v1',
    rows: [{ kind: 'EndpointSlice', plural: 'endpointslices' }],
  },
  {
    group: 'events.k8s.io',
    version: 'v1',
    rows: [{ kind: 'Event', plural: 'events', short: ['ev'] }],
  },
  {
    group: 'networking.k8s.io',
    version: 'v1',
    rows: [
      { kind: 'IngressClass', plural: 'ingressclasses', cluster: true },
      { kind: 'Ingress', plural: 'ingresses', short: ['ing'], status: true },
      { kind: 'NetworkPolicy', plural: 'networkpolicies', short: ['netpol'] },
    ],
  },
  {
    group: 'policy',
    version: 'v1',
    rows: [
      {
        kind: 'PodDisruptionBudget',
        plural: 'poddisruptionbudgets',
        short: ['pdb'],
        status: true,
      },
    ],
  },
  {
    group: 'rbac.authorization.k8s.io',
    version: 'v1',
    rows: [
      { kind: 'ClusterRoleBinding', plural: 'clusterrolebindings', cluster: true },
      { kind: 'ClusterRole', plural: 'clusterroles', cluster: true },
      { kind: 'RoleBinding', plural: 'rolebindings' },
      { kind: 'Role', plural: 'roles' },
    ],
  },
  {
    group: 'scheduling.k8s.io',
    version: 'v1',
    rows: [{ kind: 'PriorityClass', plural: 'priorityclasses', short: ['pc'], cluster: true }],
  },
  {
    group: 'storage.k8s.io',
    version: 'v1',
    rows: [
      { kind: 'CSIDriver', plural: 'csidrivers', cluster: true },
      { kind: 'CSINode', plural: 'csinodes', cluster: true },
      { kind: 'StorageClass', plural: 'storageclasses', short: ['sc'], cluster: true },
      { kind: 'VolumeAttachment', plural: 'volumeattachments', cluster: true, status: true },
    ],
  },
];

function define(group: string, version: string, row: Row): KindDefinition {
  const subresources: Subresource[] = [...(row.subresources ?? [])];
  if (row.scale === true) {
    subresources.push({
      name: 'scale',
      kind: 'Scale',
      group: 'autoscaling',
      version: 'v1',
      verbs: READ_WRITE,
    });
  }
  if (row.status === true) {
    subresources.push({ name: 'status', kind: row.kind, verbs: READ_WRITE });
  }
  const schema = schemaOf(group, row.kind);
  return {
    group,
    version,
    kind: row.kind,
    listKind: `${row.kind}List`,
    plural: row.plural,
    singular: row.kind.toLowerCase(),
    shortNames: row.short ?? [],
    categories: row.categories ?? [],
    namespaced: row.cluster !== true,
    verbs: row.virtual === true ? ['create'] : STORED_VERBS,
    subresources: subresources.sort((a, b) => (a.name < b.name ? -1 : 1)),
    ...(schema === undefined ? {} : { schema }),
    ...(row.virtual === true ? { virtual: true } : {}),
    ...(row.scale === true ? { scale: DEFAULT_SCALE } : {}),
  };
}

export const BUILT_IN_KINDS: readonly KindDefinition[] = GROUPS.flatMap(
  ({ group, version, rows }) => rows.map((row) => define(group, version, row)),
);
