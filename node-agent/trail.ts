// The record of one connection, ended exactly once: one access-log line and the reference's istio_tcp_* metrics. Begun and
// ended by the three journeys; read by tests. Its span, where traces are collected, begins and ends with it. Byte counts stay plain numbers until a scrape asks for them.

import { FAILURES, failureCodeOf, MeshError } from '../mesh/failures.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics, Sample } from '../runtime/metrics.ts';
import { SERIES_IDLE_MS } from '../runtime/series.ts';
import type { Span, Tracer } from '../runtime/tracing/tracer.ts';
import type { SpliceCounts } from '../tunnel/splice.ts';
import { formatTraceparent } from '../wire/trace-context.ts';
import { AccessLog } from './access-log.ts';
import { beginSpan, describeConnection } from './connection-span.ts';
import { type Cell, LABEL_NAMES, TrafficSeries } from './traffic-series.ts';
import { reporterOf, type TrailFacts } from './trail-facts.ts';

export type { TrailFacts } from './trail-facts.ts';

export type TrailParts = {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Writes to `log` without it. */
  readonly access?: AccessLog;
  /** undefined: nobody collects traces. */
  readonly tracer?: Tracer | undefined;
};

export class Trails {
  readonly #access: AccessLog;
  readonly #clock: Clock;
  readonly #series: TrafficSeries;
  readonly #tracer: Tracer | undefined;
  readonly #open = new Set<Trail>();
  #lastEnded = Promise.withResolvers<void>();

  constructor(parts: TrailParts, settings: { readonly seriesIdleMs?: number } = {}) {
    const { clock, metrics } = parts;
    this.#access = parts.access ?? new AccessLog(parts);
    this.#clock = clock;
    this.#tracer = parts.tracer;
    this.#series = new TrafficSeries(clock, settings.seriesIdleMs ?? SERIES_IDLE_MS);
    const family = (name: string, help: string, read: (cell: Cell) => number): void => {
      metrics.collectedCounter({ name: `istio_tcp_${name}`, help, labels: LABEL_NAMES }, () => {
        for (const trail of this.#open) trail.flush();
        return this.#series.samples(read);
      });
    };
    family('connections_opened_total', 'TCP connections opened', (cell) => cell.opened);
    family('connections_closed_total', 'TCP connections closed', (cell) => cell.closed);
    family('connections_failed_total', 'TCP connections that failed', (cell) => cell.failed);
    family('received_bytes_total', 'Request bytes', (cell) => cell.requestBytes);
    family('sent_bytes_total', 'Response bytes', (cell) => cell.responseBytes);
    metrics.collectedGauge(
      { name: 'istio_tcp_sockets_open', help: 'Connections open now', labels: ['reporter'] },
      () => this.#openSamples(),
    );
    metrics.collectedCounter(
      {
        name: 'ambit_metric_series_overflow_total',
        help: 'Connections that were counted without labels: there were too many series',
      },
      () => [{ labels: {}, value: this.#series.overflowed }],
    );
  }

  /** `traceparent`: of the CONNECT that it came by. */
  begin(facts: TrailFacts, traceparent?: string): Trail {
    const span = this.#tracer && beginSpan(this.#tracer, facts.direction, traceparent);
    const trail = new Trail(this, facts, this.#clock.monotonic(), span);
    this.#open.add(trail);
    return trail;
  }

  /** Resolves once no record is open: every connection has its line. */
  async allEnded(): Promise<void> {
    while (this.#open.size > 0) await this.#lastEnded.promise;
  }

  /** @internal For Trail only. */
  cell(facts: TrailFacts, flag: string): Cell {
    return this.#series.cell(facts, flag);
  }

  /** @internal For Trail only. */
  ended(trail: Trail, error: MeshError | undefined): void {
    this.#open.delete(trail);
    this.#access.ended(trail, Math.round(this.#clock.monotonic() - trail.beganAt), error);
    if (this.#open.size > 0) return;
    this.#lastEnded.resolve();
    this.#lastEnded = Promise.withResolvers();
  }

  /** @internal For Trail only. */
  established(trail: Trail): void {
    this.#access.opened(trail);
  }

  /** @internal For Trail only. */
  now(): number {
    return this.#clock.monotonic();
  }

  *#openSamples(): Iterable<Sample> {
    const open = { source: 0, destination: 0 };
    for (const trail of this.#open) open[reporterOf(trail.facts)]++;
    for (const reporter of ['source', 'destination'] as const) {
      yield { labels: { reporter }, value: open[reporter] };
    }
  }
}

export class Trail {
  readonly #trails: Trails;
  readonly beganAt: number;
  /** Bytes so far; `sent` is the request's direction on both ends. */
  readonly counts: SpliceCounts = { sent: 0, received: 0 };
  #facts: TrailFacts;
  #cell: Cell | undefined;
  #flushed = { sent: 0, received: 0 };
  #ended = false;
  readonly #span: Span | undefined;

  constructor(trails: Trails, facts: TrailFacts, beganAt: number, span: Span | undefined) {
    this.#trails = trails;
    this.#facts = facts;
    this.beganAt = beganAt;
    this.#span = span;
  }

  /** What the next hop is told of its place in a trace; undefined: nobody collects. */
  get traceparent(): string | undefined {
    return this.#span && formatTraceparent(this.#span.context);
  }

  get facts(): TrailFacts {
    return this.#facts;
  }

  /** Adds what became known; nothing once it is established, for the labels are fixed then. */
  learn(facts: Partial<TrailFacts>): void {
    if (this.#cell === undefined) this.#facts = { ...this.#facts, ...facts };
  }

  /** Both ends are there: bytes may flow. */
  established(): void {
    this.#count();
    this.#trails.established(this);
  }

  /** The first call counts; a failure while closing comes later and changes nothing. */
  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    const failure = error === undefined ? undefined : asMeshError(error);
    const cell = this.#count();
    this.flush();
    cell.open--;
    cell.closed++;
    cell.usedAt = this.#trails.now();
    if (failure !== undefined) this.#trails.cell(this.#facts, FAILURES[failure.code].flag).failed++;
    this.#span?.end(() => describeConnection(this.#facts, this.counts, failure));
    this.#trails.ended(this, failure);
  }

  /** @internal Moves the bytes since the last time into the metrics. */
  flush(): void {
    const cell = this.#cell;
    if (cell === undefined) return;
    const { sent, received } = this.counts;
    cell.requestBytes += sent - this.#flushed.sent;
    cell.responseBytes += received - this.#flushed.received;
    this.#flushed = { sent, received };
  }

  #count(): Cell {
    if (this.#cell === undefined) {
      this.#cell = this.#trails.cell(this.#facts, '-');
      this.#cell.opened++;
      this.#cell.open++;
    }
    return this.#cell;
  }
}

function asMeshError(error: unknown): MeshError {
  if (error instanceof MeshError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new MeshError(failureCodeOf(error), message, { cause: error });
}
