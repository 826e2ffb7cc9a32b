// The counters behind the reference's istio_tcp_* metrics: one cell for each set of label values. Used by trail.ts. Which
// cells live on and which go is runtime/series.ts's; invariant: one with open connections is in use.

import { formatIdentity, type Identity } from '../mesh/identity.ts';
import type { DescribedWorkload } from '../mesh/workload.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Labels, Sample } from '../runtime/metrics.ts';
import { SeriesCells } from '../runtime/series.ts';
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
  readonly #cells: SeriesCells<Cell>;
  /** How many connections were counted without their labels. */
  #overflowed = 0;

  constructor(clock: Clock, idleMs: number) {
    const inUse = ({ open }: Cell): boolean => open > 0;
    this.#cells = new SeriesCells(clock, { maxCells: MAX_CELLS, idleMs, inUse });
  }

  get overflowed(): number {
    return this.#overflowed;
  }

  cell(facts: TrailFacts, flag: string): Cell {
    const values = labelValues(facts, flag);
    const cell = this.#cells.take(values.join('\u0000'), () => newCell(values));
    if (cell !== undefined) return cell;
    this.#overflowed++;
    const few = values.map((value, i) =>
      KEPT_ALWAYS.has(LABEL_NAMES[i] ?? '') ? value : TOO_MANY,
    );
    return this.#cells.takeAnyway(few.join('\u0000'), () => newCell(few));
  }

  *samples(read: (cell: Cell) => number): Iterable<Sample> {
    for (const cell of this.#cells.all()) {
      const value = read(cell);
      if (value > 0) yield { labels: cell.labels, value };
    }
  }
}

function newCell(values: readonly string[]): Cell {
  const labels = Object.fromEntries(LABEL_NAMES.map((name, i) => [name, values[i] ?? 'unknown']));
  const counts = { opened: 0, closed: 0, failed: 0, requestBytes: 0, responseBytes: 0, open: 0 };
  return { labels, ...counts, usedAt: 0 };
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
