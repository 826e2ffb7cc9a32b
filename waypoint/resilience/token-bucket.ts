// A bucket of tokens that fills with time: so many requests in a while, so many at once. Pure: the state is a value, the
// time is passed in. Used by local-rate-limit.ts.

export type BucketSize = {
  readonly requests: number;
  readonly perMs: number;
  readonly burst: number;
};

export type Bucket = { readonly tokens: number; readonly at: number };

export type Taken =
  | { readonly taken: true; readonly bucket: Bucket }
  /** How long until there is a token, if nobody else takes it. */
  | { readonly taken: false; readonly bucket: Bucket; readonly waitMs: number };

export function fullBucket({ burst }: BucketSize, now: number): Bucket {
  return { tokens: burst, at: now };
}

export function take(bucket: Bucket, size: BucketSize, now: number): Taken {
  const { tokens } = filled(bucket, size, now);
  // sums of fractions miss the whole by less than this
  if (tokens >= 1 - 1e-9)
    return { taken: true, bucket: { tokens: Math.max(0, tokens - 1), at: now } };
  const waitMs = ((1 - tokens) * size.perMs) / size.requests;
  return { taken: false, bucket: { tokens, at: now }, waitMs };
}

/** Nothing would be lost by forgetting it. */
export function isFull(bucket: Bucket, size: BucketSize, now: number): boolean {
  return filled(bucket, size, now).tokens >= size.burst;
}

function filled(
  { tokens, at }: Bucket,
  { requests, perMs, burst }: BucketSize,
  now: number,
): Bucket {
  const since = Math.max(0, now - at);
  return { tokens: Math.min(burst, tokens + (since * requests) / perMs), at: now };
}
