// The ClusterRoles and bindings a cluster starts with, as far as the sandbox's users meet them.

const RBAC = 'rbac.authorization.k8s.io';
const LABELS = { 'kubernetes.io/bootstrapping': 'rbac-defaults' };
const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'delete', 'deletecollection', 'patch', 'update'];

type Role = {
  readonly metadata: object;
  readonly rules?: readonly object[];
  readonly aggregationRule?: object;
};

const role = (name: string, rules: readonly object[], labels: object = {}): Role => ({
  metadata: { name, labels: { ...LABELS, ...labels } },
  rules,
});

const aggregate = (name: string, label: string, labels: object = {}): Role => ({
  metadata: { name, labels: { ...LABELS, ...labels } },
  aggregationRule: {
    clusterRoleSelectors: [{ matchLabels: { [`${RBAC}/aggregate-to-${label}`]: 'true' } }],
  },
});

/** What people work with in a namespace; secrets and accounts are not for viewers. */
const VIEWED = [
  {
    apiGroups: [''],
    resources: [
      'bindings',
      'configmaps',
      'endpoints',
      'events',
      'limitranges',
      'namespaces',
      'persistentvolumeclaims',
      'pods',
      'pods/log',
      'pods/status',
      'replicationcontrollers',
      'replicationcontrollers/scale',
      'resourcequotas',
      'serviceaccounts',
      'services',
    ],
    verbs: READ,
  },
  {
    apiGroups: ['apps', 'batch', 'autoscaling', 'policy', 'networking.k8s.io', 'discovery.k8s.io'],
    resources: ['*'],
    verbs: READ,
  },
];
const EDITED = [
  {
    apiGroups: [''],
    resources: [
      'secrets',
      'pods/attach',
      'pods/exec',
      'pods/portforward',
      'pods/proxy',
      'services/proxy',
    ],
    verbs: READ,
  },
  {
    apiGroups: [''],
    resources: [
      'configmaps',
      'events',
      'persistentvolumeclaims',
      'pods',
      'pods/attach',
      'pods/eviction',
      'pods/exec',
      'pods/portforward',
      'pods/proxy',
      'replicationcontrollers',
      'replicationcontrollers/scale',
      'secrets',
      'serviceaccounts',
      'services',
      'services/proxy',
    ],
    verbs: WRITE,
  },
  { apiGroups: [''], resources: ['serviceaccounts/token'], verbs: ['create'] },
  {
    apiGroups: ['apps', 'batch', 'autoscaling', 'policy', 'networking.k8s.io'],
    resources: ['*'],
    verbs: WRITE,
  },
];
const ADMINISTERED = [
  { apiGroups: [RBAC], resources: ['roles', 'rolebindings'], verbs: [...READ, ...WRITE] },
  {
    apiGroups: ['authorization.k8s.io'],
    resources: ['localsubjectaccessreviews'],
    verbs: ['create'],
  },
];

const to = (name: string): object => ({ [`${RBAC}/aggregate-to-${name}`]: 'true' });

export const DEFAULT_ROLES: readonly Role[] = [
  role('cluster-admin', [
    { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
    { nonResourceURLs: ['*'], verbs: ['*'] },
  ]),
  role('system:aggregate-to-view', VIEWED, to('view')),
  role('system:aggregate-to-edit', EDITED, to('edit')),
  role('system:aggregate-to-admin', ADMINISTERED, to('admin')),
  aggregate('view', 'view', to('edit')),
  aggregate('edit', 'edit', to('admin')),
  aggregate('admin', 'admin'),
  role('system:discovery', [
    {
      nonResourceURLs: [
        '/api',
        '/api/*',
        '/apis',
        '/apis/*',
        '/healthz',
        '/livez',
        '/openapi',
        '/openapi/*',
        '/readyz',
        '/version',
        '/version/',
      ],
      verbs: ['get'],
    },
  ]),
  role('system:basic-user', [
    {
      apiGroups: ['authorization.k8s.io'],
      resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
      verbs: ['create'],
    },
    { apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'], verbs: ['create'] },
  ]),
  role('system:service-account-issuer-discovery', [
    { nonResourceURLs: ['/.well-known/openid-configuration', '/openid/v1/jwks'], verbs: ['get'] },
  ]),
  role('system:auth-delegator', [
    { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
    { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
  ]),
  role('system:node', [
    {
      apiGroups: [''],
      resources: ['nodes', 'nodes/status', 'pods', 'pods/status', 'events'],
      verbs: [...READ, 'create', 'delete', 'patch', 'update'],
    },
    {
      apiGroups: [''],
      resources: ['configmaps', 'secrets', 'services', 'serviceaccounts', 'namespaces'],
      verbs: READ,
    },
    { apiGroups: [''], resources: ['serviceaccounts/token'], verbs: ['create'] },
    {
      apiGroups: ['coordination.k8s.io'],
      resources: ['leases'],
      verbs: [...READ, 'create', 'delete', 'patch', 'update'],
    },
    { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: READ },
    { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
    { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
  ]),
];

const bind = (name: string, roleName: string, groups: readonly string[]): object => ({
  metadata: { name, labels: LABELS },
  roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: roleName },
  subjects: groups.map((group) => ({ apiGroup: RBAC, kind: 'Group', name: group })),
});

export const DEFAULT_BINDINGS: readonly object[] = [
  bind('cluster-admin', 'cluster-admin', ['system:masters']),
  bind('system:discovery', 'system:discovery', ['system:authenticated']),
  bind('system:basic-user', 'system:basic-user', ['system:authenticated']),
  bind('system:service-account-issuer-discovery', 'system:service-account-issuer-discovery', [
    'system:serviceaccounts',
  ]),
  bind('system:node', 'system:node', ['system:nodes']),
];
