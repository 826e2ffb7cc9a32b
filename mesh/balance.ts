// Which endpoint takes this connection: those that serve the port and may be used, the nearest group of them, then one of
// that group. Called by nextHop() with what classify() found. Pure: load, memory and randomness are passed in.

import { type IpAddress, isIpv6 } from './address.ts';
import { MeshError } from './failures.ts';
import { matchingScopes } from './nearness.ts';
import { type Service, serviceKey } from './service.ts';
import type { Snapshot } from './snapshot.ts';
import { drawWeighted } from './weighted-draw.ts';
import type { GatewayAddress, PortMapping, Workload } from './workload.ts';

export type Endpoint = {
  readonly workload: Workload;
  /** The port the application listens on; 0 behind a gateway, which knows it, and when any was asked for. */
  readonly port: number;
  readonly reach:
    | { readonly by: 'address'; readonly ip: IpAddress }
    /** It has a DNS name only, to be looked up for each connection. */
    | { readonly by: 'hostname'; readonly hostname: string }
    /** It is on another network, and this gateway leads there. */
    | { readonly by: 'gateway'; readonly gateway: GatewayAddress };
};

export type Balance = {
  /** 0 <= random() < 1. */
  readonly random: () => number;
  /** Connections in flight to the workload, from here. */
  readonly load: (workload: Workload) => number;
  /** Workloads tried before, by uid: not again. */
  readonly exclude?: ReadonlySet<string>;
  /** Where this client's last connection to the service went, if that is remembered: a workload's uid. */
  readonly kept?: (service: Service, port: PortMapping) => string | undefined;
};

export type Wanted = {
  readonly source: Workload;
  readonly service: Service;
  /** undefined: any endpoint will do, whatever it serves. */
  readonly port: PortMapping | undefined;
  /** What the client addressed: an endpoint that has this very address answers there, others in its family. */
  readonly destination: IpAddress;
};

/** @throws MeshError NO_HEALTHY_ENDPOINT */
export function pickEndpoint(wanted: Wanted, snapshot: Snapshot, balance: Balance): Endpoint {
  const endpoint = findEndpoint(wanted, snapshot, balance);
  if (endpoint !== undefined) return endpoint;
  const { hostname } = wanted.service;
  const total = snapshot.membersOf(serviceKey(wanted.service)).length;
  throw new MeshError(
    'NO_HEALTHY_ENDPOINT',
    `Cannot connect to ${hostname}:${wanted.port?.servicePort ?? '*'}: none of ${total} endpoints is healthy, near enough and serves that port`,
  );
}

/** Like {@link pickEndpoint}, for places where "none" is a normal outcome. */
export function findEndpoint(
  wanted: Wanted,
  snapshot: Snapshot,
  balance: Balance,
): Endpoint | undefined {
  const { service, source, port } = wanted;
  const candidates = candidatesOf(wanted, snapshot, balance.exclude);
  if (service.sessionAffinitySeconds !== undefined && port !== undefined) {
    const kept = balance.kept?.(service, port);
    return candidates.find(({ workload }) => workload.uid === kept) ?? ownOf(candidates, source);
  }
  const first = drawWeighted(candidates, capacityOf, balance.random);
  if (first === undefined || service.balancing === 'random') return first;
  const second = drawWeighted(candidates, capacityOf, balance.random, first) ?? first;
  return share(second, balance) < share(first, balance) ? second : first;
}

/** The endpoints a connection may go to, the nearest group only; all of them are as good. */
export function candidatesOf(
  wanted: Wanted,
  snapshot: Snapshot,
  exclude?: ReadonlySet<string>,
): readonly Endpoint[] {
  const healthy: Endpoint[] = [];
  // on their way out, but still serving: better than nobody, as kube-proxy sees it
  const draining: Endpoint[] = [];
  const key = serviceKey(wanted.service);
  const allowAll = wanted.service.loadBalancing?.health === 'allow-all';
  for (const workload of snapshot.membersOf(key)) {
    if (workload.capacity === 0 || exclude?.has(workload.uid) === true) continue;
    if (!allowAll && workload.health === 'unhealthy') continue;
    const endpoint = endpointOf(workload, key, wanted);
    if (endpoint === undefined) continue;
    (allowAll || workload.health === 'healthy' ? healthy : draining).push(endpoint);
  }
  const near = nearest(wanted, healthy);
  return near.length > 0 ? near : nearest(wanted, draining);
}

function endpointOf(workload: Workload, key: string, wanted: Wanted): Endpoint | undefined {
  const { source, service, port } = wanted;
  const mapping =
    port && workload.services.get(key)?.find(({ servicePort }) => servicePort === port.servicePort);
  if (port !== undefined && mapping === undefined) return undefined;
  if (workload.network !== source.network) {
    // its address means nothing here: only a gateway to that network could reach it, and only by tunnel
    const { networkGateway: gateway } = workload;
    if (gateway === undefined || workload.protocol !== 'hbone') return undefined;
    return { workload, port: 0, reach: { by: 'gateway', gateway } };
  }
  const target = mapping?.targetPort || port?.targetPort || 0;
  if (port !== undefined && target === 0) return undefined;
  if (workload.addresses.length === 0) {
    const { hostname } = workload;
    if (hostname === '') return undefined;
    return { workload, port: target, reach: { by: 'hostname', hostname } };
  }
  const ip = addressOf(workload, service, wanted.destination);
  return ip && { workload, port: target, reach: { by: 'address', ip } };
}

function addressOf(
  workload: Workload,
  { ipFamilies }: Service,
  destination: IpAddress,
): IpAddress | undefined {
  if (workload.addresses.includes(destination)) return destination;
  const addresses =
    ipFamilies === 'ipv4' || ipFamilies === 'ipv6'
      ? workload.addresses.filter((ip) => isIpv6(ip) === (ipFamilies === 'ipv6'))
      : workload.addresses;
  return addresses.find((ip) => isIpv6(ip) === isIpv6(destination)) ?? addresses[0];
}

/** strict: all scopes must match. failover: only those that match best. */
function nearest({ source, service }: Wanted, endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const { mode, preference } = service.loadBalancing ?? { mode: 'unspecified', preference: [] };
  if (mode === 'strict') {
    return endpoints.filter(
      ({ workload }) => matchingScopes(source, workload, preference) === preference.length,
    );
  }
  if (mode !== 'failover') return endpoints;
  const ranks = endpoints.map(({ workload }) => rank(source, workload, preference));
  const best = ranks.reduce((highest, one) => Math.max(highest, one), 0);
  return endpoints.filter((_, index) => ranks[index] === best);
}

/**
 * Consecutive matches from the first scope on. Where the network comes first, an endpoint on another one is still
 * ranked by the rest, below every endpoint on ours.
 */
function rank(source: Workload, target: Workload, preference: Preference): number {
  if (preference[0] !== 'network') return matchingScopes(source, target, preference);
  const rest = matchingScopes(source, target, preference, 1);
  return target.network === source.network ? preference.length + rest : rest;
}

type Preference = NonNullable<Service['loadBalancing']>['preference'];

/** 1 for every pod. */
function capacityOf({ workload }: Endpoint): number {
  return workload.capacity;
}

/** How busy it is for its size. */
function share({ workload }: Endpoint, { load }: Balance): number {
  return load(workload) / workload.capacity;
}

/**
 * The endpoint that is this client's own: the highest of a hash over both (rendezvous hashing), so that it stays the
 * same when others come and go, and is the same again after the agent forgot.
 */
function ownOf(endpoints: readonly Endpoint[], client: Workload): Endpoint | undefined {
  let own: Endpoint | undefined;
  let highest = -1;
  for (const endpoint of endpoints) {
    const height = hash(`${client.uid} ${endpoint.workload.uid}`);
    if (height <= highest) continue;
    own = endpoint;
    highest = height;
  }
  return own;
}

/** 32-bit FNV-1a with a final mix: cheap, and spread well enough that no endpoint is favoured. */
function hash(text: string): number {
  let state = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
  }
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}
