// Lengths of time as `kubectl get` writes them: `47s`, `3m12s`, `5h`, `2d3h`; coarser as they grow.

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

/** Below `until`, whole `unit`s are shown, with the rest in `rest` units when there is one. */
const STEPS = [
  { until: 2 * MINUTE, unit: 1, letter: 's', rest: 0, restLetter: '' },
  { until: 10 * MINUTE, unit: MINUTE, letter: 'm', rest: 1, restLetter: 's' },
  { until: 3 * HOUR, unit: MINUTE, letter: 'm', rest: 0, restLetter: '' },
  { until: 8 * HOUR, unit: HOUR, letter: 'h', rest: MINUTE, restLetter: 'm' },
  { until: 2 * DAY, unit: HOUR, letter: 'h', rest: 0, restLetter: '' },
  { until: 8 * DAY, unit: DAY, letter: 'd', rest: HOUR, restLetter: 'h' },
  { until: 2 * YEAR, unit: DAY, letter: 'd', rest: 0, restLetter: '' },
  { until: 8 * YEAR, unit: YEAR, letter: 'y', rest: DAY, restLetter: 'd' },
  { until: Number.POSITIVE_INFINITY, unit: YEAR, letter: 'y', rest: 0, restLetter: '' },
] as const;

export function formatDuration(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  const step = STEPS.find(({ until }) => seconds < until) ?? STEPS[0];
  const whole = `${Math.floor(seconds / step.unit)}${step.letter}`;
  if (step.rest === 0) return whole;
  const rest = Math.floor((seconds % step.unit) / step.rest);
  return rest === 0 ? whole : `${whole}${rest}${step.restLetter}`;
}

/** The time since `timestamp` (RFC 3339), `<unknown>` when there is none. */
export function formatAge(timestamp: unknown, now: number): string {
  const at = typeof timestamp === 'string' ? Date.parse(timestamp) : Number.NaN;
  return Number.isNaN(at) ? '<unknown>' : formatDuration(now - at);
}
