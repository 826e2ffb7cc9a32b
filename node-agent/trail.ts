// The record of one connection, ended exactly once: one access-log line and the reference's istio_tcp_* metrics. Begun and
// ended by the three journeys; read by tests. Byte counts stay plain numbers until a scrape asks for them.

import { formatIpPort, type IpPort } from '../mesh/address.ts';
import type { Decision } from '../mesh/authorize.ts';
import { FAILURES, failureCodeOf, MeshError } from '../mesh/failures.ts';
import { formatIdentity, type Identity } from '../mesh/identity.ts';
import type { Service } from '../mesh/service.ts';
import type { Workload } from '../mesh/workload.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Labels, Metrics, Sample } from '../runtime/metrics.ts';
import type { SpliceCounts } from '../tunnel/splice.ts';
import type { Direction } from './connections.ts';
import { policyLabel } from './policy-record.ts';

/** What is known of a connection; the journey adds to it as it learns. */
export type TrailFacts = {
  readonly direction: Direction;
  readonly source: IpPort;
  readonly destination: IpPort;
  readonly sourceWorkload?: Workload | undefined;
  /** Proven by a certificate, never just looked up. */
  readonly sourceIdentity?: Identity | undefined;
  readonly destinationWorkload?: Workload | undefined;
  readonly destinationIdentity?: Identity | undefined;
  readonly service?: Service | undefined;
  /** The CONNECT authority, where there was a tunnel. */
  readonly authority?: string | undefined;
  /** What policy said, on the destination's side. */
  readonly decision?: Decision | undefined;
};

/** One set of label values; kept once however many connections share it. */
type Cell = {
  readonly labels: Labels;
  opened: number;
  closed: number;
  failed: number;
  requestBytes: number;
  responseBytes: number;
  open: number;
};

/** Labels name pairs of workloads, so this is thousands of them; beyond it the longest unused make room. */
const MAX_CELLS = 20_000;

const LABEL_NAMES = [
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

export class Trails {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #cells = new Map<string, Cell>();
  readonly #open = new Set<Trail>();
  #lastEnded = Promise.withResolvers<void>();

  constructor(parts: { readonly log: Log; readonly clock: Clock; readonly metrics: Metrics }) {
    this.#log = parts.log;
    this.#clock = parts.clock;
    const family = (name: string, help: string, read: (cell: Cell) => number): void => {
      parts.metrics.collectedCounter({ name: `istio_tcp_${name}`, help, labels: LABEL_NAMES }, () =>
        this.#samples(read),
      );
    };
    family('connections_opened_total', 'TCP connections opened', (cell) => cell.opened);
    family('connections_closed_total', 'TCP connections closed', (cell) => cell.closed);
    family('connections_failed_total', 'TCP connections that failed', (cell) => cell.failed);
    family('received_bytes_total', 'Request bytes', (cell) => cell.requestBytes);
    family('sent_bytes_total', 'Response bytes', (cell) => cell.responseBytes);
    parts.metrics.collectedGauge(
      { name: 'istio_tcp_sockets_open', help: 'Connections open now', labels: ['reporter'] },
      () => this.#openSamples(),
    );
  }

  begin(facts: TrailFacts): Trail {
    const trail = new Trail(this, facts, this.#clock.monotonic());
    this.#open.add(trail);
    return trail;
  }

  /** Resolves once no record is open: every connection has its line. */
  async allEnded(): Promise<void> {
    while (this.#open.size > 0) await this.#lastEnded.promise;
  }

  /** @internal For Trail only. */
  cell(facts: TrailFacts, flag: string): Cell {
    const values = labelValues(facts, flag);
    const key = values.join('\u0000');
    const known = this.#cells.get(key);
    if (known !== undefined) return known;
    if (this.#cells.size >= MAX_CELLS) this.#makeRoom();
    const labels = Object.fromEntries(LABEL_NAMES.map((name, i) => [name, values[i] ?? 'unknown']));
    const cell: Cell = {
      labels,
      opened: 0,
      closed: 0,
      failed: 0,
      requestBytes: 0,
      responseBytes: 0,
      open: 0,
    };
    this.#cells.set(key, cell);
    return cell;
  }

  /** @internal For Trail only. */
  ended(trail: Trail, error: MeshError | undefined): void {
    this.#open.delete(trail);
    const durationMs = Math.round(this.#clock.monotonic() - trail.beganAt);
    const fields = accessFields(trail, durationMs);
    if (error === undefined) this.#log.info('connection complete', fields);
    else {
      const line = { ...fields, error: error.message, flag: FAILURES[error.code].flag };
      this.#log.error('connection complete', line);
    }
    if (this.#open.size > 0) return;
    this.#lastEnded.resolve();
    this.#lastEnded = Promise.withResolvers();
  }

  /** @internal For Trail only. */
  established(trail: Trail): void {
    this.#log.debug('connection opened', accessFields(trail, 0));
  }

  #makeRoom(): void {
    for (const [key, cell] of this.#cells) {
      if (cell.open > 0) continue;
      this.#cells.delete(key);
      return;
    }
  }

  *#samples(read: (cell: Cell) => number): Iterable<Sample> {
    for (const trail of this.#open) trail.flush();
    for (const cell of this.#cells.values()) {
      const value = read(cell);
      if (value > 0) yield { labels: cell.labels, value };
    }
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

  constructor(trails: Trails, facts: TrailFacts, beganAt: number) {
    this.#trails = trails;
    this.#facts = facts;
    this.beganAt = beganAt;
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
    if (failure !== undefined) this.#trails.cell(this.#facts, FAILURES[failure.code].flag).failed++;
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

function reporterOf(facts: TrailFacts): 'source' | 'destination' {
  return facts.direction === 'outbound' ? 'source' : 'destination';
}

/** In the order of LABEL_NAMES. */
function labelValues(facts: TrailFacts, flag: string): string[] {
  const { service, sourceIdentity, destinationIdentity } = facts;
  const mutual = sourceIdentity !== undefined && destinationIdentity !== undefined;
  const known = (value: string | undefined): string =>
    value === undefined || value === '' ? 'unknown' : value;
  const side = (workload: Workload | undefined, identity: Identity | undefined): string[] => [
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

/** The reference's fields, in its order; what is not known is left out. */
function accessFields(trail: Trail, durationMs: number): Record<string, unknown> {
  const { facts, counts } = trail;
  const { sourceWorkload: from, destinationWorkload: to, service } = facts;
  // a byte's direction is as the reporting side sees it: what it sent is the request at the source, the response at the
  // destination
  const [sent, received] =
    facts.direction === 'outbound'
      ? [counts.sent, counts.received]
      : [counts.received, counts.sent];
  return {
    'src.addr': formatIpPort(facts.source),
    'src.workload': from?.name,
    'src.namespace': from?.namespace,
    'src.identity': facts.sourceIdentity && formatIdentity(facts.sourceIdentity),
    'src.cluster': from?.cluster,
    'dst.addr': formatIpPort(facts.destination),
    'dst.hbone_addr': facts.authority,
    'dst.service': service?.hostname,
    'dst.workload': to?.name,
    'dst.namespace': to?.namespace,
    'dst.identity': facts.destinationIdentity && formatIdentity(facts.destinationIdentity),
    'dst.cluster': to?.cluster,
    direction: facts.direction,
    bytes_sent: sent,
    bytes_recv: received,
    duration: `${durationMs}ms`,
    ...(facts.decision && {
      decision: facts.decision.basis,
      policy: policyLabel(facts.decision),
    }),
  };
}
