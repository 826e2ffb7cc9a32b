// A bound on how fast the controllers write, so that a loop gone wrong cannot drown the API server.

import type { Clock } from '../../runtime/clock.ts';

export class RateBound {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #burst: number;
  // when the bucket will be full again; writes push it on by one share each
  #fullAt: number;

  constructor(
    parts: { readonly clock: Clock },
    settings: { readonly perSecond: number; readonly burst: number },
  ) {
    this.#clock = parts.clock;
    this.#perSecond = settings.perSecond;
    this.#burst = settings.burst;
    this.#fullAt = parts.clock.monotonic();
  }

  /** Waits for its turn. */
  async take(signal: AbortSignal): Promise<void> {
    const now = this.#clock.monotonic();
    const share = 1000 / this.#perSecond;
    this.#fullAt = Math.max(this.#fullAt, now) + share;
    const wait = this.#fullAt - now - this.#burst * share;
    if (wait > 0) await this.#clock.sleep(wait, signal);
  }
}
