// The cluster as TrafficPolicies name it: Services with their endpoints' workloads, routes with their rules. Pure. Made by
// world.ts, once a translation. Invariant: nothing is looked up that no policy names.

import { serviceKey } from '../../mesh/service.ts';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import type { GrpcRouteObject, HttpRouteObject } from '../../runtime/kubernetes/route-objects.ts';
import type { KnownService, Memberships } from './endpoints.ts';
import type { TrafficPolicyContext } from './traffic-policy.ts';

type Labelled = { readonly uid: string; readonly labels: Readonly<Record<string, string>> };

export function trafficContextOf(
  world: {
    readonly pods: Iterable<Pod>;
    readonly httpRoutes: Iterable<HttpRouteObject>;
    readonly grpcRoutes: Iterable<GrpcRouteObject>;
  },
  found: {
    readonly services: ReadonlyMap<string, KnownService>;
    readonly memberships: Memberships;
  },
  settings: { readonly cluster: string; readonly clusterDomain: string },
): TrafficPolicyContext {
  const { services, memberships } = found;
  const routes = { http: world.httpRoutes, grpc: world.grpcRoutes };
  const workloadsOf = (key: string): Labelled[] =>
    [...world.pods].flatMap(({ metadata }) => {
      const place = `${metadata.namespace}/${metadata.name}`;
      if (memberships.get(place)?.has(key) !== true) return [];
      return [{ uid: `${settings.cluster}//Pod/${place}`, labels: metadata.labels ?? {} }];
    });
  return {
    serviceKey: (namespace, name) =>
      `${namespace}/${name}.${namespace}.svc.${settings.clusterDomain}`,
    service(namespace, name) {
      const known = services.get(`${namespace}/${name}`);
      if (known === undefined) return undefined;
      const { object, service } = known;
      return {
        ports: object.spec?.ports ?? [],
        workloads: () => workloadsOf(serviceKey(service)),
      };
    },
    route(kind, namespace, name) {
      for (const { metadata, spec } of routes[kind]) {
        if (metadata.name !== name || metadata.namespace !== namespace) continue;
        return (spec?.rules ?? []).map((rule) => rule.name);
      }
      return undefined;
    },
  };
}
