// Counts by label values, in plain numbers that a scrape reads: for what runs once a connection or a query. Used by whoever
// has labels that come and go with pods and policies. Invariants: there is a bound to the number of series, and one that
// nobody added to for long goes, so that what has gone is not told of for ever.

import type { Clock } from './clock.ts';
import type { Labels, Sample } from './metrics.ts';

/** What one node has of services, policies and reasons is some hundred; beyond it something makes names up. */
export const MAX_SERIES = 2000;
/** Fifteen scrapes a minute apart, whoever is late with some of them. */
const IDLE_MS = 15 * 60_000;

type Cell = { readonly labels: Labels; value: number; usedAt: number };

export class LabelCounts {
  readonly #clock: Clock;
  /** The labels under which everything beyond the bound is counted. */
  readonly #beyond: (labels: Labels) => Labels;
  readonly #cells = new Map<string, Cell>();

  constructor(
    parts: { readonly clock: Clock },
    settings: { readonly beyond: (labels: Labels) => Labels },
  ) {
    this.#clock = parts.clock;
    this.#beyond = settings.beyond;
  }

  /** `labels` have the same names, in the same order, at every call. */
  inc(labels: Labels): void {
    const key = keyOf(labels);
    let cell = this.#cells.get(key);
    if (cell === undefined && this.#cells.size >= MAX_SERIES) {
      const beyond = this.#beyond(labels);
      cell = this.#cells.get(keyOf(beyond)) ?? this.#add(beyond);
    }
    cell ??= this.#add(labels);
    cell.value++;
    cell.usedAt = this.#clock.monotonic();
  }

  *samples(): Iterable<Sample> {
    const oldest = this.#clock.monotonic() - IDLE_MS;
    for (const [key, cell] of this.#cells) {
      if (cell.usedAt < oldest) this.#cells.delete(key);
      else yield cell;
    }
  }

  #add(labels: Labels): Cell {
    const cell = { labels, value: 0, usedAt: 0 };
    this.#cells.set(keyOf(labels), cell);
    return cell;
  }
}

function keyOf(labels: Labels): string {
  return Object.values(labels).join('\0');
}
