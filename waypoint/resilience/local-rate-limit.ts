// One local rate limit of one policy: a bucket for each key (caller, header value, address). Asked by the waypoint before
// a request is sent. Invariant: at most MAX_KEYS buckets, and nobody gains by making up keys: when there is no room for
// another, those that come share one bucket.

import { type HttpRequest, headerOf, type RequestSource } from '../../mesh/http-request.ts';
import { formatIdentity } from '../../mesh/identity.ts';
import type { LimitKey, LocalRateLimit } from '../../mesh/traffic-policy.ts';
import type { Clock } from '../../runtime/clock.ts';
import { type Bucket, fullBucket, isFull, take } from './token-bucket.ts';

export type RateDecision =
  | { readonly allowed: true }
  | {
      readonly allowed: false;
      /** `rate-limit-keys`: there are more keys than can be told apart, and together they are too many. */
      readonly limit: 'rate-limit' | 'rate-limit-keys';
      /** For `retry-after`. */
      readonly retryAfterMs: number;
    };

// some two megabytes a limit
const MAX_KEYS = 10_000;

export class LocalRateLimiter {
  readonly #limit: LocalRateLimit;
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #maxKeys: number;
  /** The longest unused first. */
  readonly #buckets = new Map<string, Bucket>();
  #shared: Bucket;

  constructor(limit: LocalRateLimit, clock: Pick<Clock, 'monotonic'>, maxKeys = MAX_KEYS) {
    this.#limit = limit;
    this.#clock = clock;
    this.#maxKeys = maxKeys;
    this.#shared = fullBucket(limit, clock.monotonic());
  }

  ask(request: HttpRequest, source: RequestSource): RateDecision {
    return this.askKey(limitKeyOf(this.#limit.key, request, source));
  }

  askKey(key: string): RateDecision {
    const now = this.#clock.monotonic();
    const known = this.#buckets.get(key);
    if (known === undefined && !this.#hasRoom(now)) {
      const answer = take(this.#shared, this.#limit, now);
      this.#shared = answer.bucket;
      return answer.taken
        ? { allowed: true }
        : { allowed: false, limit: 'rate-limit-keys', retryAfterMs: answer.waitMs };
    }
    const answer = take(known ?? fullBucket(this.#limit, now), this.#limit, now);
    this.#buckets.delete(key);
    this.#buckets.set(key, answer.bucket);
    return answer.taken
      ? { allowed: true }
      : { allowed: false, limit: 'rate-limit', retryAfterMs: answer.waitMs };
  }

  /** How many keys are told apart, for metrics. */
  get keys(): number {
    return this.#buckets.size;
  }

  /** Makes room by forgetting the longest unused key, if its bucket is full again. */
  #hasRoom(now: number): boolean {
    if (this.#buckets.size < this.#maxKeys) return true;
    for (const [key, bucket] of this.#buckets) {
      if (!isFull(bucket, this.#limit, now)) return false;
      this.#buckets.delete(key);
      return true;
    }
    return false;
  }
}

// longer values are told apart by their beginning only: keys are kept in memory
const MAX_KEY_CHARS = 256;

/** What the request is counted by; whoever lacks it is counted with all the others that do. */
export function limitKeyOf(key: LimitKey, request: HttpRequest, source: RequestSource): string {
  switch (key.by) {
    case 'route':
      return '';
    case 'identity':
      return source.identity === undefined ? '' : formatIdentity(source.identity);
    case 'header':
      return (headerOf(request, key.name) ?? '').slice(0, MAX_KEY_CHARS);
    case 'source-ip':
      return source.ip;
  }
}
