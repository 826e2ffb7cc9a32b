// Route: what a user wrote about L7 traffic to a service or a gateway, with every reference resolved. Made by the control
// plane from HTTPRoute, GRPCRoute, TCPRoute and TLSRoute, carried by discovery, matched by match-route.ts in waypoints.
// Names and limits follow the Gateway API (gateway.networking.k8s.io/v1).

/** Where a route holds. It holds once for each of its parents. */
export type RouteParent =
  | {
      readonly kind: 'service';
      /** `namespace/hostname`, as Service keys are. */
      readonly service: string;
      /** undefined: every port of the service. */
      readonly port: number | undefined;
      /**
       * A route of the service's own namespace (producer) holds for every client. Any other (consumer) holds for clients
       * of its own namespace only, where it takes the place of the producer's routes.
       */
      readonly clientsOf: string | undefined;
    }
  | {
      readonly kind: 'listener';
      /** `namespace/name` of the Gateway. */
      readonly gateway: string;
      readonly listener: string;
      /** Of the listener and of the route together; empty: any host. */
      readonly hostnames: readonly string[];
    };

export type Route = {
  readonly kind: 'http' | 'grpc' | 'tls' | 'tcp';
  readonly namespace: string;
  readonly name: string;
  /** Unix ms; the older of two routes comes first. */
  readonly createdAt: number;
  /** At least one, and all of one kind. */
  readonly parents: readonly RouteParent[];
  readonly rules: readonly RouteRule[];
};

export type RouteRule = {
  /** The rule's own name, or undefined. */
  readonly name: string | undefined;
  /** Any of them; none at all: everything matches. */
  readonly matches: readonly RouteMatch[];
  /** In the order in which they are applied. */
  readonly filters: readonly RouteFilter[];
  readonly backends: readonly Backend[];
  /** undefined: no limit of its own; 0: none at all. */
  readonly requestTimeoutMs: number | undefined;
  /** One try's, the first or a repeated one. */
  readonly backendTimeoutMs: number | undefined;
  readonly retry: RouteRetry | undefined;
  readonly sessionPersistence: SessionPersistence | undefined;
};

export type PathMatch = {
  /** `prefix` goes by segments, `/a` matches `/a` and `/a/b` only; `regex` is RE2 and matches the whole path. */
  readonly type: 'exact' | 'prefix' | 'regex';
  readonly value: string;
};

/** A header by lower-case name, or a query parameter by its exact name. */
export type ValueMatch = {
  readonly name: string;
  readonly type: 'exact' | 'regex';
  readonly value: string;
};

/** All of it. */
export type RouteMatch = {
  readonly path: PathMatch | undefined;
  readonly method: string | undefined;
  readonly headers: readonly ValueMatch[];
  readonly query: readonly ValueMatch[];
  /** Of a GRPCRoute: `/service/method`. */
  readonly grpc: GrpcMatch | undefined;
  /** Who asks, by certificate; undefined: anybody. */
  readonly source: SourceMatch | undefined;
};

export type GrpcMatch = {
  readonly type: 'exact' | 'regex';
  readonly service: string | undefined;
  readonly method: string | undefined;
};

export type SourceMatch = {
  /** Any of these; empty: any. */
  readonly namespaces: readonly string[];
  /** SPIFFE identities without the scheme (`cluster.local/ns/a/sa/b`); empty: any. */
  readonly principals: readonly string[];
};

export type HeaderEdit = {
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly add: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
};

export type PathEdit =
  | { readonly type: 'full'; readonly value: string }
  /** Replaces what the rule's path prefix matched. */
  | { readonly type: 'prefix'; readonly value: string };

export type RouteFilter =
  | ({ readonly kind: 'request-headers' } & HeaderEdit)
  | ({ readonly kind: 'response-headers' } & HeaderEdit)
  | {
      readonly kind: 'redirect';
      readonly scheme: 'http' | 'https' | undefined;
      readonly hostname: string | undefined;
      readonly path: PathEdit | undefined;
      readonly port: number | undefined;
      readonly status: 301 | 302 | 303 | 307 | 308;
    }
  | {
      readonly kind: 'rewrite';
      readonly hostname: string | undefined;
      readonly path: PathEdit | undefined;
    }
  | {
      readonly kind: 'mirror';
      readonly target: BackendTarget;
      /** Of how many requests how many are mirrored: numerator of denominator. */
      readonly numerator: number;
      readonly denominator: number;
    }
  | ({ readonly kind: 'cors' } & CorsSettings)
  | ExternalAuth
  /** A filter that cannot be applied: requests end with 500, they never go on without it. */
  | { readonly kind: 'broken'; readonly why: string };

export type CorsSettings = {
  /** `*`, `scheme://host[:port]`, or with `*.` before the host, which stands for one label or more. */
  readonly allowOrigins: readonly string[];
  readonly allowCredentials: boolean;
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly maxAgeSeconds: number;
};

/** An authorization service is asked before the request goes on (Gateway API ExternalAuth; Envoy's ext_authz). */
export type ExternalAuth = {
  readonly kind: 'external-auth';
  readonly protocol: 'http' | 'grpc';
  readonly target: BackendTarget;
  /** HTTP: before the request's own path. */
  readonly pathPrefix: string;
  readonly allowedHeaders: readonly string[];
  readonly allowedResponseHeaders: readonly string[];
  /** 0: the body is not sent. */
  readonly maxBodyBytes: number;
};

export type Backend = {
  readonly target: BackendTarget;
  /** 0: never chosen. */
  readonly weight: number;
  readonly filters: readonly RouteFilter[];
};

export type BackendTarget =
  | {
      readonly kind: 'service';
      readonly service: string;
      readonly port: number;
      /** Name of one of the subsets a TrafficPolicy of that service names; undefined: all endpoints. */
      readonly subset: string | undefined;
    }
  /** Requests that meet it end with 500 (gRPC: UNAVAILABLE). */
  | { readonly kind: 'invalid'; readonly why: string };

export type RouteRetry = {
  /** HTTP status codes that are worth another try. */
  readonly codes: readonly number[];
  /** Tries after the first. */
  readonly attempts: number;
  readonly backoffMs: number | undefined;
};

export type SessionPersistence = {
  readonly type: 'cookie' | 'header';
  readonly name: string;
  /** undefined: until the client forgets. */
  readonly absoluteTimeoutMs: number | undefined;
  readonly idleTimeoutMs: number | undefined;
  /** A cookie with a lifetime of its own outlives the client's session. */
  readonly permanent: boolean;
};

/** Ends the key of a route that holds for listeners; no name of an object can. */
export const GATEWAY_SIDE = '@gateway';

/**
 * `kind/namespace/name`: what it is called in discovery. One object may be two routes, since what it may refer to differs
 * between Services and Gateways.
 */
export function routeKey(route: Pick<Route, 'kind' | 'namespace' | 'name' | 'parents'>): string {
  const side = route.parents[0]?.kind === 'listener' ? GATEWAY_SIDE : '';
  return `${route.kind}/${route.namespace}/${route.name}${side}`;
}
