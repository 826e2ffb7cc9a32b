// Everything a proxy knows, at one version: workloads, services, policies and enrolments, indexed for the questions a
// connection asks. Immutable: a decision takes one Snapshot and sees no half of an update. Made by applying discovery's
// resources to the one before; a batch is applied at once.

import type { IpAddress } from './address.ts';
import { type BackendTls, backendTlsKey } from './backend-tls.ts';
import { inCidr } from './cidr.ts';
import type { Enrolment } from './enrolment.ts';
import type { GatewayListeners } from './gateway-listeners.ts';
import type { HttpPolicy } from './http-policy.ts';
import type { MeshNamespace } from './namespace.ts';
import type { AuthorizationPolicy } from './policy.ts';
import type { PolicyPlace } from './policy-target.ts';
import type { RequestAuthentication } from './request-authentication.ts';
import type { ResourceUpdate } from './resource-update.ts';
import type { Route } from './route.ts';
import type { Service } from './service.ts';
import { Draft, emptyIndexes, type Indexes } from './snapshot-draft.ts';
import type { TrafficPolicy } from './traffic-policy.ts';
import type { TrustBundle } from './trust.ts';
import type { Workload } from './workload.ts';

/** More than the longest prefix: a range of the caller's own namespace comes before any other. */
const OWN_NAMESPACE_RANK = 129;

const NONE: readonly string[] = [];
const NO_ROUTES: readonly Route[] = [];

export class Snapshot {
  /** Grows by one with each applied batch. */
  readonly version: number;
  readonly #indexes: Indexes;

  constructor(version: number, indexes: Indexes) {
    this.version = version;
    this.#indexes = indexes;
  }

  apply(updates: readonly ResourceUpdate[]): Snapshot {
    const draft = new Draft(this.#indexes);
    for (const update of updates) draft.apply(update);
    return new Snapshot(this.version + 1, draft.done());
  }

  workloadByUid(uid: string): Workload | undefined {
    return this.#indexes.workloads.get(uid);
  }

  /** Several may claim an address for a moment: a pod wins, then one in the mesh. */
  workloadByIp(network: string, ip: IpAddress): Workload | undefined {
    return this.#indexes.workloadsByAddress.get(`${network}/${ip}`)?.[0];
  }

  /** Those that have this DNS name of their own, whichever namespace they are in. */
  workloadsByHostname(hostname: string): readonly Workload[] {
    return this.#indexes.workloadsByHostname.get(hostname) ?? [];
  }

  serviceByKey(key: string): Service | undefined {
    return this.#indexes.services.get(key);
  }

  /**
   * Whom `ip` belongs to as seen from `namespace`, by services that are visible there: an exact address before any
   * range; among ranges those of the own namespace, then the longest prefix.
   */
  serviceByVip(network: string, ip: IpAddress, namespace: string): Service | undefined {
    const exact = this.#indexes.servicesByVip.get(`${network}/${ip}`);
    const visible = preferred(exact ?? [], namespace);
    if (visible !== undefined) return visible;
    let best: Service[] = [];
    let highest = -1;
    for (const service of this.#indexes.rangeServices) {
      const length = rangeLength(service, network, ip);
      if (length === undefined || !isVisible(service, namespace)) continue;
      const rank = length + (service.namespace === namespace ? OWN_NAMESPACE_RANK : 0);
      if (rank < highest) continue;
      if (rank > highest) best = [];
      highest = rank;
      best.push(service);
    }
    return preferred(best, namespace);
  }

  /** `then` is a namespace that comes before those nobody has a reason to prefer. */
  serviceByHostname(hostname: string, namespace: string, then?: string): Service | undefined {
    return preferred(this.servicesByHostname(hostname), namespace, then);
  }

  /** Every service of that name, in whichever namespace, visible or not. */
  servicesByHostname(hostname: string): readonly Service[] {
    return this.#indexes.servicesByHostname.get(hostname) ?? [];
  }

  /** Every workload that says it is behind the service, healthy or not, in no particular order. */
  membersOf(key: string): readonly Workload[] {
    return this.#indexes.members.get(key) ?? [];
  }

  policyByKey(key: string): AuthorizationPolicy | undefined {
    return this.#indexes.policies.get(key);
  }

  /** What decides about connections to `workload`: its namespace's, the mesh's, then those that selected it. */
  policiesFor(workload: Workload): AuthorizationPolicy[] {
    const { scopedPolicies, policies } = this.#indexes;
    const found = new Set([
      ...(scopedPolicies.get(workload.namespace) ?? []),
      ...(scopedPolicies.get('') ?? []),
    ]);
    for (const key of workload.authorizationPolicies) {
      const policy = policies.get(key);
      if (policy !== undefined) found.add(policy);
    }
    return [...found];
  }

  /**
   * What {@link policiesFor} is made of: the same objects, one by one, as long as no policy for `workload` came, went or
   * changed. For those who ask after each update, since it costs nothing of the policies' number.
   */
  policySourcesOf(workload: Workload): readonly unknown[] {
    const { scopedPolicies, policies } = this.#indexes;
    const named = workload.authorizationPolicies.map((key) => policies.get(key));
    return [scopedPolicies.get(workload.namespace), scopedPolicies.get(''), ...named];
  }

  /** Names in `workload.authorizationPolicies` under which nothing is known: a decision about it fails closed. */
  unknownPoliciesOf(workload: Workload): readonly string[] {
    const { policies } = this.#indexes;
    const isUnknown = (key: string): boolean => policies.get(key) === undefined;
    const names = workload.authorizationPolicies;
    return names.some(isUnknown) ? names.filter(isUnknown) : NONE;
  }

  /**
   * Routes that hold for a service, or one of its ports: oldest first. The same array as long as none of them came, went
   * or changed, so that what is made of it can be kept by it.
   */
  routesOfService(serviceKey: string): readonly Route[] {
    return this.#indexes.routesByService.get(serviceKey) ?? NO_ROUTES;
  }

  /** The same for the listeners of a Gateway, `namespace/name`. */
  routesOfGateway(gateway: string): readonly Route[] {
    return this.#indexes.routesByGateway.get(gateway) ?? NO_ROUTES;
  }

  routes(): IterableIterator<Route> {
    return this.#indexes.routes.values();
  }

  /** What waypoints enforce at `place`, by namespace and name: the same array until any policy of the mesh changes. */
  httpPoliciesAt(place: PolicyPlace): readonly HttpPolicy[] {
    return this.#indexes.attachedHttpPolicies.of(place);
  }

  /** The same of which tokens count. */
  requestAuthenticationsAt(place: PolicyPlace): readonly RequestAuthentication[] {
    return this.#indexes.attachedAuthentications.of(place);
  }

  /** The same two objects as long as no policy for requests came, went or changed. */
  requestPolicySources(): readonly [unknown, unknown] {
    return [this.#indexes.attachedHttpPolicies, this.#indexes.attachedAuthentications];
  }

  httpPolicies(): IterableIterator<HttpPolicy> {
    return this.#indexes.httpPolicies.values();
  }

  requestAuthentications(): IterableIterator<RequestAuthentication> {
    return this.#indexes.requestAuthentications.values();
  }

  /** The same object as long as none of them came, went or changed, so that what is made of them can be kept by it. */
  get trafficPolicies(): { values(): IterableIterator<TrafficPolicy> } {
    return this.#indexes.trafficPolicies;
  }

  /** How TLS is spoken to a port of a service; undefined: it is not. The same object as long as nothing of it changed. */
  backendTlsOf(service: string, port: number): BackendTls | undefined {
    const { backendTls } = this.#indexes;
    return (
      backendTls.get(backendTlsKey({ service, port })) ??
      backendTls.get(backendTlsKey({ service, port: undefined }))
    );
  }

  /** What a Gateway, `namespace/name`, listens on: its own proxies alone are told. */
  listenersOf(gateway: string): GatewayListeners | undefined {
    return this.#indexes.listeners.get(gateway);
  }

  enrolment(podUid: string): Enrolment | undefined {
    return this.#indexes.enrolments.get(podUid);
  }

  enrolments(): IterableIterator<Enrolment> {
    return this.#indexes.enrolments.values();
  }

  /** undefined: not heard of (yet). */
  namespace(name: string): MeshNamespace | undefined {
    return this.#indexes.namespaces.get(name);
  }

  trustBundles(): IterableIterator<TrustBundle> {
    return this.#indexes.trust.values();
  }

  workloads(): IterableIterator<Workload> {
    return this.#indexes.workloads.values();
  }

  services(): IterableIterator<Service> {
    return this.#indexes.services.values();
  }

  policies(): IterableIterator<AuthorizationPolicy> {
    return this.#indexes.policies.values();
  }
}

export const emptySnapshot: Snapshot = new Snapshot(0, emptyIndexes);

function rangeLength(service: Service, network: string, ip: IpAddress): number | undefined {
  let longest: number | undefined;
  for (const { prefixLength, ...vip } of service.vips) {
    if (prefixLength === undefined || vip.network !== network) continue;
    if (inCidr(ip, { ip: vip.ip, prefixLength })) longest = Math.max(longest ?? 0, prefixLength);
  }
  return longest;
}

/** Of those visible there: own namespace, the Service object that owns the name, the namespace `then`, the first by name. */
function preferred(
  services: readonly Service[],
  namespace: string,
  then?: string,
): Service | undefined {
  const visible = services.filter((service) => isVisible(service, namespace));
  return (
    visible.find((service) => service.namespace === namespace) ??
    visible.find((service) => service.canonical) ??
    visible.find((service) => service.namespace === then) ??
    visible[0]
  );
}

function isVisible(service: Service, namespace: string): boolean {
  return service.visibility === 'public' || service.namespace === namespace;
}
