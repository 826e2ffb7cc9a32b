// What routes are translated from, and the four kinds of them as one list. Read by routes.ts and its neighbours.

import type { Route } from '../../../mesh/route.ts';
import type {
  Gateway,
  GatewayClass,
  ReferenceGrant,
} from '../../../runtime/kubernetes/gateway-objects.ts';
import type { Namespace } from '../../../runtime/kubernetes/objects.ts';
import {
  GRPC_ROUTES,
  HTTP_ROUTES,
  type Resource,
  TCP_ROUTES,
  TLS_ROUTES,
} from '../../../runtime/kubernetes/resources.ts';
import type {
  GrpcRouteObject,
  HttpRouteObject,
  RouteObject,
} from '../../../runtime/kubernetes/route-objects.ts';

export type RouteObjects = {
  readonly gateways: Iterable<Gateway>;
  readonly gatewayClasses: ReadonlyMap<string, GatewayClass>;
  readonly httpRoutes: Iterable<HttpRouteObject>;
  readonly grpcRoutes: Iterable<GrpcRouteObject>;
  readonly tlsRoutes: Iterable<RouteObject>;
  readonly tcpRoutes: Iterable<RouteObject>;
  readonly referenceGrants: Iterable<ReferenceGrant>;
};

/** `namespaces` by name: a listener may choose them by label. */
export type RouteWorld = RouteObjects & { readonly namespaces: ReadonlyMap<string, Namespace> };

export type KindOfRoute = { readonly kind: Route['kind']; readonly resource: Resource };

/** The first that is there on a port of a Service is the one that holds (GEP-1294). */
export const ROUTE_KINDS: readonly KindOfRoute[] = [
  { kind: 'grpc', resource: GRPC_ROUTES },
  { kind: 'http', resource: HTTP_ROUTES },
  { kind: 'tls', resource: TLS_ROUTES },
  { kind: 'tcp', resource: TCP_ROUTES },
];

/** One object, with what ordering needs already read. */
export type RouteSource = KindOfRoute & {
  readonly object: RouteObject;
  readonly namespace: string;
  readonly name: string;
  readonly createdAt: number;
};

/** Oldest first, then by name: the order in which routes win over each other. */
export function routeSources(world: RouteObjects): RouteSource[] {
  const objects: Readonly<Record<Route['kind'], Iterable<RouteObject>>> = {
    grpc: world.grpcRoutes,
    http: world.httpRoutes,
    tls: world.tlsRoutes,
    tcp: world.tcpRoutes,
  };
  const sources = ROUTE_KINDS.flatMap(({ kind, resource }) =>
    [...objects[kind]].map(
      (object): RouteSource => ({
        kind,
        resource,
        object,
        namespace: object.metadata.namespace ?? '',
        name: object.metadata.name ?? '',
        createdAt: Math.max(0, Date.parse(object.metadata.creationTimestamp ?? '') || 0),
      }),
    ),
  );
  return sources.toSorted(
    (a, b) => a.createdAt - b.createdAt || order(placeOf(a), placeOf(b)) || order(a.kind, b.kind),
  );
}

function placeOf({ namespace, name }: RouteSource): string {
  return `${namespace}/${name}`;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
