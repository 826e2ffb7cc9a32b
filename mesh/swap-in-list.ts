// One entry of a list in an index for another, where lists keep an order. Called by snapshot-draft.ts for each resource that
// changes. Invariant: the cost of one change is a copy of the list, never a sort of it: ten thousand routes of one service
// may come in a batch.

import type { Change } from './shared-map.ts';

/** Takes `out` from the list at `key` and puts `into` in, in order; an empty list is dropped. */
export function swap<V>(
  index: Change<readonly V[]>,
  key: string,
  out: V | undefined,
  into: V | undefined,
  order?: (a: V, b: V) => number,
): void {
  const list = [...(index.get(key) ?? [])];
  const gone = out === undefined ? -1 : list.indexOf(out);
  if (gone >= 0) list.splice(gone, 1);
  if (into !== undefined)
    list.splice(order === undefined ? list.length : placeOf(list, into, order), 0, into);
  if (list.length === 0) index.delete(key);
  else index.set(key, list);
}

/** Behind all that do not come after it. */
function placeOf<V>(list: readonly V[], into: V, order: (a: V, b: V) => number): number {
  let from = 0;
  let to = list.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    const one = list[middle];
    if (one !== undefined && order(one, into) <= 0) from = middle + 1;
    else to = middle;
  }
  return from;
}
