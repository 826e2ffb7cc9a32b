// One global rate limit of one policy: counted in a store that all waypoints share. Asked by the waypoint before a request
// is sent. Invariant: no request waits for the store longer than the policy says, and while the store does not answer the
// policy's onFailure decides, by a name of its own.

import type { HttpRequest, RequestSource } from '../../mesh/http-request.ts';
import type { GlobalRateLimit } from '../../mesh/traffic-policy.ts';
import type { Clock } from '../../runtime/clock.ts';
import { limitKeyOf } from './local-rate-limit.ts';

export type LimitStore = {
  /** Counts one request. Rejects when it cannot tell. */
  take(key: string, limit: Pick<GlobalRateLimit, 'requests' | 'perMs'>): Promise<StoreAnswer>;
  /** It does not answer: begin anew, and give up what is under way. */
  reset(): void;
};

export type StoreAnswer = { readonly allowed: boolean; readonly retryAfterMs: number };

export type GlobalDecision =
  /** `failure`: nobody counted it. */
  | { readonly allowed: true; readonly by: 'store' | 'failure' }
  | {
      readonly allowed: false;
      readonly limit: 'global-rate-limit' | 'global-rate-limit-unavailable';
      readonly retryAfterMs: number;
    };

/** Why the store did not count a request. */
export type StoreFailure =
  | 'timeout'
  /** It refused, or there is no connection. */
  | 'error'
  /** It failed lately and was not asked. */
  | 'away'
  /** Too many requests wait for it. */
  | 'asks';

export type GlobalLimiterParts = {
  readonly store: LimitStore;
  readonly clock: Pick<Clock, 'monotonic' | 'timer'>;
  /** For metrics. */
  readonly count: (failure: StoreFailure) => void;
};

// each is a request held in memory
const MAX_ASKS = 1000;
// a pause of ours alone would look like one of the store's
const MISSES_BEFORE_AWAY = 3;
// requests do not all wait for a store that is gone; one asks again after this
const AWAY_MS = 1000;

export class GlobalRateLimiter {
  readonly #limit: GlobalRateLimit;
  readonly #scope: string;
  readonly #parts: GlobalLimiterParts;
  #asks = 0;
  #misses = 0;
  /** On the monotonic clock. */
  #awayUntil = 0;

  /** `scope`: the same in all waypoints, and of no other limit: policy, target, place in the list. */
  constructor(limit: GlobalRateLimit, scope: string, parts: GlobalLimiterParts) {
    this.#limit = limit;
    this.#scope = scope;
    this.#parts = parts;
  }

  async ask(request: HttpRequest, source: RequestSource): Promise<GlobalDecision> {
    return this.askKey(limitKeyOf(this.#limit.key, request, source));
  }

  async askKey(key: string): Promise<GlobalDecision> {
    const { clock } = this.#parts;
    const now = clock.monotonic();
    if (this.#asks >= MAX_ASKS) return this.#failed('asks');
    if (now < this.#awayUntil) return this.#failed('away');
    // the others wait until this one knows
    if (this.#awayUntil > 0) this.#awayUntil = now + AWAY_MS;
    this.#asks++;
    const answer = await this.#answer(key);
    this.#asks--;
    if (typeof answer === 'string') {
      this.#missed();
      return this.#failed(answer);
    }
    this.#misses = 0;
    this.#awayUntil = 0;
    return answer.allowed
      ? { allowed: true, by: 'store' }
      : { allowed: false, limit: 'global-rate-limit', retryAfterMs: answer.retryAfterMs };
  }

  #answer(key: string): Promise<StoreAnswer | 'timeout' | 'error'> {
    const { clock, store } = this.#parts;
    return new Promise((resolve) => {
      const timer = clock.timer(this.#limit.timeoutMs, () => resolve('timeout'));
      // a length first, so that no scope and key together look like another's
      store
        .take(`${this.#scope.length}:${this.#scope}:${key}`, this.#limit)
        .then(resolve, () => resolve('error'))
        .finally(() => timer.cancel());
    });
  }

  #missed(): void {
    if (++this.#misses < MISSES_BEFORE_AWAY) return;
    this.#misses = 0;
    this.#awayUntil = this.#parts.clock.monotonic() + AWAY_MS;
    this.#parts.store.reset();
  }

  #failed(failure: StoreFailure): GlobalDecision {
    this.#parts.count(failure);
    return this.#limit.onFailure === 'allow'
      ? { allowed: true, by: 'failure' }
      : { allowed: false, limit: 'global-rate-limit-unavailable', retryAfterMs: AWAY_MS };
  }
}
