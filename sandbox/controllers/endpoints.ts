// Endpoints: the same answer as EndpointSlices, in the older shape that some clients still read (one family, no zones).

import { ENDPOINTS, PODS, SERVICES } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import { addressOf, portsOn, selectedPods } from './endpoint-slices.ts';
import { canonical, same } from './hash.ts';
import type { KubeObject, Pod, Service, SlicePort } from './objects.ts';
import { type Controller, itself, keyOf, NOTHING, nameOf, type Plan } from './plan.ts';
import { isReady, isTerminating } from './pods.ts';
import { typeMetaOf } from './resources.ts';
import { matchesLabels } from './selector.ts';

// as Kubernetes cuts them; who needs more reads slices
const MAX_ADDRESSES = 1000;

type Address = {
  readonly ip: string;
  readonly nodeName?: string;
  readonly hostname?: string;
  readonly targetRef: {
    readonly kind: 'Pod';
    readonly namespace?: string;
    readonly name: string;
    readonly uid?: string;
  };
};

type Subset = {
  readonly addresses?: readonly Address[];
  readonly notReadyAddresses?: readonly Address[];
  readonly ports?: readonly SlicePort[];
};

type Endpoints = KubeObject & { readonly subsets?: readonly Subset[] };

export const endpoints: Controller = {
  name: 'endpoint-controller',
  watches: [
    { resource: SERVICES, keys: itself },
    { resource: PODS, keys: (pod, observed) => servicesNear(pod as Pod, observed) },
    { resource: ENDPOINTS, keys: itself },
  ],
  reconcile: reconcileEndpoints,
};

/** Every selecting service; a pod that lost its labels is found by the Endpoints that still name it. */
function servicesNear(pod: Pod, observed: Observed): readonly string[] {
  const { namespace = '', labels, uid } = pod.metadata;
  const selecting = observed
    .list<Service>(SERVICES, namespace)
    .filter(({ spec }) => spec?.selector !== undefined && matchesLabels(spec.selector, labels));
  const naming = observed
    .list<Endpoints>(ENDPOINTS, namespace)
    .filter(({ subsets }) =>
      subsets?.some(({ addresses = [], notReadyAddresses = [] }) =>
        [...addresses, ...notReadyAddresses].some(({ targetRef }) => targetRef?.uid === uid),
      ),
    );
  return [...new Set([...selecting, ...naming].map(keyOf))];
}

export function reconcileEndpoints(key: string, observed: Observed): Plan {
  const { namespace, name } = nameOf(key);
  const service = observed.get<Service>(SERVICES, name, namespace);
  const existing = observed.get<Endpoints>(ENDPOINTS, name, namespace);
  if (service === undefined) {
    // made by us for a service that had a selector; those made by hand are left alone
    const ours = existing?.metadata.labels?.['endpoints.kubernetes.io/managed-by'] === CONTROLLER;
    if (existing === undefined || !ours || isTerminating(existing)) return NOTHING;
    return { actions: [{ verb: 'delete', resource: ENDPOINTS, object: existing }] };
  }
  if (service.spec?.selector === undefined || service.spec.type === 'ExternalName') return NOTHING;
  if (isTerminating(service)) return NOTHING;
  const subsets = subsetsOf(service, observed);
  const labels = {
    ...service.metadata.labels,
    'endpoints.kubernetes.io/managed-by': CONTROLLER,
    ...(service.spec.clusterIP === 'None' ? { 'service.kubernetes.io/headless': '' } : {}),
  };
  if (existing === undefined) {
    const object = { ...typeMetaOf(ENDPOINTS), metadata: { name, namespace, labels }, subsets };
    return { actions: [{ verb: 'create', resource: ENDPOINTS, object }] };
  }
  const object = { ...existing, metadata: { ...existing.metadata, labels }, subsets };
  if (same(object, { ...existing, subsets: existing.subsets ?? [] })) return NOTHING;
  return { actions: [{ verb: 'update', resource: ENDPOINTS, object }] };
}

const CONTROLLER = 'endpoint-controller';

function subsetsOf(service: Service, observed: Observed): readonly Subset[] {
  const family = service.spec?.ipFamilies?.[0] ?? 'IPv4';
  const byPorts = new Map<string, { ports: readonly SlicePort[]; pods: Pod[] }>();
  for (const pod of selectedPods(service, observed).slice(0, MAX_ADDRESSES)) {
    if (addressOf(pod, family) === undefined) continue;
    const publish = service.spec?.publishNotReadyAddresses === true;
    if (isTerminating(pod) && !publish) continue;
    const ports = portsOn(service, pod);
    const group = byPorts.get(canonical(ports)) ?? { ports, pods: [] };
    group.pods.push(pod);
    byPorts.set(canonical(ports), group);
  }
  return [...byPorts.values()].map(({ ports, pods }): Subset => {
    const publish = service.spec?.publishNotReadyAddresses === true;
    const ready = pods.filter((pod) => publish || isReady(pod));
    const notReady = pods.filter((pod) => !ready.includes(pod));
    const addressed = (list: readonly Pod[]) => list.map((pod) => addressFrom(pod, family));
    return {
      ...(ready.length === 0 ? {} : { addresses: addressed(ready) }),
      ...(notReady.length === 0 ? {} : { notReadyAddresses: addressed(notReady) }),
      ...(ports.length === 0 ? {} : { ports: ports.map(withoutEmptyName) }),
    };
  });
}

function withoutEmptyName({ name, ...port }: SlicePort): SlicePort {
  return (name === '' ? port : { name, ...port }) as SlicePort;
}

function addressFrom(pod: Pod, family: string): Address {
  const { name, namespace, uid } = pod.metadata;
  const nodeName = pod.spec?.nodeName;
  return {
    ip: addressOf(pod, family) ?? '',
    ...(nodeName === undefined ? {} : { nodeName }),
    targetRef: {
      kind: 'Pod',
      ...(namespace === undefined ? {} : { namespace }),
      name,
      ...(uid === undefined ? {} : { uid }),
    },
  };
}
