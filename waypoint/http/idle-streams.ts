// Requests in which nothing moves: found by one sweep over all that are open, so that neither a chunk nor a request costs a
// timer. Made by app.ts, told of each request by serve.ts. Invariant: nothing is cut before its limit, and at the latest
// one sweep after it.

import { HttpFailure } from '../../mesh/http-failures.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { RequestTrail } from '../telemetry/request-trail.ts';
import type { Exchange } from './exchange.ts';

/** Envoy's default. */
export const STREAM_IDLE_MS = 300_000;
/** A body whose length was said is no stream of messages: its client sends on, or has gone. */
export const BODY_IDLE_MS = 60_000;
/** Late by this is early enough. */
const SWEEP_MS = 5000;
/** Shorter limits are looked at this often in their time. */
const LOOKS = 10;

/** What is watched. */
export type Stillness = {
  /** Grows whenever something moves. */
  moved(): number;
  /** For how long nothing need move, as it is now; 0: for ever. */
  limitMs(limits: IdleLimits): number;
  idle(afterMs: number): void;
};

export type IdleLimits = {
  /** 0: none. */
  readonly streamMs: number;
  readonly bodyMs: number;
};

type Watched = { readonly stillness: Stillness; moved: number; since: number };

export class IdleStreams {
  readonly #clock: Clock;
  readonly #limits: IdleLimits;
  readonly #sweepMs: number;
  readonly #watched = new Set<Watched>();
  #sweep: Timer | undefined;

  constructor(parts: { readonly clock: Clock }, limits: Partial<IdleLimits> = {}) {
    this.#clock = parts.clock;
    this.#limits = { streamMs: STREAM_IDLE_MS, bodyMs: BODY_IDLE_MS, ...limits };
    const { streamMs, bodyMs } = this.#limits;
    const shortest = Math.min(streamMs === 0 ? bodyMs : streamMs, bodyMs);
    this.#sweepMs = Math.min(SWEEP_MS, Math.ceil(shortest / LOOKS));
  }

  /** Until it is disposed of. */
  watch(stillness: Stillness): Disposable {
    const since = this.#clock.monotonic();
    const watched: Watched = { stillness, moved: stillness.moved(), since };
    this.#watched.add(watched);
    this.#sweep ??= this.#clock.timer(this.#sweepMs, () => this.#look());
    return { [Symbol.dispose]: () => void this.#watched.delete(watched) };
  }

  close(): void {
    this.#watched.clear();
    this.#sweep?.cancel();
  }

  #look(): void {
    const now = this.#clock.monotonic();
    for (const watched of this.#watched) {
      const { stillness } = watched;
      const moved = stillness.moved();
      if (moved !== watched.moved) {
        watched.moved = moved;
        watched.since = now;
        continue;
      }
      const limitMs = stillness.limitMs(this.#limits);
      if (limitMs === 0 || now - watched.since < limitMs) continue;
      this.#watched.delete(watched);
      stillness.idle(limitMs);
    }
    // one that is empty costs nothing
    this.#sweep =
      this.#watched.size === 0 ? undefined : this.#clock.timer(this.#sweepMs, () => this.#look());
  }
}

/** Of a request and its answer: whose turn it is decides what is said of it. */
export function stillnessOf(exchange: Exchange, trail: RequestTrail): Stillness {
  const { body, hasBody, headers } = exchange;
  const sized = headers.some(([name]) => name === 'content-length');
  // read on, and yet it has not come
  const clientOwes = (): boolean => hasBody && !body.readableEnded && !body.isPaused();
  const { counts } = trail;
  return {
    moved: () => counts.bytesReceived + counts.bytesSent + (trail.isAnswered ? 1 : 0),
    limitMs: ({ streamMs, bodyMs }) => {
      if (!sized || !clientOwes()) return streamMs;
      return streamMs === 0 ? bodyMs : Math.min(streamMs, bodyMs);
    },
    idle: (afterMs) => {
      // told of already: what is left of the answer is not read
      if (trail.isEnded) {
        exchange.reset();
        return;
      }
      const [code, who] = clientOwes()
        ? (['REQUEST_INCOMPLETE', 'its client sends no more'] as const)
        : (['STREAM_IDLE', 'nothing moves'] as const);
      exchange.abort(new HttpFailure(code, `Gave a request up: ${who} for ${afterMs} ms`));
    },
  };
}
