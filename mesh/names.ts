// What a pod's DNS question means in the mesh: the addresses of a service, no data, or nothing of ours. The decision of
// node-agent/dns, made without I/O over one Snapshot. Whatever the mesh does not know for certain is forwarded, so that a
// pod in the mesh never fails to resolve what it could resolve outside.

import { type IpAddress, isIpv6 } from './address.ts';
import { type Service, serviceKey } from './service.ts';
import type { Snapshot } from './snapshot.ts';
import type { Workload } from './workload.ts';

export type AddressFamily = 'ipv4' | 'ipv6';

export type NameQuestion = {
  /** Lower case, without the final dot. */
  readonly name: string;
  /** A or AAAA: the only questions the mesh answers. */
  readonly family: AddressFamily;
};

export type NamePlace = {
  /** The cluster's own domain, e.g. `cluster.local`. */
  readonly clusterDomain: string;
  /** The client's search domains; undefined: the three every pod has by default. */
  readonly search?: readonly string[] | undefined;
  /** Of several that own a host outside the cluster, none in the client's namespace, those of this one are meant. */
  readonly preferredNamespace?: string | undefined;
};

export type NameResolution =
  | {
      /** Without addresses: the name exists, but not in the family asked for (NODATA, RFC 2308 section 2.2). */
      readonly kind: 'answer';
      /** The name the addresses belong to, where the question had a search domain behind it: a CNAME leads there. */
      readonly canonicalName: string | undefined;
      readonly addresses: readonly IpAddress[];
      readonly service: Service;
    }
  | { readonly kind: 'forward' };

const FORWARD: NameResolution = { kind: 'forward' };

export function resolveName(
  { name, family }: NameQuestion,
  client: Workload,
  snapshot: Snapshot,
  place: NamePlace,
): NameResolution {
  for (const { meant, stripped } of readings(name, client.namespace, place)) {
    const found =
      findService(meant, client, snapshot, place) ?? findPod(meant, client, snapshot, place);
    if (found === undefined) continue;
    const addresses = found.addresses.filter((ip) => isIpv6(ip) === (family === 'ipv6'));
    // what a wildcard matched has no name of its own besides the one that was asked for
    const own = found.hostname.startsWith('*.') ? meant : found.hostname;
    return {
      kind: 'answer',
      canonicalName: stripped ? own : undefined,
      addresses,
      service: found.service,
    };
  }
  return FORWARD;
}

type Reading = { readonly meant: string; readonly stripped: boolean };
type Found = {
  readonly hostname: string;
  readonly service: Service;
  readonly addresses: readonly IpAddress[];
};

/** The names a question can stand for, nearest first: as it is, as a short name, and without a search domain. */
function readings(name: string, namespace: string, place: NamePlace): Reading[] {
  const services = `svc.${place.clusterDomain}`;
  const search = place.search ?? [`${namespace}.${services}`, services, place.clusterDomain];
  const found: Reading[] = [];
  const add = (base: string, stripped: boolean): void => {
    for (const meant of [base, expand(base, namespace, place.clusterDomain)]) {
      if (meant === undefined || found.some((reading) => reading.meant === meant)) continue;
      found.push({ meant, stripped });
    }
  };
  add(name, false);
  for (const domain of search) {
    if (name.endsWith(`.${domain}`)) add(name.slice(0, -domain.length - 1), true);
  }
  return found;
}

/** `web`, `web.shop` and `web.shop.svc` as the full name of a Kubernetes Service. */
function expand(name: string, namespace: string, clusterDomain: string): string | undefined {
  const labels = name.split('.', 4);
  if (labels.length === 1) return `${name}.${namespace}.svc.${clusterDomain}`;
  if (labels.length === 2) return `${name}.svc.${clusterDomain}`;
  return labels.length === 3 && labels[2] === 'svc' ? `${name}.${clusterDomain}` : undefined;
}

/** The service of that very name, else the one with the nearest wildcard above it. */
function findService(
  name: string,
  client: Workload,
  snapshot: Snapshot,
  place: NamePlace,
): Found | undefined {
  let hostname = name;
  let dot = -1;
  for (;;) {
    const service = snapshot.serviceByHostname(
      hostname,
      client.namespace,
      place.preferredNamespace,
    );
    const addresses = service && addressesOf(service, client, snapshot, place);
    if (service !== undefined && addresses !== undefined) return { hostname, service, addresses };
    // known, but the mesh has no address for it: a wildcard must not answer in its place
    if (service !== undefined) return undefined;
    dot = name.indexOf('.', dot + 1);
    if (dot < 0) return undefined;
    hostname = `*${name.slice(dot)}`;
  }
}

/** Addresses in either family; undefined when the mesh has none to give and somebody else may. */
function addressesOf(
  service: Service,
  client: Workload,
  snapshot: Snapshot,
  place: NamePlace,
): IpAddress[] | undefined {
  // a range is not an answer: its addresses are somebody else's to name
  const exact = service.vips.filter(({ prefixLength }) => prefixLength === undefined);
  const isOfKubernetes = isOfCluster(service.hostname, place);
  if (exact.length > 0) {
    const near = exact.filter(({ network }) => network === client.network).map(({ ip }) => ip);
    // hosts outside have addresses of both families by default: a client that has no route for one would try it in vain
    return isOfKubernetes ? near : near.filter((ip) => hasFamilyOf(client, ip));
  }
  if (service.vips.length > 0 || !isOfKubernetes) return undefined;
  // headless; without endpoints it has no name, and the cluster's own DNS says so with the proof it has
  const addresses = published(service, client, snapshot).flatMap((workload) =>
    workload.addresses.filter((ip) => isOfFamilies(ip, service.ipFamilies)),
  );
  return addresses.length > 0 ? [...new Set(addresses)] : undefined;
}

/** A pod behind a headless Service by its own name: `pod-0.db.shop.svc.cluster.local`. */
function findPod(
  name: string,
  client: Workload,
  snapshot: Snapshot,
  place: NamePlace,
): Found | undefined {
  const dot = name.indexOf('.');
  if (dot < 0 || !isOfCluster(name, place)) return undefined;
  const service = snapshot.serviceByHostname(name.slice(dot + 1), client.namespace);
  if (service === undefined || service.vips.length > 0) return undefined;
  const addresses = published(service, client, snapshot)
    .filter(({ hostname }) => hostname === name)
    .flatMap((workload) => workload.addresses)
    .filter((ip) => isOfFamilies(ip, service.ipFamilies));
  return addresses.length > 0 ? { hostname: name, service, addresses } : undefined;
}

/** Endpoints that may be handed out: healthy, unless the service wants all of them known, and where the client can reach. */
function published(service: Service, client: Workload, snapshot: Snapshot): Workload[] {
  const all = service.loadBalancing?.health === 'allow-all';
  return snapshot
    .membersOf(serviceKey(service))
    .filter(({ health, network }) => (all || health === 'healthy') && network === client.network);
}

function hasFamilyOf({ addresses }: Workload, ip: IpAddress): boolean {
  return addresses.some((own) => isIpv6(own) === isIpv6(ip));
}

function isOfCluster(hostname: string, { clusterDomain }: NamePlace): boolean {
  return hostname.endsWith(`.svc.${clusterDomain}`);
}

function isOfFamilies(ip: IpAddress, families: Service['ipFamilies']): boolean {
  if (families === 'ipv4') return !isIpv6(ip);
  return families === 'ipv6' ? isIpv6(ip) : true;
}
