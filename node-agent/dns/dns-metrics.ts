// The counters of captured DNS: the reference's istio_dns_* families and labels, and what the reference does not count.
// Written by answer.ts and the doors. Counted in plain numbers; a scrape reads them.

import type { Workload } from '../../mesh/workload.ts';
import type { Labels, Metrics, Sample } from '../../runtime/metrics.ts';
import type { ForwardReason } from './forwarder.ts';
import type { Transport } from './upstream.ts';

/** Types that have a label of their own; a client could else make as many series as there are numbers. */
const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'A'],
  [2, 'NS'],
  [5, 'CNAME'],
  [6, 'SOA'],
  [12, 'PTR'],
  [15, 'MX'],
  [16, 'TXT'],
  [28, 'AAAA'],
  [33, 'SRV'],
  [35, 'NAPTR'],
  [64, 'SVCB'],
  [65, 'HTTPS'],
  [255, 'ANY'],
]);
const QUERY_LABELS = [
  'request_query_type',
  'request_protocol',
  'source_canonical_service',
  'source_canonical_revision',
];
/** The reference's, in seconds. */
const DURATION_BUCKETS = [0.0005, 0.001, 0.01, 0.1, 1, 5];
/** Canonical services of one node's pods, times types: far below it. Beyond it, all new ones count as one. */
const MAX_SERIES = 2000;

type Cell = { readonly labels: Labels; value: number };
/** No labels join to this. */
const REST = '';

class Counts {
  readonly #cells = new Map<string, Cell>();

  add(labels: Labels): void {
    const key = Object.values(labels).join('\0');
    const cell = this.#cells.get(key) ?? this.#make(key, labels);
    cell.value++;
  }

  #make(key: string, labels: Labels): Cell {
    if (this.#cells.size >= MAX_SERIES) {
      const unknown = Object.fromEntries(Object.keys(labels).map((name) => [name, 'unknown']));
      const rest = this.#cells.get(REST) ?? { labels: unknown, value: 0 };
      this.#cells.set(REST, rest);
      return rest;
    }
    const cell = { labels, value: 0 };
    this.#cells.set(key, cell);
    return cell;
  }

  samples(): Iterable<Sample> {
    return this.#cells.values();
  }
}

export class DnsMetrics {
  readonly #requests = new Counts();
  readonly #upstreamRequests = new Counts();
  readonly #upstreamFailures = new Counts();
  readonly #failures = new Counts();
  readonly #malformed = new Counts();
  readonly #durations: { observe(value: number, labels?: Labels): void };

  constructor(metrics: Metrics, inFlight: () => number) {
    const counter = (name: string, help: string, labels: readonly string[], counts: Counts): void =>
      metrics.collectedCounter({ name, help, labels }, () => counts.samples());
    counter('istio_dns_requests_total', 'DNS queries of pods', QUERY_LABELS, this.#requests);
    counter(
      'istio_dns_upstream_requests_total',
      'DNS queries passed on to a name server',
      QUERY_LABELS,
      this.#upstreamRequests,
    );
    counter(
      'istio_dns_upstream_failures_total',
      'DNS queries that no name server answered',
      QUERY_LABELS,
      this.#upstreamFailures,
    );
    counter(
      'ambit_dns_upstream_failures_total',
      'DNS queries that no name server answered, by reason',
      ['reason'],
      this.#failures,
    );
    counter(
      'ambit_dns_malformed_total',
      'DNS messages of pods that were dropped or refused',
      ['reason'],
      this.#malformed,
    );
    this.#durations = metrics.histogram({
      name: 'istio_dns_upstream_request_duration_seconds',
      help: 'How long name servers took',
      labels: QUERY_LABELS,
      buckets: DURATION_BUCKETS,
    });
    metrics.collectedGauge(
      { name: 'ambit_dns_upstream_in_flight', help: 'DNS queries waiting for a name server' },
      () => [{ labels: {}, value: inFlight() }],
    );
  }

  request(type: number, transport: Transport, client: Workload | undefined): void {
    this.#requests.add(labelsOf(type, transport, client));
  }

  upstreamRequest(type: number, transport: Transport, client: Workload): void {
    this.#upstreamRequests.add(labelsOf(type, transport, client));
  }

  upstreamFailure(
    reason: ForwardReason,
    type: number,
    transport: Transport,
    client: Workload,
  ): void {
    this.#upstreamFailures.add(labelsOf(type, transport, client));
    this.#failures.add({ reason });
  }

  upstreamDuration(seconds: number, type: number, transport: Transport, client: Workload): void {
    this.#durations.observe(seconds, labelsOf(type, transport, client));
  }

  /** A message that was no query we take, or a door that is full; `reason` is one of a few words of ours. */
  malformed(reason: string): void {
    this.#malformed.add({ reason });
  }
}

/** Counts connections that needed an address looked up for them, by who connected and to what name. */
export function countLookups(
  metrics: Metrics,
): (hostname: string, client: Workload | undefined) => void {
  const counts = new Counts();
  metrics.collectedCounter(
    {
      name: 'istio_on_demand_dns_total',
      help: 'Connections for which the name of an endpoint had to be looked up',
      labels: [...LOOKUP_LABELS, 'hostname'],
    },
    () => counts.samples(),
  );
  return (hostname, client) =>
    counts.add({
      source_workload: client?.workloadName ?? 'unknown',
      source_workload_namespace: client?.namespace ?? 'unknown',
      source_canonical_service: client?.canonicalName ?? 'unknown',
      source_canonical_revision: client?.canonicalRevision ?? 'unknown',
      hostname,
    });
}

const LOOKUP_LABELS = [
  'source_workload',
  'source_workload_namespace',
  'source_canonical_service',
  'source_canonical_revision',
];

function labelsOf(type: number, transport: Transport, client: Workload | undefined): Labels {
  return {
    request_query_type: TYPE_NAMES.get(type) ?? 'other',
    request_protocol: transport,
    source_canonical_service: client?.canonicalName ?? 'unknown',
    source_canonical_revision: client?.canonicalRevision ?? 'unknown',
  };
}
