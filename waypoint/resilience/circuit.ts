// The limits of one service: connections, requests that wait, requests and retries at once. The waypoint takes a place
// before it acts and releases it after; a place that is not there is refused by the limit's name. Invariant: what is taken
// never exceeds its limit, and what was refused took nothing.

import type { ConnectionLimits } from '../../mesh/traffic-policy.ts';
import { once, type Release } from './release.ts';

/** As the policy calls them: what logs and metrics name. */
export type CircuitLimit = keyof Omit<ConnectionLimits, 'maxRequestsPerConnection'>;

export type Admission =
  | { readonly admitted: true; readonly release: Release }
  | { readonly admitted: false; readonly limit: CircuitLimit };

export class Circuit {
  #limits: ConnectionLimits;
  readonly #taken: Record<CircuitLimit, number> = {
    maxConnections: 0,
    maxPendingRequests: 0,
    maxRequests: 0,
    maxConcurrentRetries: 0,
  };

  /** As many at most as may be pending. */
  readonly #waiting = new Set<() => void>();

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  /** What was taken under other limits stays taken. */
  update(limits: ConnectionLimits): void {
    this.#limits = limits;
    for (const waiter of this.#waiting) waiter();
  }

  connection(): Admission {
    return this.#take('maxConnections');
  }

  /** A place as soon as there is one; those that wait are served in the order they came. */
  connectionSoon(signal?: AbortSignal): Promise<Release> {
    const now = this.connection();
    if (now.admitted) return Promise.resolve(now.release);
    return new Promise((resolve, reject) => {
      const waiter = (): void => {
        const place = this.connection();
        if (!place.admitted) return;
        this.#waiting.delete(waiter);
        signal?.removeEventListener('abort', abort);
        resolve(place.release);
      };
      const abort = (): void => {
        this.#waiting.delete(waiter);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.add(waiter);
    });
  }

  /** Somebody waits for a connection: a free one of another endpoint is in their way. */
  get isCrowded(): boolean {
    return this.#waiting.size > 0;
  }

  /** While it waits for a connection. */
  pending(): Admission {
    return this.#take('maxPendingRequests');
  }

  request(): Admission {
    return this.#take('maxRequests');
  }

  retry(): Admission {
    return this.#take('maxConcurrentRetries');
  }

  /** Whether a connection that has served so many may serve another. */
  mayReuse(served: number): boolean {
    const { maxRequestsPerConnection } = this.#limits;
    return maxRequestsPerConnection === 0 || served < maxRequestsPerConnection;
  }

  /** How much is taken of each, for metrics. */
  taken(): Readonly<Record<CircuitLimit, number>> {
    return { ...this.#taken };
  }

  #take(limit: CircuitLimit): Admission {
    if (this.#taken[limit] >= this.#limits[limit]) return { admitted: false, limit };
    this.#taken[limit]++;
    const release = once(() => {
      this.#taken[limit]--;
      if (limit === 'maxConnections') for (const waiter of this.#waiting) waiter();
    });
    return { admitted: true, release };
  }
}
