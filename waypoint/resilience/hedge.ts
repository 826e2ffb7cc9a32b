// When a request is sent once more although the first has not failed: after a fixed time, or when it takes longer than
// most. The waypoint asks before each extra one, also the retry budget, which bounds them, and gives the first answer to
// the client. Invariant: only what may be done twice is sent twice.

import type { Hedging } from '../../mesh/traffic-policy.ts';
import { LatencyWindow } from './latency-window.ts';
import { isIdempotent } from './retry-policy.ts';

export type HedgeQuestion = {
  readonly method: string;
  readonly bodyReplayable: boolean;
  /** Extra ones sent so far. */
  readonly extra: number;
  readonly responseForwarded: boolean;
  /** undefined: no deadline. */
  readonly remainingMs: number | undefined;
};

export type HedgeDecision =
  /** Counted from the latest one that was sent. */
  | { readonly hedge: true; readonly afterMs: number }
  | { readonly hedge: false; readonly reason: NoHedge };

export type NoHedge =
  | 'response-forwarded'
  | 'not-idempotent'
  | 'body'
  | 'max-extra'
  /** Too few latencies are known to tell what is long. */
  | 'samples'
  | 'deadline';

const WINDOW = 1000;
// below it a percentile of the tail is a guess
const MIN_SAMPLES = 50;
// a sort of the window each time would cost more than it tells
const RECOUNT_EVERY = 50;

export class Hedger {
  #policy: Hedging;
  readonly #latencies = new LatencyWindow(WINDOW);
  #sinceCount = 0;
  #percentileMs: number | undefined;

  constructor(policy: Hedging) {
    this.#policy = policy;
  }

  update(policy: Hedging): void {
    this.#policy = policy;
    this.#count();
  }

  /** Of each try that was answered, hedged or not: else the slow ones would go unseen. */
  saw(latencyMs: number): void {
    this.#latencies.add(latencyMs);
    if (this.#percentileMs === undefined || ++this.#sinceCount >= RECOUNT_EVERY) this.#count();
  }

  decide(question: HedgeQuestion): HedgeDecision {
    if (question.responseForwarded) return { hedge: false, reason: 'response-forwarded' };
    if (!isIdempotent(question.method)) return { hedge: false, reason: 'not-idempotent' };
    if (!question.bodyReplayable) return { hedge: false, reason: 'body' };
    if (question.extra >= this.#policy.maxExtra) return { hedge: false, reason: 'max-extra' };
    const { after } = this.#policy;
    const afterMs = after.by === 'time' ? after.ms : this.#percentileMs;
    if (afterMs === undefined) return { hedge: false, reason: 'samples' };
    const { remainingMs } = question;
    if (remainingMs !== undefined && remainingMs <= afterMs) {
      return { hedge: false, reason: 'deadline' };
    }
    return { hedge: true, afterMs };
  }

  #count(): void {
    const { after } = this.#policy;
    this.#sinceCount = 0;
    this.#percentileMs =
      after.by === 'percentile' && this.#latencies.count >= MIN_SAMPLES
        ? this.#latencies.percentile(after.percentile)
        : undefined;
  }
}
