// What a proxy has learnt by discovery: delta responses in, a new Snapshot and the answer to send out. No socket.
// Invariant: `versions` holds exactly what is in the snapshot, so that a reconnect resumes and misses nothing.

import { backendTlsKey } from '../mesh/backend-tls.ts';
import { policyKey } from '../mesh/policy.ts';
import type { ResourceUpdate } from '../mesh/resource-update.ts';
import { routeKey } from '../mesh/route.ts';
import { serviceKey } from '../mesh/service.ts';
import { emptySnapshot, type Snapshot } from '../mesh/snapshot.ts';
import { trafficPolicyKey } from '../mesh/traffic-policy.ts';
import { decodeAddress } from '../wire/address-resource.ts';
import {
  closedBackendTls,
  decodeBackendTls,
  TYPE_BACKEND_TLS,
} from '../wire/backend-tls-resource.ts';
import {
  type DeltaRequest,
  type DeltaResponse,
  decodeEnrolment,
  decodeNamespace,
  type Resource,
  TYPE_ADDRESS,
  TYPE_AUTHORIZATION,
  TYPE_ENROLMENT,
  TYPE_NAMESPACE,
} from '../wire/discovery.ts';
import {
  closedHttpPolicy,
  decodeHttpPolicy,
  TYPE_HTTP_POLICY,
} from '../wire/http-policy-resource.ts';
import { decodeListeners, TYPE_LISTENERS } from '../wire/listeners-resource.ts';
import { closedPolicy, decodePolicy } from '../wire/policy-resource.ts';
import {
  closedRequestAuthentication,
  decodeRequestAuthentication,
  TYPE_REQUEST_AUTHENTICATION,
} from '../wire/request-authentication-resource.ts';
import { closedRoute, decodeRoute, TYPE_ROUTE } from '../wire/route-resource.ts';
import { decodeTrafficPolicy, TYPE_TRAFFIC_POLICY } from '../wire/traffic-policy-resource.ts';
import { decodeTrustBundle, TYPE_TRUST } from '../wire/trust-resource.ts';

/** What a node agent asks for. */
export const AGENT_TYPES: readonly string[] = [
  TYPE_TRUST,
  TYPE_AUTHORIZATION,
  TYPE_ADDRESS,
  TYPE_NAMESPACE,
  TYPE_ENROLMENT,
];
/** What a waypoint asks for: it has no pods to enrol, and knows what holds for requests. */
export const WAYPOINT_TYPES: readonly string[] = [
  TYPE_TRUST,
  TYPE_AUTHORIZATION,
  TYPE_HTTP_POLICY,
  TYPE_REQUEST_AUTHENTICATION,
  TYPE_ADDRESS,
  TYPE_TRAFFIC_POLICY,
  TYPE_BACKEND_TLS,
  TYPE_ROUTE,
  TYPE_NAMESPACE,
];
/** What the proxy of an ingress gateway asks for: its listeners too. */
export const INGRESS_TYPES: readonly string[] = [...WAYPOINT_TYPES, TYPE_LISTENERS];

export type Applied = {
  /** ACK, or NACK when some resource was refused; the good ones are applied all the same. */
  readonly answer: DeltaRequest;
  readonly rejected: readonly { readonly name: string; readonly why: string }[];
  readonly updates: number;
};

// google.rpc.Code INVALID_ARGUMENT
const INVALID_ARGUMENT = 3;
// A NACK is read by people: the first few say enough.
const MAX_ERRORS_TOLD = 10;

/** The version of a resource something else stands in for: no real one, so that it is sent again on reconnect. */
const REFUSED = '';

export class DiscoveryState {
  #snapshot = emptySnapshot;
  readonly #types: readonly string[];
  readonly #versions: ReadonlyMap<string, Map<string, string>>;
  readonly #answered = new Set<string>();
  /** The resources as they came, for the disk; absent where nobody keeps them. */
  readonly #bodies: Map<string, Map<string, Resource>> | undefined;

  /** `types` are those that are asked for: nothing else is taken. */
  constructor(
    settings: { readonly keepBodies?: boolean; readonly types?: readonly string[] } = {},
  ) {
    this.#types = settings.types ?? AGENT_TYPES;
    this.#versions = new Map(this.#types.map((type) => [type, new Map()]));
    if (settings.keepBodies === true) {
      this.#bodies = new Map(this.#types.map((type) => [type, new Map()]));
    }
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** Every type was heard of at least once. */
  get complete(): boolean {
    return this.#answered.size === this.#types.length;
  }

  /** The requests that open a stream, the first of them with who we are. */
  openingRequests(node: { readonly id: string; readonly cluster: string }): DeltaRequest[] {
    return this.#types.map((typeUrl, index) => ({
      ...EMPTY_REQUEST,
      node: index === 0 ? node : undefined,
      typeUrl,
      initialVersions: new Map(this.#versions.get(typeUrl)),
    }));
  }

  /** A new connection: nothing of it has been heard yet. */
  reconnected(): void {
    this.#answered.clear();
  }

  /** Everything that is known, as it came. */
  resources(): Map<string, Resource[]> {
    return new Map([...(this.#bodies ?? [])].map(([type, all]) => [type, [...all.values()]]));
  }

  /** Takes over what another process knew; what cannot be read is left out, and will be told anew. Returns how many. */
  restore(saved: ReadonlyMap<string, readonly Resource[]>): number {
    let known = 0;
    for (const typeUrl of this.#types) {
      const resources = saved.get(typeUrl) ?? [];
      const response = { systemVersion: '', typeUrl, resources, removed: [], nonce: '' };
      known += this.apply(response).updates;
      // nobody has answered for it yet
      this.#answered.delete(typeUrl);
    }
    return known;
  }

  apply(response: DeltaResponse): Applied {
    const { typeUrl, nonce } = response;
    const versions = this.#versions.get(typeUrl);
    if (versions === undefined) {
      const why = `type "${typeUrl}" was not asked for`;
      return { answer: refusal(response, [why]), rejected: [{ name: typeUrl, why }], updates: 0 };
    }
    const updates: ResourceUpdate[] = [];
    const rejected: { name: string; why: string }[] = [];
    for (const resource of response.resources) {
      try {
        updates.push(readResource(typeUrl, resource));
        versions.set(resource.name, resource.version);
        this.#keep(resource);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        rejected.push({ name: resource.name, why });
        // what is known under its name stays, unless that only stands in for an earlier one
        const isKnown = (versions.get(resource.name) ?? REFUSED) !== REFUSED;
        const closed = isKnown ? undefined : closedUpdate(typeUrl, resource, why);
        if (closed === undefined) continue;
        updates.push(closed);
        versions.set(resource.name, REFUSED);
        // a start from disk must stand in for it too
        this.#keep({ ...resource, version: REFUSED });
      }
    }
    for (const name of response.removed) {
      if (versions.delete(name)) updates.push(removalOf(typeUrl, name));
      this.#bodies?.get(typeUrl)?.delete(name);
    }
    if (updates.length > 0) this.#snapshot = this.#snapshot.apply(updates);
    this.#answered.add(typeUrl);
    const answer =
      rejected.length === 0
        ? { ...EMPTY_REQUEST, typeUrl, nonce }
        : refusal(
            response,
            rejected.map(({ name, why }) => `${name}: ${why}`),
          );
    return { answer, rejected, updates: updates.length };
  }

  #keep(resource: Resource): void {
    // a copy: the message it came in is much larger
    const kept = this.#bodies && { ...resource, body: Uint8Array.from(resource.body) };
    if (kept !== undefined) this.#bodies?.get(resource.typeUrl)?.set(resource.name, kept);
  }
}

export const EMPTY_REQUEST: DeltaRequest = {
  node: undefined,
  typeUrl: '',
  subscribe: [],
  unsubscribe: [],
  initialVersions: new Map(),
  nonce: '',
  error: undefined,
};

function refusal(response: DeltaResponse, reasons: readonly string[]): DeltaRequest {
  const told = reasons.slice(0, MAX_ERRORS_TOLD);
  if (reasons.length > told.length) told.push(`and ${reasons.length - told.length} more`);
  return {
    ...EMPTY_REQUEST,
    typeUrl: response.typeUrl,
    nonce: response.nonce,
    error: { code: INVALID_ARGUMENT, message: told.join('; ') },
  };
}

/**
 * What stands in for a resource that was refused and of which nothing is known: without a policy everything would be
 * allowed that it was there to forbid, without a route requests would go where it was there to keep them from,
 * without TLS they would go in plain text.
 */
function closedUpdate(
  typeUrl: string,
  resource: Resource,
  why: string,
): ResourceUpdate | undefined {
  if (typeUrl === TYPE_AUTHORIZATION) {
    return { kind: 'policy', policy: closedPolicy(resource.name, resource.body) };
  }
  if (typeUrl === TYPE_HTTP_POLICY) {
    return { kind: 'http-policy', policy: closedHttpPolicy(resource.name, resource.body) };
  }
  if (typeUrl === TYPE_REQUEST_AUTHENTICATION) {
    const policy = closedRequestAuthentication(resource.name, resource.body);
    return { kind: 'request-authentication', policy };
  }
  if (typeUrl === TYPE_BACKEND_TLS) {
    const tls = closedBackendTls(resource.name, why);
    return tls && { kind: 'backend-tls', tls };
  }
  if (typeUrl !== TYPE_ROUTE) return undefined;
  const route = closedRoute(resource.name, resource.body, why);
  return route === undefined ? undefined : { kind: 'route', route };
}

function readResource(typeUrl: string, resource: Resource): ResourceUpdate {
  const { update, name } = decodeResource(typeUrl, resource);
  // a resource under a name that is not its own could never be removed again
  if (name !== resource.name) throw new SyntaxError(`the resource in it is named "${name}"`);
  return update;
}

function decodeResource(
  typeUrl: string,
  resource: Resource,
): { update: ResourceUpdate; name: string } {
  if (resource.typeUrl !== typeUrl) {
    throw new SyntaxError(`its body is of type "${resource.typeUrl}"`);
  }
  if (typeUrl === TYPE_TRUST) {
    const bundle = decodeTrustBundle(resource.body);
    return { update: { kind: 'trust', bundle }, name: bundle.trustDomain };
  }
  if (typeUrl === TYPE_AUTHORIZATION) {
    const policy = decodePolicy(resource.body);
    return { update: { kind: 'policy', policy }, name: policyKey(policy) };
  }
  if (typeUrl === TYPE_HTTP_POLICY) {
    const policy = decodeHttpPolicy(resource.body);
    return { update: { kind: 'http-policy', policy }, name: policyKey(policy) };
  }
  if (typeUrl === TYPE_REQUEST_AUTHENTICATION) {
    const policy = decodeRequestAuthentication(resource.body);
    return { update: { kind: 'request-authentication', policy }, name: policyKey(policy) };
  }
  if (typeUrl === TYPE_ROUTE) {
    const route = decodeRoute(resource.body);
    return { update: { kind: 'route', route }, name: routeKey(route) };
  }
  if (typeUrl === TYPE_TRAFFIC_POLICY) {
    const policy = decodeTrafficPolicy(resource.name, resource.body);
    return { update: { kind: 'traffic-policy', policy }, name: trafficPolicyKey(policy) };
  }
  if (typeUrl === TYPE_BACKEND_TLS) {
    const tls = decodeBackendTls(resource.body);
    return { update: { kind: 'backend-tls', tls }, name: backendTlsKey(tls) };
  }
  if (typeUrl === TYPE_LISTENERS) {
    const listeners = decodeListeners(resource.body);
    return { update: { kind: 'listeners', listeners }, name: listeners.gateway };
  }
  if (typeUrl === TYPE_ENROLMENT) {
    const enrolment = decodeEnrolment(resource.body);
    return { update: { kind: 'enrolment', enrolment }, name: enrolment.podUid };
  }
  if (typeUrl === TYPE_NAMESPACE) {
    const namespace = decodeNamespace(resource.body);
    return { update: { kind: 'namespace', namespace }, name: namespace.name };
  }
  const update = decodeAddress(resource.body);
  const name = update.kind === 'workload' ? update.workload.uid : serviceKey(update.service);
  return { update, name };
}

function removalOf(typeUrl: string, name: string): ResourceUpdate {
  if (typeUrl === TYPE_TRUST) return { kind: 'trust-removed', trustDomain: name };
  if (typeUrl === TYPE_AUTHORIZATION) return { kind: 'policy-removed', name };
  if (typeUrl === TYPE_HTTP_POLICY) return { kind: 'http-policy-removed', name };
  if (typeUrl === TYPE_REQUEST_AUTHENTICATION) {
    return { kind: 'request-authentication-removed', name };
  }
  if (typeUrl === TYPE_ROUTE) return { kind: 'route-removed', name };
  if (typeUrl === TYPE_TRAFFIC_POLICY) return { kind: 'traffic-policy-removed', name };
  if (typeUrl === TYPE_BACKEND_TLS) return { kind: 'backend-tls-removed', name };
  if (typeUrl === TYPE_LISTENERS) return { kind: 'listeners-removed', gateway: name };
  if (typeUrl === TYPE_ENROLMENT) return { kind: 'enrolment-removed', podUid: name };
  if (typeUrl === TYPE_NAMESPACE) return { kind: 'namespace-removed', name };
  return { kind: 'address-removed', name };
}
