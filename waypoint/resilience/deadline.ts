// How much time a request has: of its route, and of its caller where that says so (gRPC's `grpc-timeout`). Made by the
// waypoint when the request comes, asked before each try, told to the upstream with what is left. Pure.
// Invariant: a hop only ever shortens the time it was given.

/** On the monotonic clock; undefined: no end. */
export type Deadline = { readonly at: number | undefined };

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};
// gRPC over HTTP/2: at most eight digits
const MAX_VALUE = 99_999_999;

/** undefined: that is no timeout of gRPC's, and says nothing. */
export function parseGrpcTimeout(text: string): number | undefined {
  const [, digits, unit = ''] = /^([0-9]{1,8})([HMSmun])$/.exec(text) ?? [];
  const unitMs = UNIT_MS[unit];
  return digits === undefined || unitMs === undefined ? undefined : Number(digits) * unitMs;
}

/** In the finest unit that has room, rounded down: the next hop shall not have more than is left. */
export function formatGrpcTimeout(ms: number): string {
  const left = Math.max(0, ms);
  for (const unit of ['u', 'm', 'S', 'M']) {
    const value = Math.floor(left / (UNIT_MS[unit] ?? 1));
    if (value <= MAX_VALUE) return `${value}${unit}`;
  }
  return `${Math.min(MAX_VALUE, Math.floor(left / 3_600_000))}H`;
}

/** `limitsMs`: of the route, of the policy, of the caller; the shortest holds. */
export function deadlineOf(now: number, ...limitsMs: readonly (number | undefined)[]): Deadline {
  const known = limitsMs.filter((limit) => limit !== undefined);
  return { at: known.length === 0 ? undefined : now + Math.min(...known) };
}

/** Never less than nothing; undefined: no end. */
export function remainingMs({ at }: Deadline, now: number): number | undefined {
  return at === undefined ? undefined : Math.max(0, at - now);
}
