// Which endpoints may take a request or a connection, and which of them takes the next try. Called by forward.ts and
// opaque.ts, once for each request or connection. Invariant: an endpoint that was tried comes again only when all were.

import { type IpAddress, isIpv6, parseIp } from '../mesh/address.ts';
import type { Endpoint } from '../mesh/balance.ts';
import { MeshError } from '../mesh/failures.ts';
import { HttpFailure } from '../mesh/http-failures.ts';
import type { BackendTarget } from '../mesh/route.ts';
import { serviceKey } from '../mesh/service.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import { DEFAULT_TRAFFIC_POLICY } from '../mesh/traffic-defaults.ts';
import type { RequestBalancing } from '../mesh/traffic-policy.ts';
import type { Workload } from '../mesh/workload.ts';
import type { Destination, Inbound } from './inbound.ts';
import { type Entrance, entranceOf, throughEntrance } from './ingress/entrance.ts';
import { hash32 } from './resilience/balancing/hash.ts';
import type { TrafficSettingsByPlace } from './resilience/traffic-settings.ts';
import type { Choice, Upstream } from './resilience/upstream.ts';
import type { Upstreams } from './resilience/upstreams.ts';
import type { Target } from './upstream/endpoints.ts';

export type PickParts = {
  readonly snapshot: () => Snapshot;
  readonly self: () => Workload | undefined;
  readonly upstreams: Upstreams;
  readonly settings: TrafficSettingsByPlace;
};

/** A Service's own `sessionAffinity: ClientIP`, where no policy says what a client is kept in place by. */
const BY_CLIENT: RequestBalancing = {
  algorithm: 'ring-hash',
  hash: { by: 'source-ip' },
  slowStart: undefined,
  locality: 'inherit',
};

/** Who asks, as far as it decides where to. */
type Client = Pick<Inbound, 'authority' | 'source'> & Partial<Pick<Inbound, 'asked'>>;

type Led = { readonly entrance: Entrance; readonly way: Way };

/** The endpoints of one backend, for the tries of one request. */
export class Way {
  /** undefined: a workload was asked for itself. */
  readonly upstream: Upstream | undefined;
  readonly #asked: Destination;
  readonly #inbound: Client;
  readonly #balancing: RequestBalancing;
  readonly #parts: PickParts;
  readonly #tried = new Set<string>();
  #endpoints: readonly Endpoint[] | undefined;
  /** The way to the waypoint before the backend, where requests from outside are to come through it. */
  #led: Led | undefined;

  constructor(asked: Destination, inbound: Client, balancing: RequestBalancing, parts: PickParts) {
    this.#asked = asked;
    this.#inbound = inbound;
    this.#parts = parts;
    const isKept = asked.kind === 'service' && asked.service.sessionAffinitySeconds !== undefined;
    this.#balancing = isKept && balancing.hash === undefined ? BY_CLIENT : balancing;
    this.upstream =
      asked.kind === 'service' ? parts.upstreams.of(asked.service, asked.port) : undefined;
  }

  /** Whether the workload, by uid, may be picked for this request. */
  has(uid: string): boolean {
    return this.#candidates().some(({ workload }) => workload.uid === uid);
  }

  /**
   * `keep`: the workload, by uid, to be taken if it was not tried yet.
   * @throws MeshError NO_HEALTHY_ENDPOINT, SOURCE_UNKNOWN, GATEWAY_UNAVAILABLE
   */
  next(hash: number | undefined, keep?: string): Target {
    const target = this.#next(hash, keep);
    this.#tried.add(target.workload.uid);
    return target;
  }

  #next(hash: number | undefined, keep: string | undefined): Target {
    const asked = this.#asked;
    if (asked.kind === 'workload') return workloadTarget(asked, this.#inbound);
    const led = this.#ledTo(asked);
    if (led !== undefined) return throughEntrance(led.way.next(undefined), led.entrance, asked);
    const { upstream } = this;
    const candidates = this.#candidates();
    const kept =
      keep === undefined || this.#tried.has(keep)
        ? undefined
        : candidates.find(({ workload }) => workload.uid === keep);
    const how = { balancing: this.#balancing, subset: subsetOf(asked) };
    const by = hash ?? this.#hashByClient();
    const endpoint =
      kept ??
      upstream?.pick(candidates, how, { hash: by, avoid: this.#tried }) ??
      upstream?.pick(candidates, how, { hash: by, avoid: new Set() });
    if (endpoint === undefined) {
      const subset = asked.subset === undefined ? '' : ` subset ${asked.subset.name}`;
      throw new MeshError(
        'NO_HEALTHY_ENDPOINT',
        `Cannot reach ${asked.service.hostname}:${asked.port.servicePort}${subset}: no endpoint is healthy, near enough and serves that port`,
      );
    }
    const { workload, reach, port } = endpoint;
    if (reach.by === 'address') {
      return {
        workload,
        to: { ip: reach.ip, port },
        service: asked.service,
        servicePort: asked.port.servicePort,
      };
    }
    throw new MeshError(
      'GATEWAY_UNAVAILABLE',
      `Cannot reach ${workload.uid} from a waypoint: it has no address on this network`,
    );
  }

  #ledTo(asked: Extract<Destination, { kind: 'service' }>): Led | undefined {
    if (this.#led !== undefined) return this.#led;
    const parts = this.#parts;
    const { authority, source, asked: place } = this.#inbound;
    const self = parts.self();
    const entrance = self && entranceOf(asked, place, self, parts.snapshot());
    if (entrance === undefined) return undefined;
    const balancing = DEFAULT_TRAFFIC_POLICY.loadBalancing;
    const way = new Way(entrance.waypoint, { authority, source }, balancing, parts);
    this.#led = { entrance, way };
    return this.#led;
  }

  #candidates(): readonly Endpoint[] {
    this.#endpoints ??= this.#find();
    return this.#endpoints;
  }

  #find(): readonly Endpoint[] {
    const asked = this.#asked;
    if (asked.kind === 'workload' || this.upstream === undefined) return [];
    const source = this.#parts.self();
    if (source === undefined) {
      throw new MeshError('SOURCE_UNKNOWN', 'This waypoint is not known to the mesh yet');
    }
    const { authority } = this.#inbound;
    const destination =
      authority.kind === 'address' ? authority.ip : familyOf(asked.service.vips[0]?.ip);
    const choice = { source, destination, balancing: this.#balancing, subset: subsetOf(asked) };
    return this.upstream.candidates(choice, this.#parts.snapshot());
  }

  #hashByClient(): number | undefined {
    return this.#balancing === BY_CLIENT ? hash32(this.#inbound.source.ip) : undefined;
  }
}

function subsetOf({ subset }: Extract<Destination, { kind: 'service' }>): Choice['subset'] {
  return subset;
}

function workloadTarget(
  { workload, port }: Extract<Destination, { kind: 'workload' }>,
  { authority }: Client,
): Target {
  const [first] = workload.addresses;
  const ip = authority.kind === 'address' ? authority.ip : first;
  if (ip === undefined) {
    throw new MeshError('NO_HEALTHY_ENDPOINT', `${workload.uid} has no address`);
  }
  return { workload, to: { ip, port }, service: undefined, servicePort: undefined };
}

/** What a route's backend stands for. @throws HttpFailure BACKEND_INVALID */
export function backendOf(target: BackendTarget, { snapshot, settings }: PickParts): Destination {
  if (target.kind === 'invalid') throw new HttpFailure('BACKEND_INVALID', target.why);
  const service = snapshot().serviceByKey(target.service);
  const port = service?.ports.find(({ servicePort }) => servicePort === target.port);
  if (service === undefined || port === undefined) {
    throw new HttpFailure(
      'BACKEND_INVALID',
      `Service ${target.service} with port ${target.port} is not known`,
    );
  }
  if (target.subset === undefined) return { kind: 'service', service, port };
  const place = { service: serviceKey(service), port: target.port, route: undefined };
  const subset = settings.of(place).subsets.find(({ name }) => name === target.subset);
  if (subset === undefined) {
    throw new HttpFailure(
      'BACKEND_INVALID',
      `No TrafficPolicy of ${target.service} names the subset ${target.subset}`,
    );
  }
  const { name, workloads } = subset;
  return { kind: 'service', service, port, subset: { name, uids: new Set(workloads) } };
}

/** Which family is preferred when a name was asked for. */
function familyOf(ip: IpAddress | undefined): IpAddress {
  return parseIp(ip !== undefined && isIpv6(ip) ? '::' : '0.0.0.0');
}
