// The counters behind the reference's istio_tcp_* metrics: one cell for each set of label values. Used by trail.ts.
// Invariants: a cell with open connections stays, so that its counters never fall while it lives; one that nobody used for
// long goes, so that workloads of the past are not told of for ever; and there is a bound to their number.

import { formatIdentity, type Identity } from '../mesh/identity.ts';
import type { DescribedWorkload } from '../mesh/workload.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Labels, Sample } from '../runtime/metrics.ts';
import { reporterOf, type TrailFacts } from './trail-facts.ts';

/** One set of label values; kept once however many connections share it. */
export type Cell = {
  readonly labels: Labels;
  opened: number;
  closed: number;
  failed: number;
  requestBytes: number;
  responseBytes: number;
  open: number;
  /** Monotonic milliseconds of the last beginning or end. */
  usedAt: number;
};

/** Labels name pairs of workloads, so this is thousands of them; beyond it the longest unused make room. */
const MAX_CELLS = 20_000;
/** Making room costs a look at all of them: not for each new one. */
const ROOM = MAX_CELLS / 20;
/** Looking in vain for room is not done again sooner. */
const FULL_MS = 1000;
/** In place of every label but who reports and how it went, when even that does not help. */
const TOO_MANY = 'too-many';

export const LABEL_NAMES = [
  'reporter',
  'source_workload',
  'source_canonical_service',
  'source_canonical_revision',
  'source_workload_namespace',
  'source_principal',
  'source_app',
  'source_version',
  'source_cluster',
  'source_region',
  'source_zone',
  'destination_service',
  'destination_service_namespace',
  'destination_service_name',
  'destination_workload',
  'destination_canonical_service',
  'destination_canonical_revision',
  'destination_workload_namespace',
  'destination_principal',
  'destination_app',
  'destination_version',
  'destination_cluster',
  'destination_region',
  'destination_zone',
  'request_protocol',
  'response_flags',
  'connection_security_policy',
] as const;
const KEPT_ALWAYS: ReadonlySet<string> = new Set([
  'reporter',
  'request_protocol',
  'response_flags',
]);

export class TrafficSeries {
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #cells = new Map<string, Cell>();
  /** Until then nobody looks for room again. */
  #fullUntil = Number.NEGATIVE_INFINITY;
  /** How many connections were counted without their labels. */
  #overflowed = 0;

  /** `idleMs`: how long a cell nobody uses is still told of; several scrapes must fall into it. */
  constructor(clock: Clock, idleMs: number) {
    this.#clock = clock;
    this.#idleMs = idleMs;
  }

  get overflowed(): number {
    return this.#overflowed;
  }

  cell(facts: TrailFacts, flag: string): Cell {
    let values = labelValues(facts, flag);
    let key = values.join('\u0000');
    let known = this.#cells.get(key);
    if (known === undefined && this.#cells.size >= MAX_CELLS && !this.#makeRoom()) {
      this.#overflowed++;
      values = values.map((value, i) => (KEPT_ALWAYS.has(LABEL_NAMES[i] ?? '') ? value : TOO_MANY));
      key = values.join('\u0000');
      known = this.#cells.get(key);
    }
    const cell = known ?? this.#add(key, values);
    cell.usedAt = this.#clock.monotonic();
    return cell;
  }

  *samples(read: (cell: Cell) => number): Iterable<Sample> {
    this.#forgetIdle();
    for (const cell of this.#cells.values()) {
      const value = read(cell);
      if (value > 0) yield { labels: cell.labels, value };
    }
  }

  #add(key: string, values: readonly string[]): Cell {
    const labels = Object.fromEntries(LABEL_NAMES.map((name, i) => [name, values[i] ?? 'unknown']));
    const counts = { opened: 0, closed: 0, failed: 0, requestBytes: 0, responseBytes: 0, open: 0 };
    const cell = { labels, ...counts, usedAt: 0 };
    this.#cells.set(key, cell);
    return cell;
  }

  #forgetIdle(): void {
    const oldest = this.#clock.monotonic() - this.#idleMs;
    for (const [key, { open, usedAt }] of this.#cells) {
      if (open === 0 && usedAt < oldest) this.#cells.delete(key);
    }
  }

  /** False when every one of them has an open connection. */
  #makeRoom(): boolean {
    const now = this.#clock.monotonic();
    if (now < this.#fullUntil) return false;
    const unused = [...this.#cells]
      .filter(([, { open }]) => open === 0)
      .toSorted(([, a], [, b]) => a.usedAt - b.usedAt);
    for (const [key] of unused.slice(0, ROOM)) this.#cells.delete(key);
    if (unused.length === 0) this.#fullUntil = now + FULL_MS;
    return unused.length > 0;
  }
}

/** In the order of LABEL_NAMES. */
function labelValues(facts: TrailFacts, flag: string): string[] {
  const { service, sourceIdentity, destinationIdentity } = facts;
  const mutual = sourceIdentity !== undefined && destinationIdentity !== undefined;
  const known = (value: string | undefined): string =>
    value === undefined || value === '' ? 'unknown' : value;
  const side = (
    workload: DescribedWorkload | undefined,
    identity: Identity | undefined,
  ): string[] => [
    known(workload?.workloadName),
    known(workload?.canonicalName),
    known(workload?.canonicalRevision),
    known(workload?.namespace),
    identity === undefined ? 'unknown' : formatIdentity(identity),
    known(workload?.canonicalName),
    known(workload?.canonicalRevision),
    known(workload?.cluster),
    known(workload?.locality.region),
    known(workload?.locality.zone),
  ];
  return [
    reporterOf(facts),
    ...side(facts.sourceWorkload, sourceIdentity),
    known(service?.hostname),
    known(service?.namespace),
    known(service?.name),
    ...side(facts.destinationWorkload, destinationIdentity),
    'tcp',
    flag,
    mutual ? 'mutual_tls' : 'unknown',
  ];
}
