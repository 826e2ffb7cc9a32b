// Workload: one pod (or enrolled machine) as the mesh sees it, and the waypoint references shared with Service.
// Made by control-plane/translate, carried by wire/discovery, read by every decision.

import type { IpAddress } from './address.ts';
import type { Identity } from './identity.ts';

/** Where a workload runs; empty strings mean "not known" (Kubernetes topology labels, Istio's Locality). */
export type Locality = { readonly region: string; readonly zone: string; readonly subzone: string };

/** A waypoint or network gateway, by service name or by address; `port` is its HBONE port. */
export type GatewayAddress =
  | {
      readonly by: 'hostname';
      readonly namespace: string;
      readonly hostname: string;
      readonly port: number;
    }
  | {
      readonly by: 'address';
      readonly network: string;
      readonly ip: IpAddress;
      readonly port: number;
    };

/** The workload wants its tunnelled connections on this one port, and told where they were going. */
export type ApplicationTunnel = {
  /** `proxy`: a PROXY protocol v2 header comes first; `none`: nothing but the bytes. */
  readonly protocol: 'none' | 'proxy';
  /** 0: the port that was asked for. */
  readonly port: number;
};

/** One service port as one endpoint serves it. `targetPort` 0 on a Service means "named: the endpoint says". */
export type PortMapping = {
  readonly servicePort: number;
  readonly targetPort: number;
  readonly appProtocol: 'unknown' | 'http11' | 'http2' | 'grpc' | 'tcp' | 'tls';
};

export type Workload = {
  /** `<cluster>//Pod/<namespace>/<name>` for pods; unique in the mesh. */
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly trustDomain: string;
  readonly cluster: string;
  readonly network: string;
  /** Kubernetes node name; empty for machines outside. */
  readonly node: string;
  readonly addresses: readonly IpAddress[];
  /** Its own DNS name; the only way to it when it has no address. */
  readonly hostname: string;
  readonly locality: Locality;
  /** `draining` still serves but is on its way out: it gets connections only when no other endpoint is healthy. */
  readonly health: 'healthy' | 'draining' | 'unhealthy';
  /** How peers reach it: `hbone` once its agent has said it is enrolled, else plain `tcp`. */
  readonly protocol: 'hbone' | 'tcp';
  /** Terminates HBONE by itself (a waypoint or gateway), without a node agent in front. */
  readonly nativeTunnel: boolean;
  readonly applicationTunnel: ApplicationTunnel | undefined;
  readonly hostNetwork: boolean;
  readonly waypoint: GatewayAddress | undefined;
  readonly networkGateway: GatewayAddress | undefined;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly workloadName: string;
  readonly workloadType: 'deployment' | 'cronjob' | 'pod' | 'job';
  /** `namespace/hostname` of each service it is an endpoint of -> the ports it serves there. */
  readonly services: ReadonlyMap<string, readonly PortMapping[]>;
  /** `namespace/name` of the policies whose selector picked it. */
  readonly authorizationPolicies: readonly string[];
  /** Relative share of traffic; 1 for a pod. */
  readonly capacity: number;
  /** Whether it may connect to destinations that the mesh knows nothing of. */
  readonly outboundPolicy: 'allow-any' | 'registry-only';
};

/** What telemetry names of a workload: looked up, or told by its own agent when it is on another network. */
export type DescribedWorkload = Pick<
  Workload,
  | 'name'
  | 'namespace'
  | 'cluster'
  | 'workloadName'
  | 'canonicalName'
  | 'canonicalRevision'
  | 'locality'
>;

export function workloadIdentity(workload: Workload): Identity {
  const { trustDomain, namespace, serviceAccount } = workload;
  return { trustDomain, namespace, serviceAccount };
}
