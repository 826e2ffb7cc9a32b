// A random draw by weight. Called by balance.ts and by the balancers of waypoints.

/** One of `items`, by its share of the weight; never `taken`, so that two draws are two items. */
export function drawWeighted<T>(
  items: readonly T[],
  weightOf: (item: T) => number,
  random: () => number,
  taken?: T,
): T | undefined {
  let total = 0;
  for (const item of items) if (item !== taken) total += weightOf(item);
  if (total <= 0) return undefined;
  let at = random() * total;
  let last: T | undefined;
  for (const item of items) {
    if (item === taken) continue;
    at -= weightOf(item);
    if (at < 0) return item;
    last = item;
  }
  return last;
}
