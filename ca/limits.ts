// How much one caller may ask for: so many requests of an address at once before anybody knows who calls, and so many
// certificates over time once that is known. Called by answer.ts. Invariant: what is remembered is bounded, however many
// callers there are.

import type { Clock } from '../runtime/clock.ts';

/** An agent asks for eight at once; a cluster that hides its nodes behind one address still gets eight of them in. */
const MAX_PER_ADDRESS = 64;
/** The pods of the largest node (Kubernetes goes to some 500) may come at once, as when an agent restarts. */
const BURST = 512;
/** 500 identities renewed twice a day are one in 80 s; this is what a rotation asks for within a minute. */
const PER_SECOND = 10;
/** Agents of the largest cluster (5000 nodes), twice. */
const MAX_CALLERS = 10_000;

type Bucket = { tokens: number; at: number };

export class Limits {
  readonly #clock: Clock;
  readonly #inFlight = new Map<string, number>();
  /** In the order of last use: the first is forgotten when there are too many. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(parts: { readonly clock: Clock }) {
    this.#clock = parts.clock;
  }

  /** Undefined when that address has too many under way; else what to call when this one has ended. */
  enter(address: string): (() => void) | undefined {
    const present = this.#inFlight.get(address) ?? 0;
    if (present >= MAX_PER_ADDRESS) return undefined;
    this.#inFlight.set(address, present + 1);
    return () => {
      const left = (this.#inFlight.get(address) ?? 1) - 1;
      if (left === 0) this.#inFlight.delete(address);
      else this.#inFlight.set(address, left);
    };
  }

  /** Whether that caller may have one more now. */
  take(caller: string): boolean {
    const at = this.#clock.monotonic();
    const bucket = this.#buckets.get(caller) ?? { tokens: BURST, at };
    this.#buckets.delete(caller);
    this.#buckets.set(caller, bucket);
    bucket.tokens = Math.min(BURST, bucket.tokens + ((at - bucket.at) / 1000) * PER_SECOND);
    bucket.at = at;
    if (this.#buckets.size > MAX_CALLERS) {
      const [oldest = ''] = this.#buckets.keys();
      this.#buckets.delete(oldest);
    }
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  get callers(): number {
    return this.#buckets.size;
  }
}
