// The latencies seen lately, and their percentiles. Used by hedge.ts and adaptive-concurrency.ts. Invariant: a fixed number
// of samples; the newest takes the place of the oldest.

export class LatencyWindow {
  readonly #samples: Float64Array;
  #count = 0;
  #next = 0;

  constructor(size: number) {
    this.#samples = new Float64Array(size);
  }

  get count(): number {
    return this.#count;
  }

  add(ms: number): void {
    this.#samples[this.#next] = ms;
    this.#next = (this.#next + 1) % this.#samples.length;
    this.#count = Math.min(this.#count + 1, this.#samples.length);
  }

  /** The nearest rank; undefined without samples. */
  percentile(percent: number): number | undefined {
    if (this.#count === 0) return undefined;
    const sorted = this.#samples.slice(0, this.#count).sort();
    return sorted[Math.max(0, Math.ceil((percent / 100) * this.#count) - 1)];
  }

  clear(): void {
    this.#count = 0;
    this.#next = 0;
  }
}
