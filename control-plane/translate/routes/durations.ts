// Durations as the Gateway API writes them (GEP-2257): `1h30m`, `500ms`, `0s`. Called by rules.ts.

import { badValue } from './faults.ts';

const DURATION = /^([0-9]{1,5}(h|m|s|ms)){1,4}$/;
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** @throws RouteFault naming the field */
export function durationMs(text: string, field: string): number {
  if (!DURATION.test(text)) {
    badValue(`${field} "${text}" is not a duration: write it like 500ms, 10s or 1m30s`);
  }
  let total = 0;
  for (const [, count, unit = ''] of text.matchAll(/([0-9]+)(ms|h|m|s)/g)) {
    total += Number(count) * (UNIT_MS[unit] ?? 0);
  }
  return total;
}

/** undefined stays undefined; 0 says that there is no limit. */
export function optionalMs(text: string | undefined, field: string): number | undefined {
  return text === undefined ? undefined : durationMs(text, field);
}
