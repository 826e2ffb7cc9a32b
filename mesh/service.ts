// Service: a stable name with addresses (VIPs) in front of workloads. Its endpoints are derived from Workload.services
// by the Snapshot, never stored here.

import type { IpAddress } from './address.ts';
import type { GatewayAddress, PortMapping } from './workload.ts';

export type Vip = {
  readonly network: string;
  readonly ip: IpAddress;
  /** CIDR prefix length for ServiceEntries that own a range; undefined means this one address. */
  readonly prefixLength: number | undefined;
};

export type LocalityScope = 'region' | 'zone' | 'subzone' | 'node' | 'cluster' | 'network';

/** Istio's LoadBalancing message: `strict` requires all scopes, `failover` ranks by consecutive matches. */
export type LoadBalancing = {
  readonly mode: 'unspecified' | 'strict' | 'failover' | 'passthrough';
  readonly preference: readonly LocalityScope[];
  readonly health: 'only-healthy' | 'allow-all';
};

/** One of several waypoints that share a service's connections; weight 0 gets none. */
export type WeightedWaypoint = { readonly destination: GatewayAddress; readonly weight: number };

export type Service = {
  readonly name: string;
  readonly namespace: string;
  /** Fully qualified, e.g. `web.shop.svc.cluster.local`. */
  readonly hostname: string;
  readonly vips: readonly Vip[];
  readonly ports: readonly PortMapping[];
  /** Identities (SPIFFE URIs) that may answer for it besides the endpoint's own. */
  readonly subjectAltNames: readonly string[];
  readonly waypoint: GatewayAddress | undefined;
  /** When there are any, they take the place of `waypoint`. */
  readonly weightedWaypoints: readonly WeightedWaypoint[];
  /** Connections from ingress gateways go through the waypoint too. */
  readonly ingressUseWaypoint: boolean;
  readonly loadBalancing: LoadBalancing | undefined;
  readonly ipFamilies: 'automatic' | 'ipv4' | 'ipv6' | 'dual';
  /** True for the Service object that owns the hostname in its cluster (ties are broken towards it). */
  readonly canonical: boolean;
  /** `namespace`: clients of other namespaces do not know it. */
  readonly visibility: 'public' | 'namespace';
  /** A client keeps its endpoint until it has not connected for this long; undefined: every connection is free. */
  readonly sessionAffinitySeconds: number | undefined;
  /** How one of equally near endpoints is chosen: the less loaded of two, or by weight alone. */
  readonly balancing: 'least-request' | 'random';
};

/** The name a Service has in discovery and in Workload.services. */
export function serviceKey(service: Pick<Service, 'namespace' | 'hostname'>): string {
  return `${service.namespace}/${service.hostname}`;
}
