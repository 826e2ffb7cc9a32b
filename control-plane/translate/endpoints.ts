// EndpointSlices -> which pod serves which Service on which ports, and the endpoints that are no pods. Pure.

import type { IpAddress } from '../../mesh/address.ts';
import { type Service, serviceKey } from '../../mesh/service.ts';
import type { PortMapping, Workload } from '../../mesh/workload.ts';
import type {
  Endpoint,
  EndpointSlice,
  Service as KubeService,
  Node,
} from '../../runtime/kubernetes/objects.ts';
import { appProtocolOf, readIps, tcpPorts } from './service.ts';
import { localityOf } from './workload.ts';

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

export type EndpointContext = {
  readonly cluster: string;
  readonly network: string;
  readonly trustDomain: string;
  readonly nodes: ReadonlyMap<string, Node>;
  /** `namespace/name` of the pod that has this address for its own. */
  readonly podAt: (ip: IpAddress) => string | undefined;
};

export function endpointsOf(
  slices: Iterable<EndpointSlice>,
  services: ReadonlyMap<string, KnownService>,
  context: EndpointContext,
): EndpointTranslation {
  const pods = new Map<string, Map<string, readonly PortMapping[]>>();
  const others = new Map<string, Workload>();
  const join = (pod: string, key: string, ports: readonly PortMapping[]): void => {
    const memberships = pods.get(pod) ?? new Map<string, readonly PortMapping[]>();
    pods.set(pod, memberships);
    memberships.set(key, mergePorts(memberships.get(key) ?? [], ports));
  };
  for (const slice of slices) {
    const namespace = slice.metadata.namespace ?? '';
    const known = services.get(`${namespace}/${slice.metadata.labels?.[SERVICE_NAME] ?? ''}`);
    // a slice of addresses by name has no addresses to route to
    if (known === undefined || slice.addressType === 'FQDN') continue;
    const key = serviceKey(known.service);
    const ports = portsOf(slice, known.object);
    for (const endpoint of slice.endpoints ?? []) {
      if (endpoint.targetRef?.kind === 'Pod') {
        join(`${endpoint.targetRef.namespace ?? namespace}/${endpoint.targetRef.name}`, key, ports);
        continue;
      }
      for (const ip of readIps(endpoint.addresses)) {
        // a pod stays what it is when somebody writes its address by hand: it keeps its identity and its tunnel
        const pod = context.podAt(ip);
        if (pod !== undefined) {
          join(pod, key, ports);
          continue;
        }
        const workload = addressWorkload(slice, endpoint, ip, context);
        others.set(workload.uid, { ...workload, services: new Map([[key, ports]]) });
      }
    }
  }
  for (const { object, service } of services.values()) {
    const workload = aliasOf(object, service, context);
    if (workload !== undefined) others.set(workload.uid, workload);
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

/** Services whose endpoints all say for which zones they are: topology aware routing is in force, as kube-proxy sees it. */
export function hintedServices(slices: Iterable<EndpointSlice>): ReadonlySet<string> {
  const hinted = new Set<string>();
  const unhinted = new Set<string>();
  for (const { metadata, endpoints = [] } of slices) {
    const service = `${metadata.namespace}/${metadata.labels?.[SERVICE_NAME]}`;
    for (const { hints } of endpoints) {
      ((hints?.forZones ?? []).length > 0 ? hinted : unhinted).add(service);
    }
  }
  return new Set([...hinted].filter((service) => !unhinted.has(service)));
}

function addressWorkload(
  slice: EndpointSlice,
  endpoint: Endpoint,
  ip: IpAddress,
  context: EndpointContext,
): Workload {
  const { name = '', namespace = '' } = slice.metadata;
  const node = context.nodes.get(endpoint.nodeName ?? '');
  return {
    ...outsider(name, namespace, context),
    uid: `${context.cluster}/discovery.k8s.io/EndpointSlice/${namespace}/${name}/${ip}`,
    node: endpoint.nodeName ?? '',
    addresses: [ip],
    locality:
      node === undefined
        ? { region: '', zone: endpoint.zone ?? '', subzone: '' }
        : localityOf(node),
    health: healthOf(endpoint),
  };
}

/** Kubernetes: an endpoint that does not say is ready, and serving as long as it is ready. */
function healthOf({ conditions = {} }: Endpoint): Workload['health'] {
  const { ready = true, serving = ready, terminating = false } = conditions;
  if (ready) return 'healthy';
  return serving && terminating ? 'draining' : 'unhealthy';
}

/** The one endpoint of an ExternalName Service. */
function aliasOf(
  object: KubeService,
  service: Service,
  context: EndpointContext,
): Workload | undefined {
  const { type, externalName = '' } = object.spec;
  if (type !== 'ExternalName' || externalName === '') return undefined;
  const { name, namespace } = service;
  return {
    ...outsider(name, namespace, context),
    uid: `${context.cluster}//Service/${namespace}/${name}`,
    hostname: externalName.toLowerCase().replace(/\.$/, ''),
    services: new Map([[serviceKey(service), service.ports]]),
  };
}

/** Somebody who is no pod: reached in plain TCP, with nothing known but where. */
function outsider(name: string, namespace: string, context: EndpointContext): Workload {
  return {
    uid: '',
    name,
    namespace,
    serviceAccount: '',
    trustDomain: context.trustDomain,
    cluster: context.cluster,
    network: context.network,
    node: '',
    addresses: [],
    hostname: '',
    locality: { region: '', zone: '', subzone: '' },
    health: 'healthy',
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
  };
}
