// How values are spread over buckets, in plain numbers that a scrape reads. Used by the metrics of requests and routes.

/** Envoy's default buckets, which boards for Istio's metrics count on: milliseconds for times, and the same for bytes. */
export const BUCKETS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000,
  1_800_000, 3_600_000,
];

export class Distribution {
  /** One more than there are bounds: what is above all of them. */
  readonly counts = new Float64Array(BUCKETS.length + 1);
  sum = 0;

  add(value: number): void {
    // most values are small, and twenty comparisons are quicker than anything clever
    let bucket = 0;
    while (bucket < BUCKETS.length && value > (BUCKETS[bucket] ?? 0)) bucket++;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sum += value;
  }
}
