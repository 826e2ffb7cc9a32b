// Which endpoint takes this connection: those that serve the port and may be used, the nearest group of them, then the
// less loaded of two drawn at random. Called by node-agent/outbound.ts with a Permit's intent. Pure: load and randomness
// are passed in.

import { type IpAddress, isIpv6 } from './address.ts';
import { MeshError } from './failures.ts';
import { type LocalityScope, type Service, serviceKey } from './service.ts';
import type { Snapshot } from './snapshot.ts';
import type { PortMapping, Workload } from './workload.ts';

export type Endpoint = {
  readonly workload: Workload;
  readonly address: IpAddress;
  /** The port the application listens on. */
  readonly port: number;
};

export type Balance = {
  /** 0 <= random() < 1. */
  readonly random: () => number;
  /** Connections in flight to the endpoint, from here. */
  readonly load: (endpoint: Endpoint) => number;
  /** Endpoints tried before, by workload uid: not again. */
  readonly exclude?: ReadonlySet<string>;
};

export type Wanted = {
  readonly source: Workload;
  readonly service: Service;
  readonly port: PortMapping;
  /** The family the client used: endpoints answer in it when they can. */
  readonly preferIpv6: boolean;
};

/** @throws MeshError NO_HEALTHY_ENDPOINT */
export function pickEndpoint(wanted: Wanted, snapshot: Snapshot, balance: Balance): Endpoint {
  const candidates = nearest(wanted, eligible(wanted, snapshot, balance.exclude));
  const first = draw(candidates, balance.random, undefined);
  if (first === undefined) {
    const { hostname } = wanted.service;
    const total = snapshot.membersOf(serviceKey(wanted.service)).length;
    throw new MeshError(
      'NO_HEALTHY_ENDPOINT',
      `Cannot connect to ${hostname}:${wanted.port.servicePort}: none of ${total} endpoints is healthy and serves that port`,
    );
  }
  const second = draw(candidates, balance.random, first) ?? first;
  return share(second, balance) < share(first, balance) ? second : first;
}

/** How busy it is for its size. */
function share(endpoint: Endpoint, { load }: Balance): number {
  return load(endpoint) / endpoint.workload.capacity;
}

function eligible(
  { source, service, port, preferIpv6 }: Wanted,
  snapshot: Snapshot,
  exclude: ReadonlySet<string> | undefined,
): Endpoint[] {
  const key = serviceKey(service);
  const allowAll = service.loadBalancing?.health === 'allow-all';
  const endpoints: Endpoint[] = [];
  for (const workload of snapshot.membersOf(key)) {
    if (!allowAll && workload.health !== 'healthy') continue;
    if (workload.capacity === 0 || exclude?.has(workload.uid) === true) continue;
    // its address means nothing here: only a gateway to that network could reach it
    if (workload.network !== source.network) continue;
    const mapping = workload.services
      .get(key)
      ?.find(({ servicePort }) => servicePort === port.servicePort);
    const target = mapping === undefined ? 0 : mapping.targetPort || port.targetPort;
    const address = addressOf(workload, service, preferIpv6);
    if (target !== 0 && address !== undefined) endpoints.push({ workload, address, port: target });
  }
  return endpoints;
}

function addressOf(
  workload: Workload,
  { ipFamilies }: Service,
  preferIpv6: boolean,
): IpAddress | undefined {
  const addresses =
    ipFamilies === 'ipv4' || ipFamilies === 'ipv6'
      ? workload.addresses.filter((ip) => isIpv6(ip) === (ipFamilies === 'ipv6'))
      : workload.addresses;
  return addresses.find((ip) => isIpv6(ip) === preferIpv6) ?? addresses[0];
}

/** strict: all scopes must match. failover: only those that match the most scopes in a row, from the first on. */
function nearest({ source, service }: Wanted, endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const { mode, preference } = service.loadBalancing ?? { mode: 'unspecified', preference: [] };
  if (mode !== 'strict' && mode !== 'failover') return endpoints;
  const ranked = endpoints.map((endpoint) => ({
    endpoint,
    rank: matchingScopes(source, endpoint.workload, preference),
  }));
  const best =
    mode === 'strict' ? preference.length : Math.max(0, ...ranked.map(({ rank }) => rank));
  return ranked.filter(({ rank }) => rank === best).map(({ endpoint }) => endpoint);
}

function matchingScopes(
  source: Workload,
  target: Workload,
  preference: readonly LocalityScope[],
): number {
  const mismatch = preference.findIndex(
    (scope) => scopeValue(source, scope) !== scopeValue(target, scope),
  );
  return mismatch < 0 ? preference.length : mismatch;
}

function scopeValue(workload: Workload, scope: LocalityScope): string {
  switch (scope) {
    case 'region':
    case 'zone':
    case 'subzone':
      return workload.locality[scope];
    case 'node':
    case 'cluster':
    case 'network':
      return workload[scope];
  }
}

/** Weighted by capacity, which is 1 for every pod; never `taken`, so that two draws are two endpoints. */
function draw(
  endpoints: readonly Endpoint[],
  random: () => number,
  taken: Endpoint | undefined,
): Endpoint | undefined {
  let total = taken === undefined ? 0 : -taken.workload.capacity;
  for (const { workload } of endpoints) total += workload.capacity;
  if (total <= 0) return undefined;
  let at = random() * total;
  let last: Endpoint | undefined;
  for (const endpoint of endpoints) {
    if (endpoint === taken) continue;
    at -= endpoint.workload.capacity;
    if (at < 0) return endpoint;
    last = endpoint;
  }
  return last;
}
