// Tables that are dear to make, kept for the sets of candidates they were made of. Used by ring-hash.ts and maglev.ts.
// Invariant: at most MAX_TABLES; a table depends on its candidates' uids and weights alone, in no order, so that every
// waypoint has the same.

import type { Endpoint } from '../../../mesh/balance.ts';

export type Member = { readonly uid: string; readonly weight: number };

// nearest group, both address families, and what was so before the last change
const MAX_TABLES = 4;

type Kept<T> = { readonly asked: readonly Member[]; readonly table: T };

export class TableCache<T> {
  readonly #make: (members: readonly Member[]) => T;
  /** The latest used first. */
  #kept: Kept<T>[] = [];

  constructor(make: (members: readonly Member[]) => T) {
    this.#make = make;
  }

  for(candidates: readonly Endpoint[]): T {
    const at = this.#kept.findIndex(({ asked }) => isOf(asked, candidates));
    const found = this.#kept[at];
    if (at === 0 && found !== undefined) return found.table;
    if (found !== undefined) this.#kept.splice(at, 1);
    const used = found ?? this.#made(candidates);
    this.#kept = [used, ...this.#kept.slice(0, MAX_TABLES - 1)];
    return used.table;
  }

  #made(candidates: readonly Endpoint[]): Kept<T> {
    const asked = candidates.map(({ workload }) => ({
      uid: workload.uid,
      weight: workload.capacity,
    }));
    const usable = asked.filter(({ weight }) => weight > 0);
    return { asked, table: this.#make(usable.toSorted((a, b) => (a.uid < b.uid ? -1 : 1))) };
  }
}

function isOf(members: readonly Member[], candidates: readonly Endpoint[]): boolean {
  return (
    members.length === candidates.length &&
    candidates.every(
      ({ workload }, index) =>
        members[index]?.uid === workload.uid && members[index]?.weight === workload.capacity,
    )
  );
}
