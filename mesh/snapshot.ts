// Everything a proxy knows, at one version: workloads, services, policies and enrolments, indexed for the questions a
// connection asks. Immutable: a decision takes one Snapshot and sees no half of an update. Made by applying discovery's
// resources to the one before; a batch is applied at once.

import type { IpAddress } from './address.ts';
import { inCidr } from './cidr.ts';
import type { Enrolment } from './enrolment.ts';
import type { MeshNamespace } from './namespace.ts';
import { type AuthorizationPolicy, policyKey } from './policy.ts';
import { type Service, serviceKey } from './service.ts';
import { type Change, SharedMap } from './shared-map.ts';
import type { TrustBundle } from './trust.ts';
import type { Workload } from './workload.ts';

export type ResourceUpdate =
  | { readonly kind: 'workload'; readonly workload: Workload }
  | { readonly kind: 'service'; readonly service: Service }
  /** An Address that is gone: a workload's uid or a service's `namespace/hostname`. */
  | { readonly kind: 'address-removed'; readonly name: string }
  | { readonly kind: 'policy'; readonly policy: AuthorizationPolicy }
  | { readonly kind: 'policy-removed'; readonly name: string }
  | { readonly kind: 'enrolment'; readonly enrolment: Enrolment }
  | { readonly kind: 'enrolment-removed'; readonly podUid: string }
  | { readonly kind: 'namespace'; readonly namespace: MeshNamespace }
  | { readonly kind: 'namespace-removed'; readonly name: string }
  | { readonly kind: 'trust'; readonly bundle: TrustBundle }
  | { readonly kind: 'trust-removed'; readonly trustDomain: string };

/** More than the longest prefix: a range of the caller's own namespace comes before any other. */
const OWN_NAMESPACE_RANK = 129;

const NONE: readonly string[] = [];

type Indexes = {
  readonly workloads: SharedMap<Workload>;
  /** `network/ip` -> who claims it, best first. */
  readonly workloadsByAddress: SharedMap<readonly Workload[]>;
  readonly workloadsByHostname: SharedMap<readonly Workload[]>;
  readonly services: SharedMap<Service>;
  readonly servicesByVip: SharedMap<readonly Service[]>;
  readonly servicesByHostname: SharedMap<readonly Service[]>;
  /** Services that own address ranges; few, so a list. */
  readonly rangeServices: readonly Service[];
  /** Service key -> its workloads, whether the Service is known yet or not. */
  readonly members: SharedMap<readonly Workload[]>;
  readonly policies: SharedMap<AuthorizationPolicy>;
  /** Namespace ('' is the whole mesh) -> policies of that scope. */
  readonly scopedPolicies: SharedMap<readonly AuthorizationPolicy[]>;
  readonly enrolments: SharedMap<Enrolment>;
  readonly namespaces: SharedMap<MeshNamespace>;
  readonly trust: SharedMap<TrustBundle>;
};

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

export const emptySnapshot: Snapshot = new Snapshot(0, {
  workloads: SharedMap.empty,
  workloadsByAddress: SharedMap.empty,
  workloadsByHostname: SharedMap.empty,
  services: SharedMap.empty,
  servicesByVip: SharedMap.empty,
  servicesByHostname: SharedMap.empty,
  rangeServices: [],
  members: SharedMap.empty,
  policies: SharedMap.empty,
  scopedPolicies: SharedMap.empty,
  enrolments: SharedMap.empty,
  namespaces: SharedMap.empty,
  trust: SharedMap.empty,
});

/** One batch under way. Every index is changed by taking the old resource out and putting the new one in. */
class Draft {
  readonly #workloads: Change<Workload>;
  readonly #workloadsByAddress: Change<readonly Workload[]>;
  readonly #workloadsByHostname: Change<readonly Workload[]>;
  readonly #services: Change<Service>;
  readonly #servicesByVip: Change<readonly Service[]>;
  readonly #servicesByHostname: Change<readonly Service[]>;
  readonly #members: Change<readonly Workload[]>;
  /** Member lists under change: as sets, or a batch that fills one large service would cost its square. */
  readonly #memberSets = new Map<string, Set<Workload>>();
  readonly #policies: Change<AuthorizationPolicy>;
  readonly #scopedPolicies: Change<readonly AuthorizationPolicy[]>;
  readonly #enrolments: Change<Enrolment>;
  readonly #namespaces: Change<MeshNamespace>;
  readonly #trust: Change<TrustBundle>;
  #rangeServices: readonly Service[];

  constructor(indexes: Indexes) {
    this.#workloads = indexes.workloads.change();
    this.#workloadsByAddress = indexes.workloadsByAddress.change();
    this.#workloadsByHostname = indexes.workloadsByHostname.change();
    this.#services = indexes.services.change();
    this.#servicesByVip = indexes.servicesByVip.change();
    this.#servicesByHostname = indexes.servicesByHostname.change();
    this.#members = indexes.members.change();
    this.#policies = indexes.policies.change();
    this.#scopedPolicies = indexes.scopedPolicies.change();
    this.#enrolments = indexes.enrolments.change();
    this.#namespaces = indexes.namespaces.change();
    this.#trust = indexes.trust.change();
    this.#rangeServices = indexes.rangeServices;
  }

  apply(update: ResourceUpdate): void {
    switch (update.kind) {
      case 'workload':
        this.#replaceWorkload(update.workload.uid, update.workload);
        return;
      case 'service':
        this.#replaceService(serviceKey(update.service), update.service);
        return;
      case 'address-removed':
        this.#replaceWorkload(update.name, undefined);
        this.#replaceService(update.name, undefined);
        return;
      case 'policy':
        this.#replacePolicy(policyKey(update.policy), update.policy);
        return;
      case 'policy-removed':
        this.#replacePolicy(update.name, undefined);
        return;
      case 'enrolment':
        this.#enrolments.set(update.enrolment.podUid, update.enrolment);
        return;
      case 'enrolment-removed':
        this.#enrolments.delete(update.podUid);
        return;
      case 'namespace':
        this.#namespaces.set(update.namespace.name, update.namespace);
        return;
      case 'namespace-removed':
        this.#namespaces.delete(update.name);
        return;
      case 'trust':
        this.#trust.set(update.bundle.trustDomain, update.bundle);
        return;
      case 'trust-removed':
        this.#trust.delete(update.trustDomain);
        return;
    }
  }

  done(): Indexes {
    for (const [key, members] of this.#memberSets) {
      if (members.size === 0) this.#members.delete(key);
      else this.#members.set(key, [...members]);
    }
    return {
      workloads: this.#workloads.done(),
      workloadsByAddress: this.#workloadsByAddress.done(),
      workloadsByHostname: this.#workloadsByHostname.done(),
      services: this.#services.done(),
      servicesByVip: this.#servicesByVip.done(),
      servicesByHostname: this.#servicesByHostname.done(),
      rangeServices: this.#rangeServices,
      members: this.#members.done(),
      policies: this.#policies.done(),
      scopedPolicies: this.#scopedPolicies.done(),
      enrolments: this.#enrolments.done(),
      namespaces: this.#namespaces.done(),
      trust: this.#trust.done(),
    };
  }

  #replaceWorkload(uid: string, next: Workload | undefined): void {
    const old = this.#workloads.get(uid);
    if (old !== undefined) {
      for (const key of addressKeys(old)) swap(this.#workloadsByAddress, key, old, undefined);
      if (old.hostname !== '') swap(this.#workloadsByHostname, old.hostname, old, undefined);
      for (const key of old.services.keys()) this.#membersOf(key).delete(old);
      this.#workloads.delete(uid);
    }
    if (next !== undefined) {
      for (const key of addressKeys(next))
        swap(this.#workloadsByAddress, key, undefined, next, byClaim);
      if (next.hostname !== '') {
        swap(this.#workloadsByHostname, next.hostname, undefined, next, byClaim);
      }
      for (const key of next.services.keys()) this.#membersOf(key).add(next);
      this.#workloads.set(uid, next);
    }
  }

  #membersOf(key: string): Set<Workload> {
    let members = this.#memberSets.get(key);
    if (members === undefined) {
      members = new Set(this.#members.get(key));
      this.#memberSets.set(key, members);
    }
    return members;
  }

  #replaceService(key: string, next: Service | undefined): void {
    const old = this.#services.get(key);
    if (old !== undefined) {
      for (const vip of exactVips(old)) swap(this.#servicesByVip, vip, old, undefined);
      swap(this.#servicesByHostname, old.hostname, old, undefined);
      this.#rangeServices = this.#rangeServices.filter((service) => service !== old);
      this.#services.delete(key);
    }
    if (next !== undefined) {
      for (const vip of exactVips(next)) swap(this.#servicesByVip, vip, undefined, next, byKey);
      swap(this.#servicesByHostname, next.hostname, undefined, next, byKey);
      if (next.vips.some((vip) => vip.prefixLength !== undefined)) {
        this.#rangeServices = [...this.#rangeServices, next].sort(byKey);
      }
      this.#services.set(key, next);
    }
  }

  #replacePolicy(key: string, next: AuthorizationPolicy | undefined): void {
    const old = this.#policies.get(key);
    const oldScope = old === undefined ? undefined : scopeKey(old);
    if (old !== undefined && oldScope !== undefined) {
      swap(this.#scopedPolicies, oldScope, old, undefined);
    }
    if (old !== undefined) this.#policies.delete(key);
    if (next === undefined) return;
    const nextScope = scopeKey(next);
    if (nextScope !== undefined) swap(this.#scopedPolicies, nextScope, undefined, next, byName);
    this.#policies.set(key, next);
  }
}

/** Takes `out` from the list at `key` and puts `into` in, in order; an empty list is dropped. */
function swap<V>(
  index: Change<readonly V[]>,
  key: string,
  out: V | undefined,
  into: V | undefined,
  order?: (a: V, b: V) => number,
): void {
  const list = (index.get(key) ?? []).filter((value) => value !== out);
  if (into !== undefined) list.push(into);
  if (list.length === 0) index.delete(key);
  else index.set(key, order === undefined ? list : list.sort(order));
}

/** Workloads on the host's network share its address, so none of them owns it. */
function addressKeys(workload: Workload): string[] {
  if (workload.hostNetwork) return [];
  return [...new Set(workload.addresses)].map((ip) => `${workload.network}/${ip}`);
}

function byClaim(a: Workload, b: Workload): number {
  return claim(b) - claim(a) || compare(a.uid, b.uid);
}

function claim(workload: Workload): number {
  return (workload.uid.includes('//Pod/') ? 2 : 0) + (workload.protocol === 'hbone' ? 1 : 0);
}

function exactVips(service: Service): Set<string> {
  const exact = service.vips.filter((vip) => vip.prefixLength === undefined);
  return new Set(exact.map(({ network, ip }) => `${network}/${ip}`));
}

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

function scopeKey(policy: AuthorizationPolicy): string | undefined {
  if (policy.scope === 'mesh') return '';
  return policy.scope === 'namespace' ? policy.namespace : undefined;
}

function byKey(a: Service, b: Service): number {
  return compare(serviceKey(a), serviceKey(b));
}

function byName(a: AuthorizationPolicy, b: AuthorizationPolicy): number {
  return compare(policyKey(a), policyKey(b));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
