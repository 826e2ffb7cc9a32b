// A Clock that stands still until a test moves it. Used by tests of everything that takes a Clock.

import type { Clock, Timer } from './clock.ts';

type Waiting = { readonly at: number; readonly order: number; readonly run: () => void };

export class ManualClock implements Clock {
  #now: number;
  /** How far the wall clock was set off the time that passed. */
  #skew = 0;
  #order = 0;
  readonly #start: number;
  #waiting: Waiting[] = [];

  constructor(startMs = 1_700_000_000_000) {
    this.#now = startMs;
    this.#start = startMs;
  }

  now(): number {
    return this.#now + this.#skew;
  }

  monotonic(): number {
    return this.#now - this.#start;
  }

  /** Somebody sets the machine's clock: no time passes, and no timer comes due by it. */
  jump(ms: number): void {
    this.#skew += ms;
  }

  /** How many sleeps and timers have not come due. */
  pending(): number {
    return this.#waiting.length;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const timer = this.timer(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      const onAbort = (): void => {
        timer.cancel();
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  timer(ms: number, run: () => void): Timer {
    const waiting: Waiting = { at: this.#now + ms, order: this.#order++, run };
    this.#waiting.push(waiting);
    return {
      cancel: () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
      },
    };
  }

  /** Moves time on, running what comes due in its order; lets promises settle after each. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      const due = this.#waiting
        .filter((waiting) => waiting.at <= end)
        .sort((a, b) => a.at - b.at || a.order - b.order)[0];
      if (due === undefined) break;
      this.#waiting = this.#waiting.filter((other) => other !== due);
      this.#now = Math.max(this.#now, due.at);
      due.run();
    }
    this.#now = end;
    await settle();
  }
}

/** A turn of the event loop: every promise reaction queued so far has run. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
