// Choices a route leaves to chance: which of its backends takes a request, and which requests are mirrored. Called by the
// waypoint for each request. Pure: randomness is passed in.

import type { Backend, RouteFilter } from './route.ts';

type Mirror = Extract<RouteFilter, { kind: 'mirror' }>;

/**
 * Each backend by its weight; one whose target is invalid takes its share, for requests to it have to fail. undefined:
 * there is none with a weight, and the request ends with 500.
 * @param random 0 <= random() < 1
 */
export function pickBackend(
  backends: readonly Backend[],
  random: () => number,
): Backend | undefined {
  const weighted = backends.filter(({ weight }) => weight > 0);
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0);
  let left = random() * total;
  for (const backend of weighted) {
    left -= backend.weight;
    if (left < 0) return backend;
  }
  // rounding of fractions may leave a hair behind the last
  return weighted.at(-1);
}

/** `numerator` of `denominator` requests; a denominator of 0 or less is none at all. */
export function isMirrored(
  { numerator, denominator }: Pick<Mirror, 'numerator' | 'denominator'>,
  random: () => number,
): boolean {
  return denominator > 0 && random() * denominator < numerator;
}
