// EndpointSlices: who stands behind each Service with a selector, a family and a set of ports at a time.
// An endpoint stays in the slice it is in; only what changed is written.

import { ENDPOINT_SLICES, NODES, PODS, SERVICES } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import { canonical, same, shortHash } from './hash.ts';
import type { Endpoint, EndpointSlice, Node, Pod, Service, SlicePort } from './objects.ts';
import { type Action, type Controller, itself, keyOf, NOTHING, nameOf, type Plan } from './plan.ts';
import { controllerReference, isFinished, isReady, isTerminating } from './pods.ts';
import { typeMetaOf } from './resources.ts';
import { matchesLabels } from './selector.ts';

const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const MANAGER = 'endpointslice-controller.k8s.io';
const SERVICE_NAME = 'kubernetes.io/service-name';
const HEADLESS = 'service.kubernetes.io/headless';

// Kubernetes' own bound: a slice that changes is sent whole to every watcher
const MAX_ENDPOINTS_A_SLICE = 100;

export const endpointSlices: Controller = {
  name: 'endpointslice-controller',
  watches: [
    { resource: SERVICES, keys: itself },
    { resource: PODS, keys: (pod, observed) => servicesOf(pod as Pod, observed) },
    {
      resource: ENDPOINT_SLICES,
      keys: ({ metadata }) => [`${metadata.namespace ?? ''}/${metadata.labels?.[SERVICE_NAME]}`],
    },
    // a zone may be labelled after the pods came
    { resource: NODES, keys: (_node, observed) => observed.list(SERVICES).map(keyOf) },
  ],
  reconcile: reconcileEndpointSlices,
};

/** All services of the namespace that select the pod, or did before its labels changed and still list it. */
export function servicesOf(pod: Pod, observed: Observed): readonly string[] {
  const { namespace = '', labels, uid } = pod.metadata;
  const selecting = observed
    .list<Service>(SERVICES, namespace)
    .filter(({ spec }) => spec?.selector !== undefined && matchesLabels(spec.selector, labels))
    .map(keyOf);
  const listing = observed
    .list<EndpointSlice>(ENDPOINT_SLICES, namespace)
    .filter((slice) => slice.endpoints?.some((endpoint) => endpoint.targetRef?.uid === uid))
    .map((slice) => `${namespace}/${slice.metadata.labels?.[SERVICE_NAME]}`);
  return [...new Set([...selecting, ...listing])];
}

export function reconcileEndpointSlices(key: string, observed: Observed): Plan {
  const { namespace, name } = nameOf(key);
  const service = observed.get<Service>(SERVICES, name, namespace);
  const existing = observed
    .list<EndpointSlice>(ENDPOINT_SLICES, namespace)
    .filter(({ metadata }) => metadata.labels?.[SERVICE_NAME] === name)
    .filter(({ metadata }) => metadata.labels?.[MANAGED_BY] === MANAGER)
    .filter((slice) => !isTerminating(slice));
  if (service === undefined) return { actions: existing.map(remove) };
  // without a selector somebody else fills the slices
  if (service.spec?.selector === undefined || service.spec.type === 'ExternalName') return NOTHING;
  if (isTerminating(service)) return NOTHING;

  const families = service.spec.ipFamilies ?? ['IPv4'];
  const gone = existing.filter((slice) => !families.includes(slice.addressType));
  const kept = families.flatMap((family) => {
    const slices = existing.filter((slice) => slice.addressType === family);
    return reconcileFamily(service, family, slices, observed);
  });
  return { actions: [...gone.map(remove), ...kept] };
}

type Group = { readonly ports: readonly SlicePort[]; readonly endpoints: readonly Endpoint[] };

function reconcileFamily(
  service: Service,
  family: string,
  existing: readonly EndpointSlice[],
  observed: Observed,
): readonly Action[] {
  const groups = groupByPorts(service, family, observed);
  const actions: Action[] = [];
  const used = new Set<EndpointSlice>();
  for (const [portKey, group] of groups) {
    const slices = existing.filter((slice) => canonical(slice.ports ?? []) === portKey);
    for (const slice of slices) used.add(slice);
    actions.push(...fill(service, family, group, slices));
  }
  return [...actions, ...existing.filter((slice) => !used.has(slice)).map(remove)];
}

/** Pods by what the service's ports are on them: a named target port may differ from pod to pod. */
function groupByPorts(
  service: Service,
  family: string,
  observed: Observed,
): ReadonlyMap<string, Group> {
  const groups = new Map<string, { ports: readonly SlicePort[]; endpoints: Endpoint[] }>();
  for (const pod of selectedPods(service, observed)) {
    const address = addressOf(pod, family);
    if (address === undefined) continue;
    const ports = portsOn(service, pod);
    const portKey = canonical(ports);
    const group = groups.get(portKey) ?? { ports, endpoints: [] };
    group.endpoints.push(endpointOf(service, pod, address, observed));
    groups.set(portKey, group);
  }
  // a service without pods keeps one empty slice: "nobody" is an answer, too
  if (groups.size === 0) groups.set(canonical([]), { ports: [], endpoints: [] });
  return groups;
}

export function selectedPods(service: Service, observed: Observed): readonly Pod[] {
  const selector = service.spec?.selector ?? {};
  return observed
    .list<Pod>(PODS, service.metadata.namespace)
    .filter((pod) => matchesLabels(selector, pod.metadata.labels) && !isFinished(pod))
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

export function addressOf(pod: Pod, family: string): string | undefined {
  const { podIPs = [], podIP } = pod.status ?? {};
  const addresses = podIPs.length > 0 ? podIPs.map(({ ip }) => ip) : podIP ? [podIP] : [];
  return addresses.find((address) => address.includes(':') === (family === 'IPv6'));
}

/** The service's ports as this pod has them; a port whose name the pod does not know is left out. */
export function portsOn(service: Service, pod: Pod): readonly SlicePort[] {
  return (service.spec?.ports ?? []).flatMap((port) => {
    const { name = '', protocol = 'TCP', appProtocol, targetPort = port.port } = port;
    const number =
      typeof targetPort === 'number' ? targetPort : namedPort(pod, targetPort, protocol);
    if (number === undefined) return [];
    return [
      { name, port: number, protocol, ...(appProtocol === undefined ? {} : { appProtocol }) },
    ];
  });
}

function namedPort(pod: Pod, name: string, protocol: string): number | undefined {
  // init containers that never stop (sidecars) serve ports, too
  const sidecars = (pod.spec?.initContainers ?? []).filter((one) => one.restartPolicy === 'Always');
  const ports = [...(pod.spec?.containers ?? []), ...sidecars].flatMap(({ ports = [] }) => ports);
  return ports.find((port) => port.name === name && (port.protocol ?? 'TCP') === protocol)
    ?.containerPort;
}

function endpointOf(service: Service, pod: Pod, address: string, observed: Observed): Endpoint {
  const { name, namespace, uid } = pod.metadata;
  const serving = isReady(pod);
  const terminating = isTerminating(pod);
  const ready = service.spec?.publishNotReadyAddresses === true || (serving && !terminating);
  const { nodeName, hostname, subdomain } = pod.spec ?? {};
  const node = nodeName === undefined ? undefined : observed.get<Node>(NODES, nodeName);
  const zone = node?.metadata.labels?.['topology.kubernetes.io/zone'];
  const named = hostname !== undefined && subdomain === service.metadata.name;
  return {
    addresses: [address],
    conditions: { ready, serving, terminating },
    ...(named ? { hostname } : {}),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(zone === undefined ? {} : { zone }),
    targetRef: {
      kind: 'Pod',
      ...(namespace === undefined ? {} : { namespace }),
      name,
      ...(uid === undefined ? {} : { uid }),
    },
  };
}

/** Spreads a group's endpoints over its slices: those that are in one stay there, new ones fill the gaps. */
function fill(
  service: Service,
  family: string,
  group: Group,
  slices: readonly EndpointSlice[],
): readonly Action[] {
  const wanted = new Map(group.endpoints.map((endpoint) => [identityOf(endpoint), endpoint]));
  const contents = slices.map((slice) => {
    const endpoints = (slice.endpoints ?? []).flatMap((endpoint) => {
      const identity = identityOf(endpoint);
      const now = wanted.get(identity);
      wanted.delete(identity);
      return now === undefined ? [] : [now];
    });
    return { slice, endpoints };
  });
  const fresh = [...wanted.values()];
  // fullest first, so that sparse slices may run empty and go
  for (const { endpoints } of contents.toSorted(
    (a, b) => b.endpoints.length - a.endpoints.length,
  )) {
    endpoints.push(...fresh.splice(0, MAX_ENDPOINTS_A_SLICE - endpoints.length));
  }
  const names = new Set(slices.map((slice) => slice.metadata.name));
  const actions: Action[] = [];
  const kept = contents.filter(({ endpoints }) => endpoints.length > 0);
  const empty = contents.filter(({ endpoints }) => endpoints.length === 0);
  // the placeholder of a service without pods
  if (group.endpoints.length === 0) kept.push(...empty.splice(0, 1));
  actions.push(...empty.map(({ slice }) => remove(slice)));
  for (const { slice, endpoints } of kept) {
    actions.push(...write(sliceOf(service, family, group, endpoints, slice.metadata.name), slice));
  }
  const bare = group.endpoints.length === 0 && kept.length === 0;
  for (let index = 0; fresh.length > 0 || (bare && index === 0); index++) {
    const name = nameSlice(service, family, group, names);
    names.add(name);
    const endpoints = fresh.splice(0, MAX_ENDPOINTS_A_SLICE);
    const object = sliceOf(service, family, group, endpoints, name);
    const owner = { resource: SERVICES, object: service };
    actions.push({ verb: 'create', resource: ENDPOINT_SLICES, object, owner });
  }
  return actions;
}

function write(wanted: EndpointSlice, slice: EndpointSlice): readonly Action[] {
  const { labels, ownerReferences } = wanted.metadata;
  const metadata = {
    ...slice.metadata,
    labels: labels ?? {},
    ownerReferences: ownerReferences ?? [],
  };
  const object = {
    ...slice,
    metadata,
    endpoints: wanted.endpoints ?? [],
    ports: wanted.ports ?? [],
  };
  const before = { ...slice, endpoints: slice.endpoints ?? [], ports: slice.ports ?? [] };
  if (same(object, before)) return [];
  return [{ verb: 'update', resource: ENDPOINT_SLICES, object }];
}

function sliceOf(
  service: Service,
  family: string,
  group: Group,
  endpoints: readonly Endpoint[],
  name: string,
): EndpointSlice {
  const { namespace = '', labels } = service.metadata;
  const headless = service.spec?.clusterIP === 'None';
  return {
    ...typeMetaOf(ENDPOINT_SLICES),
    metadata: {
      name,
      namespace,
      labels: {
        ...labels,
        [SERVICE_NAME]: service.metadata.name,
        [MANAGED_BY]: MANAGER,
        ...(headless ? { [HEADLESS]: '' } : {}),
      },
      ownerReferences: [controllerReference(SERVICES, service)],
    },
    addressType: family,
    endpoints,
    ports: group.ports,
  };
}

/** The same slice gets the same name whoever makes it, so that making it twice is refused and not a second slice. */
function nameSlice(
  service: Service,
  family: string,
  group: Group,
  taken: ReadonlySet<string>,
): string {
  const { name, uid } = service.metadata;
  for (let index = 0; ; index++) {
    const made = `${name}-${shortHash(canonical([uid, family, group.ports, index]), 5)}`;
    if (!taken.has(made)) return made;
  }
}

function identityOf(endpoint: Endpoint): string {
  return endpoint.targetRef?.uid ?? endpoint.addresses[0] ?? '';
}

function remove(object: EndpointSlice): Action {
  return { verb: 'delete', resource: ENDPOINT_SLICES, object };
}
