// What is published: an immutable version of every resource, named and versioned by content, and what changed since the
// version before. Written by app.ts after each translation, read by every push session.

import { createHash } from 'node:crypto';
import { type BackendTls, backendTlsKey } from '../mesh/backend-tls.ts';
import type { Enrolment } from '../mesh/enrolment.ts';
import type { GatewayListeners } from '../mesh/gateway-listeners.ts';
import type { HttpPolicy } from '../mesh/http-policy.ts';
import type { MeshNamespace } from '../mesh/namespace.ts';
import { type AuthorizationPolicy, policyKey } from '../mesh/policy.ts';
import type { RequestAuthentication } from '../mesh/request-authentication.ts';
import { type Route, routeKey } from '../mesh/route.ts';
import { type Service, serviceKey } from '../mesh/service.ts';
import { type TrafficPolicy, trafficPolicyKey } from '../mesh/traffic-policy.ts';
import type { TrustBundle } from '../mesh/trust.ts';
import type { Workload } from '../mesh/workload.ts';
import { encodeService, encodeWorkload } from '../wire/address-resource.ts';
import { encodeBackendTls, TYPE_BACKEND_TLS } from '../wire/backend-tls-resource.ts';
import {
  encodeEnrolment,
  encodeNamespace,
  type Resource,
  TYPE_ADDRESS,
  TYPE_AUTHORIZATION,
  TYPE_ENROLMENT,
  TYPE_NAMESPACE,
} from '../wire/discovery.ts';
import { encodeHttpPolicy, TYPE_HTTP_POLICY } from '../wire/http-policy-resource.ts';
import { encodeListeners, TYPE_LISTENERS } from '../wire/listeners-resource.ts';
import { encodePolicy } from '../wire/policy-resource.ts';
import {
  encodeRequestAuthentication,
  TYPE_REQUEST_AUTHENTICATION,
} from '../wire/request-authentication-resource.ts';
import { encodeRoute, TYPE_ROUTE } from '../wire/route-resource.ts';
import { encodeTrafficPolicy, TYPE_TRAFFIC_POLICY } from '../wire/traffic-policy-resource.ts';
import { encodeTrustBundle, TYPE_TRUST } from '../wire/trust-resource.ts';
import type { Translation } from './translate/world.ts';

export type TypeUrl =
  | typeof TYPE_TRUST
  | typeof TYPE_AUTHORIZATION
  | typeof TYPE_HTTP_POLICY
  | typeof TYPE_REQUEST_AUTHENTICATION
  | typeof TYPE_ADDRESS
  | typeof TYPE_TRAFFIC_POLICY
  | typeof TYPE_BACKEND_TLS
  | typeof TYPE_ROUTE
  | typeof TYPE_LISTENERS
  | typeof TYPE_NAMESPACE
  | typeof TYPE_ENROLMENT;

/**
 * The order types are sent in: whom to believe before anything, policies before the workloads they protect, services
 * and what limits them, or how TLS is spoken to them, before the routes that lead to them, those before the listeners that
 * open for them,
 * all before a pod is enrolled. A proxy gets those it asked for.
 */
export const TYPES: readonly TypeUrl[] = [
  TYPE_TRUST,
  TYPE_AUTHORIZATION,
  TYPE_HTTP_POLICY,
  TYPE_REQUEST_AUTHENTICATION,
  TYPE_ADDRESS,
  TYPE_TRAFFIC_POLICY,
  TYPE_BACKEND_TLS,
  TYPE_ROUTE,
  TYPE_LISTENERS,
  TYPE_NAMESPACE,
  TYPE_ENROLMENT,
];

/** What of a translation is for proxies. */
type Published = Pick<
  Translation,
  | 'workloads'
  | 'services'
  | 'policies'
  | 'httpPolicies'
  | 'requestAuthentications'
  | 'trafficPolicies'
  | 'routes'
  | 'namespaces'
  | 'enrolments'
> & {
  readonly trust: readonly TrustBundle[];
  readonly backendTls?: readonly BackendTls[];
  readonly listeners?: readonly GatewayListeners[];
};

export type StoredResource = Resource & {
  /** Only the agent of this node may have it; undefined: everybody. */
  readonly node: string | undefined;
  /** Only proxies of this Gateway, `namespace/name`, may have it: there are private keys in it; undefined: everybody. */
  readonly gateway?: string | undefined;
};

export type Publication = {
  readonly version: number;
  readonly resources: ReadonlyMap<TypeUrl, ReadonlyMap<string, StoredResource>>;
  /** Names that were added, changed or removed since the version before. */
  readonly changed: ReadonlyMap<TypeUrl, ReadonlySet<string>>;
};

const NOTHING: Publication = {
  version: 0,
  resources: new Map(TYPES.map((type) => [type, new Map()])),
  changed: new Map(),
};

export class Store {
  #current = NOTHING;
  /** Of a value that the translation took over as it was, the encoding and version are known. */
  readonly #encoded = new WeakMap<object, StoredResource>();
  readonly #listeners = new Set<(publication: Publication) => void>();

  get current(): Publication {
    return this.#current;
  }

  /** Returns whether anything differs from the version before; if not, no new version is made. */
  publish(translation: Published): boolean {
    const resources = resourcesOf(translation, this.#encoded);
    const changed = new Map<TypeUrl, ReadonlySet<string>>();
    for (const type of TYPES) {
      const names = difference(this.#current.resources.get(type), resources.get(type));
      if (names.size > 0) changed.set(type, names);
    }
    // the very first version is one even if it is empty: agents wait to hear so
    if (changed.size === 0 && this.#current.version > 0) return false;
    this.#current = { version: this.#current.version + 1, resources, changed };
    for (const listener of this.#listeners) listener(this.#current);
    return true;
  }

  subscribe(listener: (publication: Publication) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}

function resourcesOf(
  translation: Published,
  known: WeakMap<object, StoredResource>,
): Map<TypeUrl, Map<string, StoredResource>> {
  const resources = new Map<TypeUrl, Map<string, StoredResource>>(
    TYPES.map((type) => [type, new Map()]),
  );
  const put = <T extends object>(value: T, describe: Description<T>): void => {
    const resource = known.get(value) ?? storedResource(value, describe);
    known.set(value, resource);
    resources.get(describe.typeUrl)?.set(resource.name, resource);
  };
  for (const bundle of translation.trust) put(bundle, TRUST);
  for (const service of translation.services) put(service, SERVICE);
  for (const workload of translation.workloads) put(workload, WORKLOAD);
  for (const policy of translation.policies) put(policy, POLICY);
  for (const policy of translation.httpPolicies) put(policy, HTTP_POLICY);
  for (const policy of translation.requestAuthentications) put(policy, REQUEST_AUTHENTICATION);
  for (const policy of translation.trafficPolicies) put(policy, TRAFFIC_POLICY);
  for (const tls of translation.backendTls ?? []) put(tls, BACKEND_TLS);
  for (const route of translation.routes) put(route, ROUTE);
  for (const listeners of translation.listeners ?? []) {
    put(listeners, { ...LISTENERS, gateway: listeners.gateway });
  }
  for (const namespace of translation.namespaces) put(namespace, NAMESPACE);
  for (const { node, enrolment } of translation.enrolments) {
    put(enrolment, { ...ENROLMENT, node });
  }
  return resources;
}

type Description<T> = {
  readonly typeUrl: TypeUrl;
  readonly nameOf: (value: T) => string;
  readonly encode: (value: T) => Uint8Array;
  readonly node?: string;
  readonly gateway?: string;
};

const TRUST: Description<TrustBundle> = {
  typeUrl: TYPE_TRUST,
  nameOf: ({ trustDomain }) => trustDomain,
  encode: encodeTrustBundle,
};
const SERVICE: Description<Service> = {
  typeUrl: TYPE_ADDRESS,
  nameOf: serviceKey,
  encode: encodeService,
};
const WORKLOAD: Description<Workload> = {
  typeUrl: TYPE_ADDRESS,
  nameOf: ({ uid }) => uid,
  encode: encodeWorkload,
};
const POLICY: Description<AuthorizationPolicy> = {
  typeUrl: TYPE_AUTHORIZATION,
  nameOf: policyKey,
  encode: encodePolicy,
};
const HTTP_POLICY: Description<HttpPolicy> = {
  typeUrl: TYPE_HTTP_POLICY,
  nameOf: policyKey,
  encode: encodeHttpPolicy,
};
const REQUEST_AUTHENTICATION: Description<RequestAuthentication> = {
  typeUrl: TYPE_REQUEST_AUTHENTICATION,
  nameOf: policyKey,
  encode: encodeRequestAuthentication,
};
const BACKEND_TLS: Description<BackendTls> = {
  typeUrl: TYPE_BACKEND_TLS,
  nameOf: backendTlsKey,
  encode: encodeBackendTls,
};
const ROUTE: Description<Route> = {
  typeUrl: TYPE_ROUTE,
  nameOf: routeKey,
  encode: encodeRoute,
};
const TRAFFIC_POLICY: Description<TrafficPolicy> = {
  typeUrl: TYPE_TRAFFIC_POLICY,
  nameOf: trafficPolicyKey,
  encode: encodeTrafficPolicy,
};
const LISTENERS: Description<GatewayListeners> = {
  typeUrl: TYPE_LISTENERS,
  nameOf: ({ gateway }) => gateway,
  encode: encodeListeners,
};
const NAMESPACE: Description<MeshNamespace> = {
  typeUrl: TYPE_NAMESPACE,
  nameOf: ({ name }) => name,
  encode: encodeNamespace,
};
const ENROLMENT: Description<Enrolment> = {
  typeUrl: TYPE_ENROLMENT,
  nameOf: ({ podUid }) => podUid,
  encode: encodeEnrolment,
};

function storedResource<T>(
  value: T,
  { typeUrl, nameOf, encode, node, gateway }: Description<T>,
): StoredResource {
  const body = encode(value);
  return {
    name: nameOf(value),
    typeUrl,
    body,
    version: contentHash(body),
    aliases: [],
    node,
    gateway,
  };
}

/** The same on every replica, so that an agent may resume at another one. 96 bits: no two of a mesh are alike. */
function contentHash(body: Uint8Array): string {
  return createHash('sha256').update(body).digest('base64url').slice(0, 16);
}

function difference(
  before: ReadonlyMap<string, StoredResource> = new Map(),
  after: ReadonlyMap<string, StoredResource> = new Map(),
): Set<string> {
  const names = new Set<string>();
  for (const [name, { version, node }] of after) {
    const old = before.get(name);
    if (old?.version !== version || old.node !== node) names.add(name);
  }
  for (const name of before.keys()) if (!after.has(name)) names.add(name);
  return names;
}
