// The work queue of one controller: keys waiting to be reconciled, each at most once, never two workers on one key.
// A failed key comes back after its own growing wait. Used by runner.ts.

import { type Backoff, backoff } from '../../runtime/backoff.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';

// a conflict with a concurrent writer is normal and over in milliseconds; a real failure must not spin
const RETRY = { initialMs: 10, maxMs: 30_000 };

export class WorkQueue {
  readonly #clock: Clock;
  readonly #ready: string[] = [];
  readonly #queued = new Set<string>();
  readonly #running = new Set<string>();
  readonly #again = new Set<string>();
  readonly #delays = new Map<string, { readonly at: number; readonly timer: Timer }>();
  readonly #backoffs = new Map<string, Backoff>();
  #waiters: (() => void)[] = [];
  #closed = false;

  constructor(parts: { readonly clock: Clock }) {
    this.#clock = parts.clock;
  }

  add(key: string): void {
    if (this.#closed || this.#queued.has(key)) return;
    if (this.#running.has(key)) {
      this.#again.add(key);
      return;
    }
    this.#queued.add(key);
    this.#ready.push(key);
    this.#waiters.shift()?.();
  }

  /** The sooner of two waits for one key wins. */
  addAfter(key: string, ms: number): void {
    if (this.#closed) return;
    const at = this.#clock.monotonic() + ms;
    const waiting = this.#delays.get(key);
    if (waiting !== undefined && waiting.at <= at) return;
    waiting?.timer.cancel();
    const timer = this.#clock.timer(ms, () => {
      this.#delays.delete(key);
      this.add(key);
    });
    this.#delays.set(key, { at, timer });
  }

  /** After a failure: come back later, later each time. */
  retry(key: string): void {
    const waits = this.#backoffs.get(key) ?? backoff(RETRY);
    this.#backoffs.set(key, waits);
    this.addAfter(key, waits.next());
  }

  succeeded(key: string): void {
    this.#backoffs.delete(key);
  }

  /** The next key, which then is this worker's until done(key); undefined once the queue is closed. */
  async take(): Promise<string | undefined> {
    for (;;) {
      if (this.#closed) return undefined;
      const key = this.#ready.shift();
      if (key !== undefined) {
        this.#queued.delete(key);
        this.#running.add(key);
        return key;
      }
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  done(key: string): void {
    this.#running.delete(key);
    if (this.#again.delete(key)) this.add(key);
  }

  close(): void {
    this.#closed = true;
    for (const { timer } of this.#delays.values()) timer.cancel();
    this.#delays.clear();
    for (const wake of this.#waiters) wake();
    this.#waiters = [];
  }
}
