// ServiceEntry -> mesh Services, one a host, and the endpoints written inside it. Pure. Called by entries.ts, which knows
// the other objects a ServiceEntry has to agree with.

import { type IpAddress, isIpv6, parseIp } from '../../mesh/address.ts';
import { type Service, serviceKey, type Vip } from '../../mesh/service.ts';
import type { GatewayAddress, PortMapping, Workload } from '../../mesh/workload.ts';
import type { Condition, KubeObject } from '../../runtime/kubernetes/objects.ts';
import type { Finding } from './outcome.ts';
import { ingressUsesWaypoint } from './service.ts';
import { annotatedLoadBalancing, balancingOf } from './traffic.ts';
import {
  type EntryContext,
  entryWorkload,
  portAt,
  type Reach,
  reachOf,
  type WorkloadEntrySpec,
} from './workload-entry.ts';

export type EntryPort = {
  readonly number: number;
  readonly protocol?: string;
  readonly name: string;
  readonly targetPort?: number;
};

/** Istio's ServiceEntry, field by field. */
export type ServiceEntrySpec = {
  readonly hosts?: readonly string[];
  readonly addresses?: readonly string[];
  readonly ports?: readonly EntryPort[];
  readonly location?: 'MESH_EXTERNAL' | 'MESH_INTERNAL';
  readonly resolution?: 'NONE' | 'STATIC' | 'DNS' | 'DNS_ROUND_ROBIN';
  readonly endpoints?: readonly WorkloadEntrySpec[];
  readonly workloadSelector?: { readonly labels?: Readonly<Record<string, string>> };
  readonly exportTo?: readonly string[];
  readonly subjectAltNames?: readonly string[];
};
export type ServiceEntryObject = KubeObject & {
  readonly spec?: ServiceEntrySpec;
  readonly status?: {
    readonly addresses?: readonly { readonly value?: string; readonly host?: string }[];
    readonly conditions?: readonly Condition[];
  };
};

/** A ServiceEntry with what became of it so far. */
export type TranslatedEntry = {
  readonly object: ServiceEntryObject;
  readonly services: readonly Service[];
  /** Hosts that somebody else in the namespace has already: who, by host. */
  readonly taken: ReadonlyMap<string, string>;
  /** Addresses it was given, by host; undefined where none was left. */
  readonly assigned: ReadonlyMap<string, readonly IpAddress[] | undefined>;
  readonly inline: readonly Workload[];
  /** Which waypoint it goes through, for its status. */
  readonly waypoint: readonly Finding[];
};

/** An opt-out per object, as the reference has it. */
const AUTO_ADDRESS_LABEL = 'networking.ambit-mesh.io/enable-autoallocate-ip';

/** Hosts that get an address of their own because nobody gave them one. */
export function hostsToAddress({ metadata, spec = {} }: ServiceEntryObject): readonly string[] {
  if ((spec.addresses ?? []).length > 0 || (spec.resolution ?? 'NONE') === 'NONE') return [];
  if (metadata.labels?.[AUTO_ADDRESS_LABEL] === 'false') return [];
  // a wildcard stands for many hosts, which one address could not tell apart
  return hostsOf(spec).filter((host) => !isWildcard(host));
}

export function hostsOf(spec: ServiceEntrySpec): readonly string[] {
  return [...new Set((spec.hosts ?? []).map((host) => host.toLowerCase()))];
}

export function serviceOfHost(
  object: ServiceEntryObject,
  host: string,
  assigned: readonly IpAddress[],
  context: EntryContext & {
    readonly namespace: KubeObject | undefined;
    readonly waypoint: GatewayAddress | undefined;
  },
): Service {
  const { metadata, spec = {} } = object;
  const written = (spec.addresses ?? []).flatMap((text) => readRange(text, context.network) ?? []);
  const vips =
    written.length > 0
      ? written
      : assigned.map((ip) => ({ network: context.network, ip, prefixLength: undefined }));
  return {
    name: metadata.name ?? '',
    namespace: metadata.namespace ?? '',
    hostname: host,
    vips,
    ports: tcpEntryPorts(spec).map(portOf),
    subjectAltNames: spec.subjectAltNames ?? [],
    waypoint: context.waypoint,
    weightedWaypoints: [],
    ingressUseWaypoint: ingressUsesWaypoint(object, context.namespace),
    loadBalancing:
      (spec.resolution ?? 'NONE') === 'NONE'
        ? { mode: 'passthrough', preference: [], health: 'only-healthy' }
        : annotatedLoadBalancing(object, context.namespace),
    ipFamilies: 'automatic',
    canonical: false,
    visibility: isPublic(spec.exportTo) ? 'public' : 'namespace',
    sessionAffinitySeconds: undefined,
    balancing: balancingOf(object, context.namespace),
  };
}

/** The endpoints that stand in the object itself, or that its hosts' own names are. */
export function inlineWorkloads(
  { metadata, spec = {} }: ServiceEntryObject,
  services: readonly Service[],
  context: EntryContext & { readonly workloadWaypoint: GatewayAddress | undefined },
): Workload[] {
  const { name = '', namespace = '' } = metadata;
  const resolution = spec.resolution ?? 'NONE';
  if (resolution === 'NONE' || spec.workloadSelector !== undefined) return [];
  const made = (entry: WorkloadEntrySpec, reach: Reach, of: readonly Service[]): Workload => {
    const own = reach.by === 'address' ? reach.ip : reach.hostname;
    const uid = `${context.cluster}/networking.istio.io/ServiceEntry/${namespace}/${name}/${own}`;
    const ports = portsAt(spec, entry);
    const memberships = new Map(of.map((service) => [serviceKey(service), ports]));
    const workload = entryWorkload({ uid, name, namespace }, entry, reach, memberships, context);
    return { ...workload, waypoint: context.workloadWaypoint };
  };
  const byName = resolution === 'DNS' || resolution === 'DNS_ROUND_ROBIN';
  if ((spec.endpoints ?? []).length === 0 && byName) {
    return services
      .filter(({ hostname }) => !isWildcard(hostname))
      .map((service) => made({}, { by: 'hostname', hostname: service.hostname }, [service]));
  }
  const workloads = new Map<string, Workload>();
  for (const entry of spec.endpoints ?? []) {
    const reach = usableReach(entry, resolution);
    if (reach === undefined) continue;
    const workload = made(entry, reach, services);
    workloads.set(workload.uid, workload);
  }
  return [...workloads.values()];
}

/** undefined when the address is of no use for this kind of resolution: STATIC looks up no names. */
export function usableReach(
  entry: WorkloadEntrySpec,
  resolution: ServiceEntrySpec['resolution'],
): Reach | undefined {
  const reach = reachOf(entry.address);
  return reach?.by === 'hostname' && resolution === 'STATIC' ? undefined : reach;
}

/** What one endpoint serves of the entry's ports. */
export function portsAt(spec: ServiceEntrySpec, endpoint: WorkloadEntrySpec): PortMapping[] {
  return tcpEntryPorts(spec).map((port) => {
    const mapped = portOf(port);
    return {
      ...mapped,
      targetPort: portAt(endpoint, { name: port.name, targetPort: mapped.targetPort }),
    };
  });
}

/** The ports the mesh carries: it has no UDP. */
export function tcpEntryPorts(spec: ServiceEntrySpec): readonly EntryPort[] {
  return (spec.ports ?? []).filter(({ protocol = '' }) => protocol.toUpperCase() !== 'UDP');
}

/** An address or range; undefined when it is neither. */
export function readRange(text: string, network: string): Vip | undefined {
  const [address = '', length, ...rest] = text.split('/');
  try {
    const ip = parseIp(address);
    if (length === undefined) return { network, ip, prefixLength: undefined };
    const bits = isIpv6(ip) ? 128 : 32;
    const prefixLength = /^\d{1,3}$/.test(length) ? Number(length) : -1;
    if (rest.length > 0 || prefixLength < 0 || prefixLength > bits) return undefined;
    return { network, ip, prefixLength: prefixLength === bits ? undefined : prefixLength };
  } catch {
    return undefined;
  }
}

export function isWildcard(host: string): boolean {
  return host.startsWith('*');
}

/** Istio: nothing said is everybody; `.` is the own namespace. Of other namespaces by name, see {@link exportProblem}. */
function isPublic(exportTo: readonly string[] = []): boolean {
  return exportTo.length === 0 || exportTo.includes('*');
}

/** Visibility is public or the own namespace: any other wish gives less than was asked for, never more. */
export function exportProblem(
  exportTo: readonly string[] = [],
  namespace = '',
): string | undefined {
  if (isPublic(exportTo)) return undefined;
  const others = exportTo.filter((place) => place !== '.' && place !== namespace);
  if (others.length === 0) return undefined;
  return `exportTo names ${others.join(', ')}: only "*" and "." are honoured, so only its own namespace sees it`;
}

function portOf({ number, targetPort = number, protocol = '' }: EntryPort): PortMapping {
  return {
    servicePort: number,
    targetPort: targetPort === 0 ? number : targetPort,
    appProtocol: PROTOCOLS.get(protocol.toUpperCase()) ?? 'unknown',
  };
}

const PROTOCOLS: ReadonlyMap<string, PortMapping['appProtocol']> = new Map([
  ['HTTP', 'http11'],
  ['HTTP2', 'http2'],
  ['GRPC', 'grpc'],
  ['GRPC-WEB', 'grpc'],
  ['HTTPS', 'tls'],
  ['TLS', 'tls'],
  ['TCP', 'tcp'],
  ['MONGO', 'tcp'],
  ['MYSQL', 'tcp'],
  ['REDIS', 'tcp'],
]);
