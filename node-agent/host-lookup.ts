// Addresses of endpoints that have a DNS name only: looked up when a connection needs one, remembered for as long as the
// answer says. Called by journeys.ts for outbound.ts; the queries themselves are passed in.
// Invariant: one query in flight a name, however many connections wait for it.

import { type IpAddress, isIpv6 } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import { orAborted } from '../runtime/aborted.ts';
import type { Clock } from '../runtime/clock.ts';

export type HostRecord = { readonly ip: IpAddress; readonly ttlSeconds: number };

/** Every A and AAAA record of a name, at least one. Rejects when there is none or nobody answers. */
export type ResolveHost = (hostname: string, signal: AbortSignal) => Promise<readonly HostRecord[]>;

/** As many names as the reference remembers; beyond it the longest unused make room. */
const MAX_NAMES = 4096;
/** An answer that says 0 is meant for the one who asked: the others of the same burst may share it, nobody later. */
const MIN_TTL_MS = 1000;
/** A name that does not resolve is asked for again soon, but not by every connection anew. */
const FAILURE_TTL_MS = 1000;
/** As long as the reference waits for a server; the application's own patience is rarely longer. */
const TIMEOUT_MS = 5000;

type Known = { readonly until: number; readonly addresses: Promise<readonly IpAddress[]> };

export class HostLookup {
  readonly #clock: Clock;
  readonly #resolve: ResolveHost;
  readonly #random: () => number;
  readonly #known = new Map<string, Known>();
  readonly #ending = new AbortController();

  constructor(parts: {
    readonly clock: Clock;
    readonly resolve: ResolveHost;
    readonly random: () => number;
  }) {
    this.#clock = parts.clock;
    this.#resolve = parts.resolve;
    this.#random = parts.random;
  }

  /** One of its addresses at random, of the family of `like` when it has any. @throws MeshError NAME_UNRESOLVED */
  async address(hostname: string, like: IpAddress, signal: AbortSignal): Promise<IpAddress> {
    const addresses = await orAborted(this.#addresses(hostname), signal);
    const same = addresses.filter((ip) => isIpv6(ip) === isIpv6(like));
    const choice = same.length > 0 ? same : addresses;
    const ip = choice[Math.floor(this.#random() * choice.length)];
    if (ip !== undefined) return ip;
    throw new MeshError('NAME_UNRESOLVED', `Cannot connect to ${hostname}: it has no address`);
  }

  close(): void {
    this.#ending.abort(new Error('The agent is stopping'));
  }

  #addresses(hostname: string): Promise<readonly IpAddress[]> {
    const known = this.#known.get(hostname);
    this.#known.delete(hostname);
    if (known !== undefined && known.until > this.#clock.monotonic()) {
      this.#known.set(hostname, known);
      return known.addresses;
    }
    const [oldest] = this.#known.keys();
    if (this.#known.size >= MAX_NAMES && oldest !== undefined) this.#known.delete(oldest);
    const addresses = this.#ask(hostname);
    this.#keep(hostname, addresses, Number.POSITIVE_INFINITY);
    return addresses;
  }

  async #ask(hostname: string): Promise<readonly IpAddress[]> {
    const ending = new AbortController();
    const end = (): void => ending.abort(this.#ending.signal.reason);
    const timer = this.#clock.timer(TIMEOUT_MS, () =>
      ending.abort(new Error(`no answer in ${TIMEOUT_MS / 1000} s`)),
    );
    this.#ending.signal.addEventListener('abort', end);
    try {
      const records = await this.#resolve(hostname, ending.signal);
      const addresses = records.map(({ ip }) => ip);
      const ttlSeconds = Math.min(...records.map(({ ttlSeconds }) => ttlSeconds));
      this.#settle(hostname, Promise.resolve(addresses), Math.max(ttlSeconds * 1000, MIN_TTL_MS));
      return addresses;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const failed = Promise.reject(
        new MeshError('NAME_UNRESOLVED', `Cannot look up endpoint ${hostname}: ${why}`, { cause }),
      );
      failed.catch(() => {
        // whoever asks for the name meanwhile is told
      });
      this.#settle(hostname, failed, FAILURE_TTL_MS);
      return failed;
    } finally {
      timer.cancel();
      this.#ending.signal.removeEventListener('abort', end);
    }
  }

  /** Nothing to note when the name had to make room meanwhile. */
  #settle(hostname: string, addresses: Known['addresses'], ttlMs: number): void {
    if (!this.#known.has(hostname)) return;
    this.#keep(hostname, addresses, this.#clock.monotonic() + ttlMs);
  }

  #keep(hostname: string, addresses: Known['addresses'], until: number): void {
    this.#known.set(hostname, { until, addresses });
  }
}
