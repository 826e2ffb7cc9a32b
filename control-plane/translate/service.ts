// Kubernetes Service -> mesh Service: its addresses, ports and how it wants to be balanced. Pure.

import { type IpAddress, parseIp } from '../../mesh/address.ts';
import type { Service, Vip } from '../../mesh/service.ts';
import { INGRESS_USE_WAYPOINT } from '../../mesh/waypoint.ts';
import type { GatewayAddress, PortMapping } from '../../mesh/workload.ts';
import type {
  KubeObject,
  Service as KubeService,
  ServicePort,
} from '../../runtime/kubernetes/objects.ts';
import { affinitySecondsOf, balancingOf, loadBalancingOf, type TrafficContext } from './traffic.ts';

export type ServiceContext = TrafficContext & {
  readonly network: string;
  readonly clusterDomain: string;
  /** What its connections must go through. */
  readonly waypoint: GatewayAddress | undefined;
};

export function hostnameOf(name: string, namespace: string, clusterDomain: string): string {
  return `${name}.${namespace}.svc.${clusterDomain}`;
}

/** An ExternalName Service has no address: clients reach it by DNS, and its one endpoint is that other name. */
export function serviceOf(service: KubeService, context: ServiceContext): Service {
  const { name = '', namespace = '' } = service.metadata;
  return {
    name,
    namespace,
    hostname: hostnameOf(name, namespace, context.clusterDomain),
    vips: vipsOf(service, context.network),
    ports: tcpPorts(service).map(portOf),
    subjectAltNames: [],
    waypoint: context.waypoint,
    weightedWaypoints: [],
    ingressUseWaypoint: ingressUsesWaypoint(service, context.namespace),
    loadBalancing: loadBalancingOf(service, context),
    ipFamilies: familiesOf(service),
    canonical: true,
    visibility: 'public',
    sessionAffinitySeconds: affinitySecondsOf(service),
    balancing: balancingOf(service, context.namespace),
  };
}

/** The object's own word before its namespace's. */
export function ingressUsesWaypoint(
  object: KubeObject,
  namespace: KubeObject | undefined,
): boolean {
  const said =
    object.metadata.labels?.[INGRESS_USE_WAYPOINT] ??
    namespace?.metadata.labels?.[INGRESS_USE_WAYPOINT];
  return said === 'true';
}

/** The ports the mesh carries: it has no UDP or SCTP. */
export function tcpPorts(service: KubeService): readonly ServicePort[] {
  return (service.spec.ports ?? []).filter(({ protocol = 'TCP' }) => protocol === 'TCP');
}

/** What is said about a port's protocol, by `appProtocol` before the name's prefix. */
export function appProtocolOf(
  port: Pick<ServicePort, 'name' | 'appProtocol'>,
): PortMapping['appProtocol'] {
  const said = port.appProtocol ?? port.name?.split('-')[0] ?? '';
  switch (said.toLowerCase()) {
    case 'http':
      return 'http11';
    case 'http2':
    case 'kubernetes.io/h2c':
      return 'http2';
    case 'grpc':
      return 'grpc';
    case 'tls':
    case 'https':
      return 'tls';
    case 'tcp':
      return 'tcp';
    default:
      return 'unknown';
  }
}

/** An address that cannot be read is left out: the API server checks them, so it would be nobody's. */
export function readIps(texts: readonly string[]): IpAddress[] {
  return texts.flatMap((text) => {
    try {
      return [parseIp(text)];
    } catch {
      return [];
    }
  });
}

function vipsOf(service: KubeService, network: string): Vip[] {
  const { clusterIP, clusterIPs = [] } = service.spec;
  const texts = [clusterIP, ...clusterIPs].filter(
    (text) => text !== undefined && text !== '' && text !== 'None',
  ) as string[];
  return readIps([...new Set(texts)]).map((ip) => ({ network, ip, prefixLength: undefined }));
}

function portOf(port: ServicePort): PortMapping {
  const { targetPort = port.port } = port;
  return {
    servicePort: port.port,
    // a named port differs from pod to pod: each endpoint says which number it is
    targetPort: typeof targetPort === 'number' ? targetPort : 0,
    appProtocol: appProtocolOf(port),
  };
}

function familiesOf(service: KubeService): Service['ipFamilies'] {
  const families = service.spec.ipFamilies ?? [];
  if (families.includes('IPv4') && families.includes('IPv6')) return 'dual';
  if (families.includes('IPv4')) return 'ipv4';
  return families.includes('IPv6') ? 'ipv6' : 'automatic';
}
