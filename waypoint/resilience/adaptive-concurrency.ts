// How many requests a service is sent at once, found by measuring: when answers take longer than they do without load, the
// limit shrinks, else it grows (a gradient controller, as Envoy's). The waypoint asks before each request and releases it
// with the latency. Invariant: minLimit <= limit <= maxLimit, and less important requests are refused first.

import type { LoadShedding, PriorityClass } from '../../mesh/traffic-policy.ts';
import type { Clock } from '../../runtime/clock.ts';
import { LatencyWindow } from './latency-window.ts';

export type ShedDecision =
  | { readonly admitted: true; readonly done: EndSample }
  | { readonly admitted: false; readonly limit: 'concurrency' };

/** `latencyMs`: until the response's head; undefined: it tells nothing about the service (refused, aborted by the client). */
export type EndSample = (latencyMs: number | undefined) => void;

// Envoy Gateway's proposed defaults, where the policy has no field for it.
const UPDATE_MS = 100;
const PERCENTILE = 50;
const MIN_RTT_REQUESTS = 50;
const MIN_RTT_JITTER = 0.15;
const BUFFER = 0.25;

// one turn of the controller doubles or halves at most
const MIN_GRADIENT = 0.5;
const MAX_GRADIENT = 2;
// of one turn; the newest count
const MAX_SAMPLES = 1000;
// so that a quiet service does not stay pinned to its least limit while it is measured
const MAX_MEASURE_MS = 5_000;

/** Share of the limit that a class may fill. */
const SHARES: Readonly<Record<PriorityClass, number>> = {
  critical: 1,
  default: 0.9,
  'best-effort': 0.5,
};

type Phase =
  /** The round trip without load is measured, with the least limit. */
  | { readonly kind: 'measuring'; readonly since: number }
  | { readonly kind: 'controlling'; readonly minRttMs: number; readonly measureAt: number };

export type ConcurrencyParts = {
  readonly clock: Pick<Clock, 'monotonic'>;
  /** 0 <= random() < 1. */
  readonly random: () => number;
};

export class AdaptiveConcurrency {
  #policy: LoadShedding;
  readonly #parts: ConcurrencyParts;
  readonly #samples = new LatencyWindow(MAX_SAMPLES);
  #active = 0;
  #limit: number;
  /** The limit to come back to after measuring. */
  #before: number;
  #phase: Phase;
  #turnAt: number;
  /** Which measuring it is: what was sent before it began was slowed by load. */
  #epoch = 0;

  constructor(policy: LoadShedding, parts: ConcurrencyParts) {
    this.#policy = policy;
    this.#parts = parts;
    const now = parts.clock.monotonic();
    this.#phase = { kind: 'measuring', since: now };
    this.#turnAt = now + UPDATE_MS;
    this.#limit = policy.minLimit;
    this.#before = policy.minLimit;
  }

  /** What was learnt stays, within the new bounds. */
  update(policy: LoadShedding): void {
    this.#policy = policy;
    this.#limit = this.#phase.kind === 'measuring' ? policy.minLimit : this.#bounded(this.#limit);
    this.#before = this.#bounded(this.#before);
  }

  ask(priority: PriorityClass): ShedDecision {
    this.#turn();
    // one in any case: a class without a place would never be measured
    const room = Math.max(1, Math.floor(this.#limit * SHARES[priority]));
    if (this.#active >= room) return { admitted: false, limit: 'concurrency' };
    this.#active++;
    const epoch = this.#epoch;
    let open = true;
    const done = (latencyMs: number | undefined): void => {
      if (!open) return;
      open = false;
      this.#active--;
      const counts = this.#phase.kind === 'controlling' || epoch === this.#epoch;
      if (latencyMs !== undefined && counts) this.#samples.add(latencyMs);
      this.#turn();
    };
    return { admitted: true, done };
  }

  /** For metrics. */
  state(): {
    readonly limit: number;
    readonly active: number;
    readonly minRttMs: number | undefined;
  } {
    const minRttMs = this.#phase.kind === 'controlling' ? this.#phase.minRttMs : undefined;
    return { limit: this.#limit, active: this.#active, minRttMs };
  }

  #turn(): void {
    const now = this.#parts.clock.monotonic();
    if (this.#phase.kind === 'measuring') {
      const { count } = this.#samples;
      const isLong = now - this.#phase.since >= MAX_MEASURE_MS && count > 0;
      if (count >= MIN_RTT_REQUESTS || isLong) this.#control(now);
      return;
    }
    if (now < this.#turnAt) return;
    this.#turnAt = now + UPDATE_MS;
    const sampleMs = this.#samples.percentile(PERCENTILE);
    this.#samples.clear();
    if (sampleMs !== undefined) this.#limit = this.#nextLimit(this.#phase.minRttMs, sampleMs);
    if (now >= this.#phase.measureAt) this.#measure(now);
  }

  #measure(now: number): void {
    this.#epoch++;
    this.#phase = { kind: 'measuring', since: now };
    this.#before = this.#limit;
    this.#limit = this.#policy.minLimit;
  }

  #control(now: number): void {
    const minRttMs = this.#samples.percentile(PERCENTILE) ?? 0;
    this.#samples.clear();
    // so that many waypoints do not squeeze one service at the same moment
    const jitter = 1 + MIN_RTT_JITTER * this.#parts.random();
    const measureAt = now + this.#policy.minRttWindowMs * jitter;
    this.#phase = { kind: 'controlling', minRttMs, measureAt };
    this.#limit = this.#before;
    this.#turnAt = now + UPDATE_MS;
  }

  #nextLimit(minRttMs: number, sampleMs: number): number {
    const gradient = sampleMs === 0 ? MAX_GRADIENT : (minRttMs * (1 + BUFFER)) / sampleMs;
    const scaled = this.#limit * Math.min(MAX_GRADIENT, Math.max(MIN_GRADIENT, gradient));
    // room to find out whether more would do
    return this.#bounded(scaled + Math.sqrt(scaled));
  }

  #bounded(limit: number): number {
    const { minLimit, maxLimit } = this.#policy;
    return Math.min(maxLimit, Math.max(minLimit, Math.round(limit)));
  }
}
