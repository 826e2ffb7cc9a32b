// The indexes of a Snapshot, and how a batch of changes makes the next ones of them. Called by snapshot.ts. Every index is
// changed by taking the old resource out and putting the new one in, so that what is built by deltas equals what is built
// anew; the indexes it began with stay as they were.

import { type BackendTls, backendTlsKey } from './backend-tls.ts';
import type { Enrolment } from './enrolment.ts';
import type { GatewayListeners } from './gateway-listeners.ts';
import type { HttpPolicy } from './http-policy.ts';
import type { MeshNamespace } from './namespace.ts';
import { type AuthorizationPolicy, policyKey } from './policy.ts';
import { AttachedPolicies } from './policy-target.ts';
import type { RequestAuthentication } from './request-authentication.ts';
import type { ResourceUpdate } from './resource-update.ts';
import { type Route, routeKey } from './route.ts';
import { type Service, serviceKey } from './service.ts';
import { type Change, SharedMap } from './shared-map.ts';
import { swap } from './swap-in-list.ts';
import { type TrafficPolicy, trafficPolicyKey } from './traffic-policy.ts';
import type { TrustBundle } from './trust.ts';
import type { Workload } from './workload.ts';

export type Indexes = {
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
  readonly httpPolicies: SharedMap<HttpPolicy>;
  /** The same by where they hold; another one as soon as any of them changed. */
  readonly attachedHttpPolicies: AttachedPolicies<HttpPolicy>;
  readonly requestAuthentications: SharedMap<RequestAuthentication>;
  readonly attachedAuthentications: AttachedPolicies<RequestAuthentication>;
  readonly routes: SharedMap<Route>;
  /** Service key -> the routes that hold for it or one of its ports. */
  readonly routesByService: SharedMap<readonly Route[]>;
  /** `namespace/name` of a Gateway -> the routes that hold for one of its listeners. */
  readonly routesByGateway: SharedMap<readonly Route[]>;
  readonly trafficPolicies: SharedMap<TrafficPolicy>;
  readonly backendTls: SharedMap<BackendTls>;
  /** By `namespace/name` of the Gateway. */
  readonly listeners: SharedMap<GatewayListeners>;
  readonly enrolments: SharedMap<Enrolment>;
  readonly namespaces: SharedMap<MeshNamespace>;
  readonly trust: SharedMap<TrustBundle>;
};

export const emptyIndexes: Indexes = {
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
  httpPolicies: SharedMap.empty,
  attachedHttpPolicies: new AttachedPolicies([]),
  requestAuthentications: SharedMap.empty,
  attachedAuthentications: new AttachedPolicies([]),
  routes: SharedMap.empty,
  routesByService: SharedMap.empty,
  routesByGateway: SharedMap.empty,
  trafficPolicies: SharedMap.empty,
  backendTls: SharedMap.empty,
  listeners: SharedMap.empty,
  enrolments: SharedMap.empty,
  namespaces: SharedMap.empty,
  trust: SharedMap.empty,
};

/** One batch under way. */
type ForWaypoints =
  | `http-policy${Removed}`
  | `request-authentication${Removed}`
  | `traffic-policy${Removed}`
  | `backend-tls${Removed}`
  | `listeners${Removed}`;
type Removed = '' | '-removed';

export class Draft {
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
  readonly #httpPolicies: Change<HttpPolicy>;
  readonly #requestAuthentications: Change<RequestAuthentication>;
  readonly #before: Indexes;
  readonly #routes: Change<Route>;
  readonly #routesByService: Change<readonly Route[]>;
  readonly #routesByGateway: Change<readonly Route[]>;
  readonly #trafficPolicies: Change<TrafficPolicy>;
  readonly #backendTls: Change<BackendTls>;
  readonly #listeners: Change<GatewayListeners>;
  readonly #enrolments: Change<Enrolment>;
  readonly #namespaces: Change<MeshNamespace>;
  readonly #trust: Change<TrustBundle>;
  #rangeServices: readonly Service[];

  constructor(indexes: Indexes) {
    this.#before = indexes;
    this.#workloads = indexes.workloads.change();
    this.#workloadsByAddress = indexes.workloadsByAddress.change();
    this.#workloadsByHostname = indexes.workloadsByHostname.change();
    this.#services = indexes.services.change();
    this.#servicesByVip = indexes.servicesByVip.change();
    this.#servicesByHostname = indexes.servicesByHostname.change();
    this.#members = indexes.members.change();
    this.#policies = indexes.policies.change();
    this.#scopedPolicies = indexes.scopedPolicies.change();
    this.#httpPolicies = indexes.httpPolicies.change();
    this.#requestAuthentications = indexes.requestAuthentications.change();
    this.#routes = indexes.routes.change();
    this.#routesByService = indexes.routesByService.change();
    this.#routesByGateway = indexes.routesByGateway.change();
    this.#trafficPolicies = indexes.trafficPolicies.change();
    this.#backendTls = indexes.backendTls.change();
    this.#listeners = indexes.listeners.change();
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
      case 'route':
        this.#replaceRoute(routeKey(update.route), update.route);
        return;
      case 'route-removed':
        this.#replaceRoute(update.name, undefined);
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
      default:
        this.#applyForWaypoints(update);
    }
  }

  /** What only waypoints and ingress gateways ask for, besides routes. */
  #applyForWaypoints(update: Extract<ResourceUpdate, { kind: ForWaypoints }>): void {
    switch (update.kind) {
      case 'http-policy':
        this.#httpPolicies.set(policyKey(update.policy), update.policy);
        return;
      case 'http-policy-removed':
        this.#httpPolicies.delete(update.name);
        return;
      case 'request-authentication':
        this.#requestAuthentications.set(policyKey(update.policy), update.policy);
        return;
      case 'request-authentication-removed':
        this.#requestAuthentications.delete(update.name);
        return;
      case 'traffic-policy':
        this.#trafficPolicies.set(trafficPolicyKey(update.policy), update.policy);
        return;
      case 'traffic-policy-removed':
        this.#trafficPolicies.delete(update.name);
        return;
      case 'backend-tls':
        this.#backendTls.set(backendTlsKey(update.tls), update.tls);
        return;
      case 'backend-tls-removed':
        this.#backendTls.delete(update.name);
        return;
      case 'listeners':
        this.#listeners.set(update.listeners.gateway, update.listeners);
        return;
      case 'listeners-removed':
        this.#listeners.delete(update.gateway);
        return;
    }
  }

  done(): Indexes {
    for (const [key, members] of this.#memberSets) {
      if (members.size === 0) this.#members.delete(key);
      else this.#members.set(key, [...members]);
    }
    const before = this.#before;
    const httpPolicies = this.#httpPolicies.done();
    const requestAuthentications = this.#requestAuthentications.done();
    return {
      httpPolicies,
      attachedHttpPolicies:
        httpPolicies === before.httpPolicies
          ? before.attachedHttpPolicies
          : new AttachedPolicies(httpPolicies.values()),
      requestAuthentications,
      attachedAuthentications:
        requestAuthentications === before.requestAuthentications
          ? before.attachedAuthentications
          : new AttachedPolicies(requestAuthentications.values()),
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
      routes: this.#routes.done(),
      routesByService: this.#routesByService.done(),
      routesByGateway: this.#routesByGateway.done(),
      trafficPolicies: this.#trafficPolicies.done(),
      backendTls: this.#backendTls.done(),
      listeners: this.#listeners.done(),
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

  #replaceRoute(key: string, next: Route | undefined): void {
    const old = this.#routes.get(key);
    if (old !== undefined) {
      this.#placeRoute(old, old, undefined);
      this.#routes.delete(key);
    }
    if (next === undefined) return;
    this.#placeRoute(next, undefined, next);
    this.#routes.set(key, next);
  }

  /** A route with several ports of one service, or listeners of one gateway, is there once. */
  #placeRoute({ parents }: Route, out: Route | undefined, into: Route | undefined): void {
    const services = parents.flatMap((one) => (one.kind === 'service' ? one.service : []));
    for (const key of new Set(services)) swap(this.#routesByService, key, out, into, byAge);
    const gateways = parents.flatMap((one) => (one.kind === 'listener' ? one.gateway : []));
    for (const key of new Set(gateways)) swap(this.#routesByGateway, key, out, into, byAge);
  }
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

function byAge(a: Route, b: Route): number {
  return a.createdAt - b.createdAt || compare(routeKey(a), routeKey(b));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
