// The fields of the Gateway API's routes (gateway.networking.k8s.io) that Ambit reads or writes: no more. Read by the
// translation of routes. Words of users are `string`, not unions: a newer schema may allow values this version does not
// know, and each reader says what it makes of them.

import type { Condition, KubeObject } from './objects.ts';

export const GATEWAY_GROUP = 'gateway.networking.k8s.io';

/** Defaults: this group, kind Gateway, the route's own namespace. */
export type ParentReference = {
  readonly group?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name: string;
  /** Of a Gateway a listener's name, of a Service a port's. */
  readonly sectionName?: string;
  readonly port?: number;
};

/** Defaults: the core group, kind Service, the route's own namespace. */
export type BackendReference = {
  readonly group?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name: string;
  readonly port?: number;
};

export type NameAndValue = { readonly name: string; readonly value: string };

export type HeaderModifier = {
  readonly set?: readonly NameAndValue[];
  readonly add?: readonly NameAndValue[];
  readonly remove?: readonly string[];
};

export type PathModifier = {
  readonly type: string;
  readonly replaceFullPath?: string;
  readonly replacePrefixMatch?: string;
};

export type RouteFilterSpec = {
  readonly type: string;
  readonly requestHeaderModifier?: HeaderModifier;
  readonly responseHeaderModifier?: HeaderModifier;
  readonly requestRedirect?: {
    readonly scheme?: string;
    readonly hostname?: string;
    readonly path?: PathModifier;
    readonly port?: number;
    readonly statusCode?: number;
  };
  readonly urlRewrite?: { readonly hostname?: string; readonly path?: PathModifier };
  readonly requestMirror?: {
    readonly backendRef: BackendReference;
    readonly percent?: number;
    readonly fraction?: { readonly numerator: number; readonly denominator?: number };
  };
  readonly cors?: {
    readonly allowOrigins?: readonly string[];
    readonly allowCredentials?: boolean;
    readonly allowMethods?: readonly string[];
    readonly allowHeaders?: readonly string[];
    readonly exposeHeaders?: readonly string[];
    readonly maxAge?: number;
  };
  readonly externalAuth?: {
    readonly protocol: string;
    readonly backendRef: BackendReference;
    readonly grpc?: { readonly allowedHeaders?: readonly string[] };
    readonly http?: {
      readonly path?: string;
      readonly allowedHeaders?: readonly string[];
      readonly allowedResponseHeaders?: readonly string[];
    };
    readonly forwardBody?: { readonly maxSize?: number };
  };
  readonly extensionRef?: { readonly group: string; readonly kind: string; readonly name: string };
};

export type RouteBackendRef = BackendReference & {
  readonly weight?: number;
  readonly filters?: readonly RouteFilterSpec[];
};

export type ValueMatchSpec = {
  readonly type?: string;
  readonly name: string;
  readonly value: string;
};

/** Of an HTTPRoute; `method` is a verb. */
export type HttpMatchSpec = {
  readonly path?: { readonly type?: string; readonly value?: string };
  readonly headers?: readonly ValueMatchSpec[];
  readonly queryParams?: readonly ValueMatchSpec[];
  readonly method?: string;
};

/** Of a GRPCRoute; `method` names what is called. */
export type GrpcMatchSpec = {
  readonly method?: { readonly type?: string; readonly service?: string; readonly method?: string };
  readonly headers?: readonly ValueMatchSpec[];
};

export type SessionPersistenceSpec = {
  readonly sessionName?: string;
  readonly absoluteTimeout?: string;
  readonly idleTimeout?: string;
  readonly type?: string;
  readonly cookieConfig?: { readonly lifetimeType?: string };
};

/** Of TCPRoutes and TLSRoutes the backends only. */
export type RouteRuleSpec<M> = {
  readonly name?: string;
  readonly matches?: readonly M[];
  readonly filters?: readonly RouteFilterSpec[];
  readonly backendRefs?: readonly RouteBackendRef[];
  readonly timeouts?: { readonly request?: string; readonly backendRequest?: string };
  readonly retry?: {
    readonly codes?: readonly number[];
    readonly attempts?: number;
    readonly backoff?: string;
  };
  readonly sessionPersistence?: SessionPersistenceSpec;
};

export type RouteParentStatus = {
  readonly parentRef: ParentReference;
  readonly controllerName: string;
  readonly conditions?: readonly Condition[];
};

export type RouteObject<M = unknown> = KubeObject & {
  readonly spec?: {
    readonly parentRefs?: readonly ParentReference[];
    /** A TCPRoute has none. */
    readonly hostnames?: readonly string[];
    readonly rules?: readonly RouteRuleSpec<M>[];
  };
  readonly status?: { readonly parents?: readonly RouteParentStatus[] };
};
export type HttpRouteObject = RouteObject<HttpMatchSpec>;
export type GrpcRouteObject = RouteObject<GrpcMatchSpec>;
