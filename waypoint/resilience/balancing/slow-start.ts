// The weight of an endpoint that has just come: little at first, its full one after a window, so that cold caches and
// compilers are not asked for more than they can. Invariant: it knows the time of coming of members only.

import type { SlowStart } from '../../../mesh/traffic-policy.ts';
import type { Clock } from '../../../runtime/clock.ts';

export class WarmUp {
  #policy: SlowStart | undefined;
  readonly #clock: Pick<Clock, 'monotonic'>;
  #since: ReadonlyMap<string, number> | undefined;

  constructor(policy: SlowStart | undefined, clock: Pick<Clock, 'monotonic'>) {
    this.#policy = policy;
    this.#clock = clock;
  }

  update(policy: SlowStart | undefined): void {
    this.#policy = policy;
  }

  /** Those that may take requests now: an endpoint that was unhealthy comes anew. The first are taken for warm. */
  setMembers(endpoints: Iterable<string>): void {
    const before = this.#since;
    const now = before === undefined ? -Infinity : this.#clock.monotonic();
    this.#since = new Map(
      [...endpoints].map((endpoint) => [endpoint, before?.get(endpoint) ?? now]),
    );
  }

  /** 0 < factor <= 1, as in Envoy: (age / window) ^ (1 / aggression), and never less than the least. */
  factor(endpoint: string): number {
    const since = this.#since?.get(endpoint);
    if (this.#policy === undefined || since === undefined) return 1;
    const { windowMs, minWeightPercent, aggression } = this.#policy;
    const age = this.#clock.monotonic() - since;
    if (age >= windowMs) return 1;
    // one millisecond at least: a weight of nothing would never be drawn
    return Math.max(minWeightPercent / 100, (Math.max(age, 1) / windowMs) ** (1 / aggression));
  }
}
