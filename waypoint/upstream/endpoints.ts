// The clients of every endpoint in use: made when the first request goes there, let go when the endpoint has gone. Asked by
// forward.ts. Invariant: a client belongs to one workload and port; an address that passes to another gets a new one.

import { formatIpPort, type IpPort } from '../../mesh/address.ts';
import type { BackendTls } from '../../mesh/backend-tls.ts';
import { MeshError } from '../../mesh/failures.ts';
import { type Hop, hopTo, type TunnelHop } from '../../mesh/next-hop.ts';
import type { Service } from '../../mesh/service.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import type { Workload } from '../../mesh/workload.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Leg } from '../../tunnel/splice.ts';
import { StreamSocket } from '../http/stream-socket.ts';
import type { Announced, Dialer } from './dial.ts';
import { Http1Client } from './http1-client.ts';
import { Http2Client } from './http2-client.ts';
import type { BackendSecurity } from './secure.ts';
import { type Send, UpstreamError, type UpstreamLimits } from './upstream.ts';

export type Target = {
  readonly workload: Workload;
  readonly to: IpPort;
  readonly service: Service | undefined;
  /** Of the service; undefined for a workload of its own. */
  readonly servicePort: number | undefined;
  /** Its way, where that does not lead to the workload itself. */
  readonly through?: TunnelHop;
};

type Clients = {
  readonly workload: Workload;
  readonly http1: Http1Client;
  readonly http2: Http2Client;
  readonly tls: BackendTls | undefined;
  /** It was offered HTTP/2 in a handshake and did not take it. */
  http1Only: boolean;
};

export class Endpoints {
  readonly #clock: Clock;
  readonly #dialer: Pick<Dialer, 'open'>;
  readonly #security: BackendSecurity;
  readonly #clients = new Map<string, Clients>();

  constructor(parts: {
    readonly clock: Clock;
    readonly dialer: Pick<Dialer, 'open'>;
    readonly security: BackendSecurity;
  }) {
    this.#clock = parts.clock;
    this.#dialer = parts.dialer;
    this.#security = parts.security;
  }

  get size(): number {
    return this.#clients.size;
  }

  /** How to send a request there. `limits` are the service's, for all of its endpoints. */
  sender(target: Target, version: 'http1' | 'http2', limits: UpstreamLimits | undefined): Send {
    const clients = this.#clientsOf(target, limits);
    return (request, signal) =>
      clients[clients.http1Only ? 'http1' : version].send(request, signal);
  }

  /** Lets go of those whose workload has gone or has another way in now. */
  evict(snapshot: Snapshot): void {
    for (const [key, clients] of this.#clients) {
      const present = snapshot.workloadByUid(clients.workload.uid);
      if (present !== undefined && sameWay(present, clients.workload)) continue;
      this.#clients.delete(key);
      clients.http1.close();
      clients.http2.close();
    }
  }

  close(): void {
    for (const { http1, http2 } of this.#clients.values()) {
      http1.close();
      http2.close();
    }
    this.#clients.clear();
  }

  #clientsOf(target: Target, limits: UpstreamLimits | undefined): Clients {
    const { workload, to, service } = target;
    const key = `${workload.uid} ${workload.protocol} ${formatIpPort(to)} ${service?.hostname ?? ''}:${target.servicePort ?? ''}`;
    const tls = tlsTo(target, this.#security);
    const known = this.#clients.get(key);
    // requests under other terms end on the connections they are on, which then rest until they are let go
    if (known !== undefined && known.tls === tls) return known;
    const hop = hopOf(target);
    const opening =
      (protocols: readonly string[]) =>
      async (announced: Announced, signal?: AbortSignal): Promise<StreamSocket> => {
        const release = await limits?.circuit.connectionSoon(signal);
        try {
          const plain = await this.#dial(hop, announced, limits, signal);
          if (release !== undefined) plain.bytes.once('close', release);
          if (tls === undefined) return new StreamSocket(plain, to);
          const secured = await this.#security.secure(plain, to, tls, protocols, signal);
          if (protocols[0] === 'h2' && secured.protocol !== 'h2') {
            made.http1Only = true;
            secured.reset();
            throw new MeshError('TLS_FAILURE', `${tls.service} does not take HTTP/2`);
          }
          return new StreamSocket(secured, to);
        } catch (error) {
          release?.();
          throw error;
        }
      };
    const made: Clients = {
      workload,
      http1: new Http1Client(this.#clock, opening(['http/1.1']), limits),
      http2: new Http2Client(this.#clock, opening(['h2', 'http/1.1']), limits),
      tls,
      http1Only: false,
    };
    this.#clients.set(key, made);
    return made;
  }

  /** Within the time the service's policy gives a connection. */
  async #dial(
    hop: Hop,
    announced: Announced,
    limits: UpstreamLimits | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Leg> {
    const limitMs = limits?.settings.timeouts.connectMs;
    if (limitMs === undefined) return this.#dialer.open(hop, announced, signal);
    const late = new AbortController();
    const abort = (): void => late.abort(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    const timer = this.#clock.timer(limitMs, () => {
      late.abort(new UpstreamError('connect', `No connection within ${limitMs} ms`));
    });
    try {
      return await this.#dialer.open(hop, announced, late.signal);
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', abort);
    }
  }
}

export function hopOf({ workload, to, service, through }: Target): Hop {
  return through ?? hopTo(workload, to, service);
}

/** Of what is reached through a waypoint it is that one's to speak. */
export function tlsTo(target: Target, security: BackendSecurity): BackendTls | undefined {
  const { service, servicePort, through } = target;
  return through === undefined ? security.tlsFor(service, servicePort) : undefined;
}

function sameWay(a: Workload, b: Workload): boolean {
  return a.protocol === b.protocol && a.addresses.join() === b.addresses.join();
}
