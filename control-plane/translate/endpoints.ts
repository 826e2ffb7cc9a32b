// EndpointSlices -> which pod serves which Service on which ports, and the endpoints that are no pods. Pure.

import { type Service, serviceKey } from '../../mesh/service.ts';
import type { PortMapping, Workload } from '../../mesh/workload.ts';
import type {
  Endpoint,
  EndpointSlice,
  Service as KubeService,
} from '../../runtime/kubernetes/objects.ts';
import { appProtocolOf, readIps, tcpPorts } from './service.ts';

export type Memberships = ReadonlyMap<string, ReadonlyMap<string, readonly PortMapping[]>>;

export type EndpointTranslation = {
  /** `namespace/name` of a pod -> service key -> ports. */
  readonly pods: Memberships;
  /** Endpoints somebody wrote by hand, like those of the API server: addresses without a pod. */
  readonly others: readonly Workload[];
};

/** A Service as both sides know it. */
export type KnownService = { readonly object: KubeService; readonly service: Service };

const SERVICE_NAME = 'kubernetes.io/service-name';

export function endpointsOf(
  slices: Iterable<EndpointSlice>,
  services: ReadonlyMap<string, KnownService>,
  context: { readonly cluster: string; readonly network: string; readonly trustDomain: string },
): EndpointTranslation {
  const pods = new Map<string, Map<string, readonly PortMapping[]>>();
  const others = new Map<string, Workload>();
  for (const slice of slices) {
    const namespace = slice.metadata.namespace ?? '';
    const known = services.get(`${namespace}/${slice.metadata.labels?.[SERVICE_NAME] ?? ''}`);
    // a slice of addresses by name has no addresses to route to
    if (known === undefined || slice.addressType === 'FQDN') continue;
    const key = serviceKey(known.service);
    const ports = portsOf(slice, known.object);
    for (const endpoint of slice.endpoints ?? []) {
      if (endpoint.targetRef?.kind === 'Pod') {
        const pod = `${endpoint.targetRef.namespace ?? namespace}/${endpoint.targetRef.name}`;
        const memberships = pods.get(pod) ?? new Map<string, readonly PortMapping[]>();
        pods.set(pod, memberships);
        memberships.set(key, mergePorts(memberships.get(key) ?? [], ports));
      } else {
        for (const workload of addressWorkloads(slice, endpoint, context)) {
          others.set(workload.uid, { ...workload, services: new Map([[key, ports]]) });
        }
      }
    }
  }
  // the order in which slices were seen must not show: the same content has the same version everywhere
  for (const [pod, memberships] of pods) {
    if (memberships.size > 1) pods.set(pod, new Map([...memberships].toSorted(byKey)));
  }
  return { pods, others: [...others.values()] };
}

function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1;
}

/** Slice and Service ports belong together by name. */
function portsOf(slice: EndpointSlice, service: KubeService): PortMapping[] {
  return tcpPorts(service).flatMap((wanted) => {
    const found = slice.ports?.find(
      ({ name, protocol = 'TCP' }) => (name ?? '') === (wanted.name ?? '') && protocol === 'TCP',
    );
    if (found?.port === undefined) return [];
    return [
      { servicePort: wanted.port, targetPort: found.port, appProtocol: appProtocolOf(wanted) },
    ];
  });
}

/** A pod can be in several slices of one Service: one for each address family. */
function mergePorts(a: readonly PortMapping[], b: readonly PortMapping[]): readonly PortMapping[] {
  if (a.length === 0) return b;
  const known = new Set(a.map(({ servicePort }) => servicePort));
  return [...a, ...b.filter(({ servicePort }) => !known.has(servicePort))].toSorted(
    (x, y) => x.servicePort - y.servicePort,
  );
}

function addressWorkloads(
  slice: EndpointSlice,
  endpoint: Endpoint,
  context: { readonly cluster: string; readonly network: string; readonly trustDomain: string },
): Workload[] {
  const { name = '', namespace = '' } = slice.metadata;
  return readIps(endpoint.addresses).map((ip) => ({
    uid: `${context.cluster}/discovery.k8s.io/EndpointSlice/${namespace}/${name}/${ip}`,
    name,
    namespace,
    serviceAccount: '',
    trustDomain: context.trustDomain,
    cluster: context.cluster,
    network: context.network,
    node: endpoint.nodeName ?? '',
    addresses: [ip],
    hostname: '',
    locality: { region: '', zone: endpoint.zone ?? '', subzone: '' },
    // Kubernetes: an endpoint that does not say is ready
    health: endpoint.conditions?.ready === false ? 'unhealthy' : 'healthy',
    protocol: 'tcp',
    nativeTunnel: false,
    applicationTunnel: undefined,
    hostNetwork: false,
    waypoint: undefined,
    networkGateway: undefined,
    canonicalName: name,
    canonicalRevision: 'latest',
    workloadName: name,
    workloadType: 'pod',
    services: new Map(),
    authorizationPolicies: [],
    capacity: 1,
    outboundPolicy: 'allow-any',
  }));
}
