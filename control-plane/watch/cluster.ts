// Everything of Kubernetes the control plane looks at, as informers, and the World made of them for a translation.
// Started and closed by app.ts; tells of each change, which is batched there.

import type { Clock } from '../../runtime/clock.ts';
import type { KubeClient } from '../../runtime/kubernetes/client.ts';
import type {
  Gateway,
  GatewayClass,
  ReferenceGrant,
} from '../../runtime/kubernetes/gateway-objects.ts';
import { type Informer, inform } from '../../runtime/kubernetes/informer.ts';
import type {
  ConfigMap,
  EndpointSlice,
  KubeObject,
  Namespace,
  Node,
  Pod,
  Service,
} from '../../runtime/kubernetes/objects.ts';
import {
  AUTHORIZATION_POLICIES,
  CONFIG_MAPS,
  ENDPOINT_SLICES,
  GATEWAY_CLASSES,
  GATEWAYS,
  GRPC_ROUTES,
  HTTP_ROUTES,
  NAMESPACES,
  NODES,
  PEER_AUTHENTICATIONS,
  PODS,
  REFERENCE_GRANTS,
  REQUEST_AUTHENTICATIONS,
  SERVICE_ENTRIES,
  SERVICES,
  TCP_ROUTES,
  TLS_ROUTES,
  TRAFFIC_POLICIES,
  WORKLOAD_ENTRIES,
} from '../../runtime/kubernetes/resources.ts';
import type {
  GrpcRouteObject,
  HttpRouteObject,
  RouteObject,
} from '../../runtime/kubernetes/route-objects.ts';
import type { Log } from '../../runtime/log.ts';
import type { AuthorizationPolicyObject } from '../translate/authorization.ts';
import { PROVIDERS_CONFIG_MAP } from '../translate/extension-providers.ts';
import type { PeerAuthenticationObject } from '../translate/peer-authentication.ts';
import type { RequestAuthenticationObject } from '../translate/request-authentication.ts';
import type { ServiceEntryObject } from '../translate/service-entry.ts';
import type { TrafficPolicyObject } from '../translate/traffic-policy-objects.ts';
import type { WorkloadEntryObject } from '../translate/workload-entry.ts';
import type { World } from '../translate/world.ts';

export type Cluster = {
  /** Resolves once every kind was listed. */
  readonly synced: Promise<void>;
  readonly pods: Informer<Pod>;
  readonly namespaces: Informer<Namespace>;
  readonly services: Informer<Service>;
  readonly gateways: Informer<Gateway>;
  /** An object as a Problem names it, of the kinds that have problems; undefined when it is not there. */
  find(kind: string, namespace: string | undefined, name: string): KubeObject | undefined;
  world(): World;
  close(): Promise<void>;
};

export function watchCluster(
  parts: { readonly client: KubeClient; readonly clock: Clock; readonly log: Log },
  { namespace }: { readonly namespace: string },
  onChange: () => void,
): Cluster {
  const namespaces = inform<Namespace>(parts, NAMESPACES);
  const nodes = inform<Node>(parts, NODES);
  const pods = inform<Pod>(parts, PODS);
  const services = inform<Service>(parts, SERVICES);
  const endpointSlices = inform<EndpointSlice>(parts, ENDPOINT_SLICES);
  // a cluster without our CRDs simply has no policies, one without those of the Gateway API no routes
  const optional = { optional: true };
  const authorizationPolicies = inform<AuthorizationPolicyObject>(
    parts,
    AUTHORIZATION_POLICIES,
    optional,
  );
  const peerAuthentications = inform<PeerAuthenticationObject>(
    parts,
    PEER_AUTHENTICATIONS,
    optional,
  );
  const serviceEntries = inform<ServiceEntryObject>(parts, SERVICE_ENTRIES, optional);
  const workloadEntries = inform<WorkloadEntryObject>(parts, WORKLOAD_ENTRIES, optional);
  const requestAuthentications = inform<RequestAuthenticationObject>(
    parts,
    REQUEST_AUTHENTICATIONS,
    optional,
  );
  const extensionProviders = inform<ConfigMap>(parts, CONFIG_MAPS, {
    namespace,
    fieldSelector: `metadata.name=${PROVIDERS_CONFIG_MAP}`,
  });
  const trafficPolicies = inform<TrafficPolicyObject>(parts, TRAFFIC_POLICIES, optional);
  const gateways = inform<Gateway>(parts, GATEWAYS, optional);
  const gatewayClasses = inform<GatewayClass>(parts, GATEWAY_CLASSES, optional);
  const httpRoutes = inform<HttpRouteObject>(parts, HTTP_ROUTES, optional);
  const grpcRoutes = inform<GrpcRouteObject>(parts, GRPC_ROUTES, optional);
  const tlsRoutes = inform<RouteObject>(parts, TLS_ROUTES, optional);
  const tcpRoutes = inform<RouteObject>(parts, TCP_ROUTES, optional);
  const referenceGrants = inform<ReferenceGrant>(parts, REFERENCE_GRANTS, optional);
  const routes: Readonly<Record<string, Informer<KubeObject>>> = {
    HTTPRoute: httpRoutes,
    GRPCRoute: grpcRoutes,
    TLSRoute: tlsRoutes,
    TCPRoute: tcpRoutes,
  };
  const all: Informer<KubeObject>[] = [
    namespaces,
    pods,
    services,
    endpointSlices,
    authorizationPolicies,
    peerAuthentications,
    serviceEntries,
    workloadEntries,
    trafficPolicies,
    requestAuthentications,
    extensionProviders,
    gateways,
    gatewayClasses,
    ...Object.values(routes),
    referenceGrants,
  ];
  for (const informer of all) informer.subscribe(onChange);
  // kubelets write their node's status every few seconds; only its labels concern us
  nodes.subscribe(({ object, old }) => {
    if (JSON.stringify(object.metadata.labels) !== JSON.stringify(old?.metadata.labels)) onChange();
  });
  const everything = [...all, nodes];
  return {
    synced: Promise.all(everything.map(({ synced }) => synced)).then(() => {}),
    pods,
    namespaces,
    services,
    gateways,
    find(kind, place, name) {
      if (kind === 'Namespace') return namespaces.get(name);
      if (kind === 'Pod') return pods.get(name, place);
      if (kind === 'ServiceEntry') return serviceEntries.get(name, place);
      if (kind === 'AuthorizationPolicy') return authorizationPolicies.get(name, place);
      if (kind === 'RequestAuthentication') return requestAuthentications.get(name, place);
      if (kind === 'ConfigMap') return extensionProviders.get(name, place);
      if (kind === 'Gateway') return gateways.get(name, place);
      return routes[kind]?.get(name, place);
    },
    world: () => ({
      namespaces: byName(namespaces),
      nodes: byName(nodes),
      pods: [...pods.items()],
      services: [...services.items()],
      endpointSlices: [...endpointSlices.items()],
      authorizationPolicies: [...authorizationPolicies.items()],
      peerAuthentications: [...peerAuthentications.items()],
      serviceEntries: [...serviceEntries.items()],
      workloadEntries: [...workloadEntries.items()],
      trafficPolicies: [...trafficPolicies.items()],
      requestAuthentications: [...requestAuthentications.items()],
      extensionProviders: extensionProviders.get(PROVIDERS_CONFIG_MAP, namespace),
      gateways: [...gateways.items()],
      gatewayClasses: byName(gatewayClasses),
      httpRoutes: [...httpRoutes.items()],
      grpcRoutes: [...grpcRoutes.items()],
      tlsRoutes: [...tlsRoutes.items()],
      tcpRoutes: [...tcpRoutes.items()],
      referenceGrants: [...referenceGrants.items()],
    }),
    async close() {
      await Promise.all(everything.map((informer) => informer.close()));
    },
  };
}

function byName<T extends KubeObject>(informer: Informer<T>): Map<string, T> {
  return new Map([...informer.items()].map((object) => [object.metadata.name ?? '', object]));
}
