// How many retries a service bears: a share of its requests, and a floor for services with few of them. Asked by the
// waypoint after retry-policy.ts has said that a try is worth repeating. Invariant: retries granted never exceed
// max(floor, percent of requests), so that they cannot multiply an outage.

import type { RetryBudgetPolicy } from '../../mesh/traffic-policy.ts';
import type { Clock } from '../../runtime/clock.ts';
import { once, type Release } from './release.ts';

// Linkerd's and the Gateway API's: long enough that a second without requests does not close the budget.
const WINDOW_SECONDS = 10;

export class RetryBudget {
  #policy: RetryBudgetPolicy;
  readonly #clock: Pick<Clock, 'monotonic'>;
  #requests = 0;
  #retries = 0;
  /** By second, in a ring; `#second` is the newest. */
  readonly #recentRequests = new Uint32Array(WINDOW_SECONDS);
  readonly #recentRetries = new Uint32Array(WINDOW_SECONDS);
  #second: number;

  constructor(policy: RetryBudgetPolicy, clock: Pick<Clock, 'monotonic'>) {
    this.#policy = policy;
    this.#clock = clock;
    this.#second = secondOf(clock);
  }

  /** What is under way and what was counted stay. */
  update(policy: RetryBudgetPolicy): void {
    this.#policy = policy;
  }

  /** A request began, however many tries it will take; release when it has ended. */
  request(): Release {
    const at = this.#slot();
    this.#recentRequests[at] = (this.#recentRequests[at] ?? 0) + 1;
    this.#requests++;
    return once(() => {
      this.#requests--;
    });
  }

  /** Room for one more retry, to be released when that try has ended; undefined: the budget is spent. */
  retry(): Release | undefined {
    const at = this.#slot();
    if (!this.#hasRoom()) return undefined;
    this.#recentRetries[at] = (this.#recentRetries[at] ?? 0) + 1;
    this.#retries++;
    return once(() => {
      this.#retries--;
    });
  }

  #hasRoom(): boolean {
    const { percent, floor } = this.#policy;
    if (floor.by === 'concurrency') {
      return this.#retries < Math.max(floor.minConcurrency, (percent / 100) * this.#requests);
    }
    const allowed =
      floor.minPerSecond * WINDOW_SECONDS + (percent / 100) * sum(this.#recentRequests);
    return sum(this.#recentRetries) + 1 <= allowed;
  }

  /** Where this second is counted; seconds that have left the window are emptied. */
  #slot(): number {
    const now = secondOf(this.#clock);
    const passed = Math.min(now - this.#second, WINDOW_SECONDS);
    for (let back = 0; back < passed; back++) {
      const at = (now - back) % WINDOW_SECONDS;
      this.#recentRequests[at] = 0;
      this.#recentRetries[at] = 0;
    }
    this.#second = now;
    return now % WINDOW_SECONDS;
  }
}

function secondOf(clock: Pick<Clock, 'monotonic'>): number {
  return Math.floor(clock.monotonic() / 1000);
}

function sum(counts: Uint32Array): number {
  return counts.reduce((total, count) => total + count, 0);
}
