// How long to wait before the next try: exponential, bounded, jittered so that many clients do not come back at once.

export type BackoffSettings = {
  readonly initialMs: number;
  readonly maxMs: number;
  /** Growth a step; 2 without it. */
  readonly factor?: number;
  /** Share of the wait that is random, both ways; 0.2 without it. `full`: anything from `minMs` up to the wait. */
  readonly jitter?: number | 'full';
  /** No wait is shorter; 0 without it. */
  readonly minMs?: number;
};

export type Backoff = {
  /** The wait before the next try, in ms; grows with each call. */
  next(): number;
  /** After a success: start small again. */
  reset(): void;
};

export function backoff(settings: BackoffSettings, random: () => number = Math.random): Backoff {
  const { initialMs, maxMs, factor = 2, jitter = 0.2, minMs = 0 } = settings;
  let current = initialMs;
  return {
    next() {
      const wait = Math.min(current, maxMs);
      current = Math.min(current * factor, maxMs);
      const spread =
        jitter === 'full'
          ? minMs + random() * Math.max(0, wait - minMs)
          : wait * (1 + jitter * (2 * random() - 1));
      return Math.max(minMs, Math.min(maxMs, spread));
    },
    reset() {
      current = initialMs;
    },
  };
}
