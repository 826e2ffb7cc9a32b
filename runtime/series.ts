// The cells behind metrics whose labels name workloads: one for each set of label values, found by a key. Used for
// connections by the node agent and for requests by waypoints. Invariants: a cell in use stays, so that its counters never
// fall while it lives; one that nobody used for long goes, so that workloads of the past are not told of for ever; and
// there is a bound to their number.

import type { Clock } from './clock.ts';

/** Fifteen scrapes a minute apart, whoever is late with some of them. */
export const SERIES_IDLE_MS = 15 * 60_000;
/** Making room costs a look at all of them: not for each new one. */
const ROOM_PART = 20;
/** Looking in vain for room is not done again sooner. */
const FULL_MS = 1000;

export type SeriesCell = {
  /** Monotonic milliseconds of its last use. */
  usedAt: number;
};

export type SeriesSettings<C extends SeriesCell> = {
  readonly maxCells: number;
  /** How long a cell nobody uses is still told of; several scrapes must fall into it. */
  readonly idleMs: number;
  /** What must not go, however long it was not used. */
  readonly inUse?: (cell: C) => boolean;
};

export class SeriesCells<C extends SeriesCell> {
  readonly #clock: Clock;
  readonly #settings: SeriesSettings<C>;
  readonly #cells = new Map<string, C>();
  /** Until then nobody looks for room again. */
  #fullUntil = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, settings: SeriesSettings<C>) {
    this.#clock = clock;
    this.#settings = settings;
  }

  /** The cell of a key, made when it is new; undefined when there is no room: the longest unused have gone before. */
  take(key: string, make: () => C): C | undefined {
    const known = this.#cells.get(key);
    if (known !== undefined) return this.#use(known);
    if (this.#cells.size >= this.#settings.maxCells && !this.#makeRoom()) return undefined;
    return this.#add(key, make());
  }

  /** The same without a bound: for the few keys that stand for all that found no room. */
  takeAnyway(key: string, make: () => C): C {
    const known = this.#cells.get(key);
    return known === undefined ? this.#add(key, make()) : this.#use(known);
  }

  /** All there are; the ones idle for too long go first. */
  *all(): Iterable<C> {
    const { idleMs } = this.#settings;
    const oldest = this.#clock.monotonic() - idleMs;
    for (const [key, cell] of this.#cells) {
      if (!this.#isInUse(cell) && cell.usedAt < oldest) this.#cells.delete(key);
      else yield cell;
    }
  }

  #add(key: string, cell: C): C {
    this.#cells.set(key, cell);
    return this.#use(cell);
  }

  #use(cell: C): C {
    cell.usedAt = this.#clock.monotonic();
    return cell;
  }

  #isInUse(cell: C): boolean {
    return this.#settings.inUse?.(cell) ?? false;
  }

  /** False when every one of them is in use. */
  #makeRoom(): boolean {
    const now = this.#clock.monotonic();
    if (now < this.#fullUntil) return false;
    const unused = [...this.#cells]
      .filter(([, cell]) => !this.#isInUse(cell))
      .toSorted(([, a], [, b]) => a.usedAt - b.usedAt);
    const room = Math.ceil(this.#settings.maxCells / ROOM_PART);
    for (const [key] of unused.slice(0, room)) this.#cells.delete(key);
    if (unused.length === 0) this.#fullUntil = now + FULL_MS;
    return unused.length > 0;
  }
}
