// WorkloadEntry, and the same shape written inside a ServiceEntry -> Workload: an endpoint that is no pod. Pure. Called by
// service-entry.ts and entries.ts.

import { type IpAddress, parseIp } from '../../mesh/address.ts';
import type { Locality, PortMapping, Workload } from '../../mesh/workload.ts';
import type { KubeObject } from '../../runtime/kubernetes/objects.ts';

/** Istio's WorkloadEntry, field by field. */
export type WorkloadEntrySpec = {
  /** An IP address or a DNS name. */
  readonly address?: string;
  /** Name of a service's port -> the number it has here. */
  readonly ports?: Readonly<Record<string, number>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly network?: string;
  /** `region/zone/subzone`, the latter two optional. */
  readonly locality?: string;
  readonly weight?: number;
  readonly serviceAccount?: string;
};
export type WorkloadEntryObject = KubeObject & { readonly spec?: WorkloadEntrySpec };

export type EntryContext = {
  readonly cluster: string;
  readonly network: string;
  readonly trustDomain: string;
  readonly clusterDomain: string;
};

export type Reach =
  | { readonly by: 'address'; readonly ip: IpAddress }
  | { readonly by: 'hostname'; readonly hostname: string };

/** undefined for a UNIX socket, or text that is neither an address nor a name: nothing an agent can connect to. */
export function reachOf(address: string | undefined): Reach | undefined {
  if (address === undefined || address === '') return undefined;
  try {
    return { by: 'address', ip: parseIp(address) };
  } catch {
    const hostname = address.toLowerCase();
    return HOSTNAME.test(hostname) ? { by: 'hostname', hostname } : undefined;
  }
}

/** RFC 1123 labels; not digits alone, which would be an address somebody mistyped. */
const HOSTNAME =
  /^(?=.{1,253}$)(?![\d.]+$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*$/;

export function entryWorkload(
  place: { readonly uid: string; readonly name: string; readonly namespace: string },
  spec: WorkloadEntrySpec,
  reach: Reach,
  services: ReadonlyMap<string, readonly PortMapping[]>,
  context: EntryContext,
): Workload {
  const labels = spec.labels ?? {};
  const account = spec.serviceAccount ?? '';
  return {
    ...place,
    serviceAccount: account === '' ? 'default' : account,
    trustDomain: context.trustDomain,
    cluster: context.cluster,
    network: spec.network === undefined || spec.network === '' ? context.network : spec.network,
    node: '',
    addresses: reach.by === 'address' ? [reach.ip] : [],
    hostname: reach.by === 'hostname' ? reach.hostname : '',
    locality: localityOf(spec.locality),
    health: 'healthy',
    // no agent of ours runs there
    protocol: 'tcp',
    nativeTunnel: false,
    applicationTunnel: undefined,
    hostNetwork: false,
    waypoint: undefined,
    networkGateway: undefined,
    canonicalName:
      labels['service.istio.io/canonical-name'] ??
      labels['app.kubernetes.io/name'] ??
      labels['app'] ??
      place.name,
    canonicalRevision:
      labels['service.istio.io/canonical-revision'] ??
      labels['app.kubernetes.io/version'] ??
      labels['version'] ??
      'latest',
    workloadName: place.name,
    workloadType: 'pod',
    services,
    authorizationPolicies: [],
    // Istio: 0 is what an unset weight reads as
    capacity: spec.weight === undefined || spec.weight === 0 ? 1 : spec.weight,
    outboundPolicy: 'allow-any',
  };
}

/** The port of a workload for a service's port: its own word for that name before the service's number. */
export function portAt(
  spec: WorkloadEntrySpec,
  port: { readonly name: string; readonly targetPort: number },
): number {
  const own = spec.ports ?? {};
  return Object.hasOwn(own, port.name) ? (own[port.name] ?? port.targetPort) : port.targetPort;
}

function localityOf(text = ''): Locality {
  const [region = '', zone = '', subzone = ''] = text.split('/');
  return { region, zone, subzone };
}
