// The clients of every endpoint in use: made when the first request goes there, let go when the endpoint has gone. Asked by
// forward.ts. Invariant: a client belongs to one workload and port; an address that passes to another gets a new one.

import { formatIpPort, type IpPort } from '../../mesh/address.ts';
import type { BackendTls } from '../../mesh/backend-tls.ts';
import { MeshError } from '../../mesh/failures.ts';
import { type Hop, hopTo } from '../../mesh/next-hop.ts';
import type { Service } from '../../mesh/service.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import type { Workload } from '../../mesh/workload.ts';
import { StreamSocket } from '../stream-socket.ts';
import type { Announced, Dialer } from './dial.ts';
import { Http1Client } from './http1-client.ts';
import { Http2Client } from './http2-client.ts';
import type { BackendSecurity } from './secure.ts';
import type { Send } from './upstream.ts';

export type Target = {
  readonly workload: Workload;
  readonly to: IpPort;
  readonly service: Service | undefined;
  /** Of the service; undefined for a workload of its own. */
  readonly servicePort: number | undefined;
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
  readonly #dialer: Pick<Dialer, 'open'>;
  readonly #security: BackendSecurity;
  readonly #clients = new Map<string, Clients>();

  constructor(parts: {
    readonly dialer: Pick<Dialer, 'open'>;
    readonly security: BackendSecurity;
  }) {
    this.#dialer = parts.dialer;
    this.#security = parts.security;
  }

  get size(): number {
    return this.#clients.size;
  }

  /** How to send a request there. `announced` tells the endpoint's agent of whoever makes a connection necessary. */
  sender(target: Target, version: 'http1' | 'http2', announced: Announced): Send {
    const clients = this.#clientsOf(target, announced);
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

  #clientsOf(target: Target, announced: Announced): Clients {
    const { workload, to, service } = target;
    const key = `${workload.uid} ${workload.protocol} ${formatIpPort(to)} ${service?.hostname ?? ''}:${target.servicePort ?? ''}`;
    const tls = this.#security.tlsFor(service, target.servicePort);
    const known = this.#clients.get(key);
    // requests under other terms end on the connections they are on, which then rest until they are let go
    if (known !== undefined && known.tls === tls) return known;
    const hop: Hop = hopTo(workload, to, service);
    const opening =
      (protocols: readonly string[]) =>
      async (signal?: AbortSignal): Promise<StreamSocket> => {
        const leg = await this.#dialer.open(hop, announced, signal);
        if (tls === undefined) return new StreamSocket(leg, to);
        const secured = await this.#security.secure(leg, to, tls, protocols, signal);
        if (protocols[0] === 'h2' && secured.protocol !== 'h2') {
          made.http1Only = true;
          secured.reset();
          throw new MeshError('TLS_FAILURE', `${tls.service} does not take HTTP/2`);
        }
        return new StreamSocket(secured, to);
      };
    const made: Clients = {
      workload,
      http1: new Http1Client(opening(['http/1.1'])),
      http2: new Http2Client(opening(['h2', 'http/1.1'])),
      tls,
      http1Only: false,
    };
    this.#clients.set(key, made);
    return made;
  }
}

function sameWay(a: Workload, b: Workload): boolean {
  return a.protocol === b.protocol && a.addresses.join() === b.addresses.join();
}
