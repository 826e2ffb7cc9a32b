// Passes a pod's question on to a name server and the answer back, both as they are. Called by answer.ts, and by
// lookup-host.ts for names the agent itself needs. Invariant: questions under way are bounded, for each pod and in all.

import { type IpPort, isLoopback } from '../../mesh/address.ts';
import type { PodDns } from '../../mesh/enrolment.ts';
import type { Clock } from '../../runtime/clock.ts';
import { type DnsQuery, REFUSED, SERVER_FAILURE } from '../../wire/dns-query.ts';
import { DNS_SERVER_PORT } from './resolv-conf.ts';
import {
  askUpstream,
  type DnsSockets,
  type Transport,
  type UpstreamAnswer,
  UpstreamError,
  type UpstreamReason,
} from './upstream.ts';

/** A busy pod has some ten questions open; a runaway one shall not take the others' turn. */
export const MAX_IN_FLIGHT_POD = 256;
/** Each holds a socket of the agent for at most four seconds. */
export const MAX_IN_FLIGHT = 2048;
/** Together at most four seconds: below the five after which common resolvers ask again. */
const MAX_TRIES = 2;

export type ForwardReason = UpstreamReason | 'limit' | 'no-server';

/** Nobody answered; the client is told SERVFAIL. */
export class ForwardError extends Error {
  override readonly name = 'ForwardError';
  readonly reason: ForwardReason;

  constructor(reason: ForwardReason, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.reason = reason;
  }
}

/** Who asks: its sockets, a name under which its questions are counted, and name servers of its own. */
type Asker = {
  readonly key: string;
  readonly sockets: DnsSockets;
  readonly dns: PodDns | undefined;
};

export type Forwarding = {
  readonly message: Uint8Array;
  readonly query: DnsQuery;
  readonly transport: Transport;
  /** The server the client had meant, where that is known. */
  readonly meant?: IpPort | undefined;
  readonly signal: AbortSignal;
};

export class Forwarder {
  readonly #clock: Clock;
  readonly #randomId: () => number;
  readonly #servers: readonly IpPort[];
  readonly #inFlight = new Map<string, number>();
  #total = 0;

  constructor(
    parts: { readonly clock: Clock; readonly randomId: () => number },
    servers: readonly IpPort[],
  ) {
    this.#clock = parts.clock;
    this.#randomId = parts.randomId;
    this.#servers = servers;
  }

  get inFlight(): number {
    return this.#total;
  }

  /** @throws ForwardError, or `signal.reason` */
  async forward(asker: Asker, forwarding: Forwarding): Promise<UpstreamAnswer> {
    const own = this.#inFlight.get(asker.key) ?? 0;
    if (own >= MAX_IN_FLIGHT_POD || this.#total >= MAX_IN_FLIGHT) {
      throw new ForwardError(
        'limit',
        `Too many questions under way: ${own} of this pod, ${this.#total} in all`,
      );
    }
    this.#inFlight.set(asker.key, own + 1);
    this.#total++;
    try {
      return await this.#try(asker, forwarding);
    } finally {
      this.#total--;
      const left = (this.#inFlight.get(asker.key) ?? 1) - 1;
      if (left === 0) this.#inFlight.delete(asker.key);
      else this.#inFlight.set(asker.key, left);
    }
  }

  async #try({ sockets, dns }: Asker, forwarding: Forwarding): Promise<UpstreamAnswer> {
    const { message, query, transport, signal } = forwarding;
    const servers = this.#serversFor(forwarding.meant, dns);
    let failed: UpstreamError | undefined;
    let refused: UpstreamAnswer | undefined;
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const server = servers[attempt % servers.length];
      if (server === undefined) break;
      const ask = {
        clock: this.#clock,
        randomId: this.#randomId,
        sockets,
        server,
        message,
        query,
        signal,
      };
      try {
        const answer = await askUpstream(ask, transport);
        const { rcode } = answer.head;
        if (rcode !== SERVER_FAILURE && rcode !== REFUSED) return answer;
        // this server cannot say; another one may
        refused = answer;
        if (servers.length === 1) return answer;
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error;
        failed = error;
      }
    }
    if (refused !== undefined) return refused;
    if (failed === undefined) {
      throw new ForwardError(
        'no-server',
        'No name server is known that pods could reach: set AMBIT_DNS_UPSTREAM on the node agent',
      );
    }
    throw new ForwardError(failed.reason, failed.message, { cause: failed });
  }

  /** Where the client itself had wanted to ask comes first, unless that is its own loopback: there only we listen. */
  #serversFor(meant: IpPort | undefined, dns: PodDns | undefined): readonly IpPort[] {
    const own = (dns?.servers ?? [])
      .filter((ip) => !isLoopback(ip))
      .map((ip) => ({ ip, port: DNS_SERVER_PORT }));
    const usual = dns?.order === 'instead' && own.length > 0 ? own : [...this.#servers, ...own];
    if (meant === undefined || meant.port !== DNS_SERVER_PORT || isLoopback(meant.ip)) return usual;
    const { ip, port } = meant;
    return [meant, ...usual.filter((server) => server.ip !== ip || server.port !== port)];
  }
}
