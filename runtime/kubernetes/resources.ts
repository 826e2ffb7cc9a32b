// The Kubernetes resources Ambit reads or writes, as one table: with it no call needs API discovery, and a kind that is
// not here is not touched. Used by every caller of KubeClient.

export type Resource = {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
};

const core = (plural: string, kind: string): Resource => ({
  group: '',
  version: 'v1',
  plural,
  kind,
  namespaced: true,
});
const coreOfCluster = (plural: string, kind: string): Resource => ({
  ...core(plural, kind),
  namespaced: false,
});
const named = (group: string, plural: string, kind: string, version = 'v1'): Resource => ({
  group,
  version,
  plural,
  kind,
  namespaced: true,
});
const namedOfCluster = (group: string, plural: string, kind: string): Resource => ({
  ...named(group, plural, kind),
  namespaced: false,
});

export const PODS = core('pods', 'Pod');
export const SERVICES = core('services', 'Service');
export const SECRETS = core('secrets', 'Secret');
export const CONFIG_MAPS = core('configmaps', 'ConfigMap');
export const SERVICE_ACCOUNTS = core('serviceaccounts', 'ServiceAccount');
export const EVENTS = core('events', 'Event');
export const ENDPOINTS = core('endpoints', 'Endpoints');
export const NODES = coreOfCluster('nodes', 'Node');
export const NAMESPACES = coreOfCluster('namespaces', 'Namespace');

export const DEPLOYMENTS = named('apps', 'deployments', 'Deployment');
export const REPLICA_SETS = named('apps', 'replicasets', 'ReplicaSet');
export const DAEMON_SETS = named('apps', 'daemonsets', 'DaemonSet');
export const STATEFUL_SETS = named('apps', 'statefulsets', 'StatefulSet');
export const JOBS = named('batch', 'jobs', 'Job');
export const ENDPOINT_SLICES = named('discovery.k8s.io', 'endpointslices', 'EndpointSlice');
export const DISRUPTION_BUDGETS = named('policy', 'poddisruptionbudgets', 'PodDisruptionBudget');
export const AUTOSCALERS = named(
  'autoscaling',
  'horizontalpodautoscalers',
  'HorizontalPodAutoscaler',
  'v2',
);
export const NETWORK_POLICIES = named('networking.k8s.io', 'networkpolicies', 'NetworkPolicy');
export const LEASES = named('coordination.k8s.io', 'leases', 'Lease');
export const TOKEN_REVIEWS = namedOfCluster('authentication.k8s.io', 'tokenreviews', 'TokenReview');
export const SUBJECT_ACCESS_REVIEWS = namedOfCluster(
  'authorization.k8s.io',
  'subjectaccessreviews',
  'SubjectAccessReview',
);
export const SELF_SUBJECT_ACCESS_REVIEWS = namedOfCluster(
  'authorization.k8s.io',
  'selfsubjectaccessreviews',
  'SelfSubjectAccessReview',
);

const RBAC = 'rbac.authorization.k8s.io';
export const ROLES = named(RBAC, 'roles', 'Role');
export const ROLE_BINDINGS = named(RBAC, 'rolebindings', 'RoleBinding');
export const CLUSTER_ROLES = namedOfCluster(RBAC, 'clusterroles', 'ClusterRole');
export const CLUSTER_ROLE_BINDINGS = namedOfCluster(
  RBAC,
  'clusterrolebindings',
  'ClusterRoleBinding',
);
export const CUSTOM_RESOURCE_DEFINITIONS = namedOfCluster(
  'apiextensions.k8s.io',
  'customresourcedefinitions',
  'CustomResourceDefinition',
);

const SECURITY = 'security.ambit-mesh.io';
export const PEER_AUTHENTICATIONS = named(SECURITY, 'peerauthentications', 'PeerAuthentication');
export const AUTHORIZATION_POLICIES = named(
  SECURITY,
  'authorizationpolicies',
  'AuthorizationPolicy',
);

const NETWORKING = 'networking.ambit-mesh.io';
export const SERVICE_ENTRIES = named(NETWORKING, 'serviceentries', 'ServiceEntry');
export const WORKLOAD_ENTRIES = named(NETWORKING, 'workloadentries', 'WorkloadEntry');
export const TRAFFIC_POLICIES = named(NETWORKING, 'trafficpolicies', 'TrafficPolicy', 'v1alpha1');
export const REQUEST_AUTHENTICATIONS = named(
  SECURITY,
  'requestauthentications',
  'RequestAuthentication',
);

const GATEWAY = 'gateway.networking.k8s.io';
export const GATEWAY_CLASSES = namedOfCluster(GATEWAY, 'gatewayclasses', 'GatewayClass');
export const GATEWAYS = named(GATEWAY, 'gateways', 'Gateway');
export const HTTP_ROUTES = named(GATEWAY, 'httproutes', 'HTTPRoute');
export const GRPC_ROUTES = named(GATEWAY, 'grpcroutes', 'GRPCRoute');
export const TLS_ROUTES = named(GATEWAY, 'tlsroutes', 'TLSRoute');
export const TCP_ROUTES = named(GATEWAY, 'tcproutes', 'TCPRoute');
/** Of the version that clusters with an older Gateway API have too. */
export const REFERENCE_GRANTS = named(GATEWAY, 'referencegrants', 'ReferenceGrant', 'v1beta1');
export const BACKEND_TLS_POLICIES = named(GATEWAY, 'backendtlspolicies', 'BackendTLSPolicy');

const ALL: readonly Resource[] = [
  PODS,
  SERVICES,
  SECRETS,
  CONFIG_MAPS,
  SERVICE_ACCOUNTS,
  EVENTS,
  ENDPOINTS,
  NODES,
  NAMESPACES,
  DEPLOYMENTS,
  REPLICA_SETS,
  DAEMON_SETS,
  STATEFUL_SETS,
  JOBS,
  ENDPOINT_SLICES,
  DISRUPTION_BUDGETS,
  AUTOSCALERS,
  NETWORK_POLICIES,
  LEASES,
  TOKEN_REVIEWS,
  SUBJECT_ACCESS_REVIEWS,
  SELF_SUBJECT_ACCESS_REVIEWS,
  ROLES,
  ROLE_BINDINGS,
  CLUSTER_ROLES,
  CLUSTER_ROLE_BINDINGS,
  CUSTOM_RESOURCE_DEFINITIONS,
  PEER_AUTHENTICATIONS,
  AUTHORIZATION_POLICIES,
  SERVICE_ENTRIES,
  WORKLOAD_ENTRIES,
  TRAFFIC_POLICIES,
  REQUEST_AUTHENTICATIONS,
  GATEWAY_CLASSES,
  GATEWAYS,
  HTTP_ROUTES,
  GRPC_ROUTES,
  TLS_ROUTES,
  TCP_ROUTES,
  REFERENCE_GRANTS,
  BACKEND_TLS_POLICIES,
];

/** The resource of a manifest's `apiVersion` and `kind`, undefined when it is not in the table. */
export function findResource(apiVersion: string, kind: string): Resource | undefined {
  return ALL.find((resource) => apiVersionOf(resource) === apiVersion && resource.kind === kind);
}

export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** The path under the API server's address, e.g. `/apis/apps/v1/namespaces/shop/deployments/web/status`. */
export function pathOf(
  resource: Resource,
  at: { readonly namespace?: string; readonly name?: string; readonly subresource?: string } = {},
): string {
  const { namespace, name, subresource } = at;
  const parts =
    resource.group === '' ? ['api', resource.version] : ['apis', resource.group, resource.version];
  if (resource.namespaced && namespace !== undefined) {
    parts.push('namespaces', encodeURIComponent(namespace));
  }
  parts.push(resource.plural);
  if (name !== undefined) parts.push(encodeURIComponent(name));
  // a proxy subresource keeps its own slashes; each piece is encoded alone
  if (subresource !== undefined) parts.push(...subresource.split('/').map(encodeURIComponent));
  return `/${parts.join('/')}`;
}
