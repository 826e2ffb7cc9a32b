// What a route refers to -> where requests go, or why they cannot. Called by rules.ts and filters.ts. A reference that leads
// nowhere costs its own share of requests only (500), and is told under ResolvedRefs.

import type { BackendTarget } from '../../../mesh/route.ts';
import { serviceKey } from '../../../mesh/service.ts';
import type { ServicePort } from '../../../runtime/kubernetes/objects.ts';
import { type BackendReference, GATEWAY_GROUP } from '../../../runtime/kubernetes/route-objects.ts';
import type { KnownService } from '../endpoints.ts';
import { tcpPorts } from '../service.ts';
import type { BrokenReference } from './faults.ts';
import type { Grants } from './grants.ts';
import type { RouteSource } from './route-objects.ts';

/** Routes may hold for a Service (the mesh) and for a Gateway at once, and differ in what they may refer to. */
export type Facet = 'mesh' | 'gateway';

export type ReferenceContext = {
  readonly source: RouteSource;
  readonly facet: Facet;
  /** By `namespace/name`. */
  readonly services: ReadonlyMap<string, KnownService>;
  readonly grants: Grants;
  /** Filled with each reference that leads nowhere. */
  readonly broken: BrokenReference[];
};

/** Group of {@link SUBSET_KIND}. */
const OWN_GROUP = 'networking.ambit-mesh.io';
/** `name: <service>.<subset>`: pods of the Service that a TrafficPolicy gave a name. Names of Services have no dots. */
const SUBSET_KIND = 'ServiceSubset';

// Of the protocols Kubernetes itself names, those that a route of HTTP can be sent on with; any other word is the user's own.
const KUBERNETES_PROTOCOLS: readonly string[] = ['kubernetes.io/h2c', 'kubernetes.io/ws'];

export function targetOf(ref: BackendReference, context: ReferenceContext): BackendTarget {
  const found = resolve(ref, context);
  if (!('reason' in found)) return found;
  context.broken.push(found);
  return { kind: 'invalid', why: `${found.reason}: ${found.message}` };
}

function resolve(
  ref: BackendReference,
  { source, facet, services, grants }: ReferenceContext,
): BackendTarget | BrokenReference {
  const named = serviceNamed(ref);
  if (named === undefined) {
    const kind = `${ref.group ?? ''}/${ref.kind ?? ''}`;
    return broken('InvalidKind', `${kind} ${ref.name} is no backend: name a Service`);
  }
  const namespace = ref.namespace ?? source.namespace;
  const from = { group: GATEWAY_GROUP, kind: source.resource.kind, namespace: source.namespace };
  const to = { group: '', kind: 'Service', namespace, name: named.name };
  // clients of the mesh may connect to any Service as it is: a route of theirs opens nothing
  if (facet === 'gateway' && !grants.permits(from, to)) {
    return broken(
      'RefNotPermitted',
      `Service ${namespace}/${named.name} is of another namespace: a ReferenceGrant there must permit it`,
    );
  }
  const known = services.get(`${namespace}/${named.name}`);
  if (known === undefined) {
    return broken('BackendNotFound', `Service ${namespace}/${named.name} does not exist`);
  }
  const { object, service } = known;
  const text = `Service ${namespace}/${named.name}`;
  if (object.spec.type === 'ExternalName') {
    return broken('InvalidKind', `${text} is an ExternalName: it has no endpoints of its own`);
  }
  if (ref.port === undefined) {
    return broken('BackendNotFound', `A reference to ${text} names no port`);
  }
  const port = tcpPorts(object).find((one) => one.port === ref.port);
  if (port === undefined) {
    return broken('BackendNotFound', `${text} has no TCP port ${ref.port}`);
  }
  if (!isSupported(port)) {
    const protocol = `appProtocol ${port.appProtocol} of port ${ref.port}`;
    return broken('UnsupportedProtocol', `${text}: ${protocol} cannot be routed to`);
  }
  return { kind: 'service', service: serviceKey(service), port: ref.port, subset: named.subset };
}

function serviceNamed({
  group = '',
  kind = 'Service',
  name,
}: BackendReference): { name: string; subset: string | undefined } | undefined {
  if ((group === '' || group === 'core') && kind === 'Service') return { name, subset: undefined };
  if (group !== OWN_GROUP || kind !== SUBSET_KIND) return undefined;
  const dot = name.indexOf('.');
  if (dot <= 0 || dot === name.length - 1) return undefined;
  return { name: name.slice(0, dot), subset: name.slice(dot + 1) };
}

function isSupported({ appProtocol }: ServicePort): boolean {
  const said = appProtocol?.toLowerCase() ?? '';
  return !said.startsWith('kubernetes.io/') || KUBERNETES_PROTOCOLS.includes(said);
}

function broken(reason: BrokenReference['reason'], message: string): BrokenReference {
  return { reason, message };
}
