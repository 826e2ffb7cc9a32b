// The counters of captured DNS: the reference's istio_dns_* families and labels, and what the reference does not count.
// Written by answer.ts and the doors.

import type { Workload } from '../../mesh/workload.ts';
import type { Clock } from '../../runtime/clock.ts';
import { LabelCounts } from '../../runtime/label-counts.ts';
import type { Labels, Metrics } from '../../runtime/metrics.ts';
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
type Parts = { readonly metrics: Metrics; readonly clock: Clock };

/** Beyond the bound all are counted as one. */
const UNKNOWN = {
  beyond: (labels: Labels): Labels =>
    Object.fromEntries(Object.keys(labels).map((name) => [name, 'unknown'])),
};

export class DnsMetrics {
  readonly #requests: LabelCounts;
  readonly #upstreamRequests: LabelCounts;
  readonly #upstreamFailures: LabelCounts;
  readonly #failures: LabelCounts;
  readonly #malformed: LabelCounts;
  readonly #durations: { observe(value: number, labels?: Labels): void };

  constructor(parts: Parts, inFlight: () => number) {
    const { metrics } = parts;
    const counter = (name: string, help: string, labels: readonly string[]): LabelCounts => {
      const counts = new LabelCounts(parts, UNKNOWN);
      metrics.collectedCounter({ name, help, labels }, () => counts.samples());
      return counts;
    };
    this.#requests = counter('istio_dns_requests_total', 'DNS queries of pods', QUERY_LABELS);
    this.#upstreamRequests = counter(
      'istio_dns_upstream_requests_total',
      'DNS queries passed on to a name server',
      QUERY_LABELS,
    );
    this.#upstreamFailures = counter(
      'istio_dns_upstream_failures_total',
      'DNS queries that no name server answered',
      QUERY_LABELS,
    );
    this.#failures = counter(
      'ambit_dns_upstream_failures_total',
      'DNS queries that no name server answered, by reason',
      ['reason'],
    );
    this.#malformed = counter(
      'ambit_dns_malformed_total',
      'DNS messages of pods that were dropped or refused',
      ['reason'],
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
    this.#requests.inc(labelsOf(type, transport, client));
  }

  upstreamRequest(type: number, transport: Transport, client: Workload): void {
    this.#upstreamRequests.inc(labelsOf(type, transport, client));
  }

  upstreamFailure(
    reason: ForwardReason,
    type: number,
    transport: Transport,
    client: Workload,
  ): void {
    this.#upstreamFailures.inc(labelsOf(type, transport, client));
    this.#failures.inc({ reason });
  }

  upstreamDuration(seconds: number, type: number, transport: Transport, client: Workload): void {
    this.#durations.observe(seconds, labelsOf(type, transport, client));
  }

  /** A message that was no query we take, or a door that is full; `reason` is one of a few words of ours. */
  malformed(reason: string): void {
    this.#malformed.inc({ reason });
  }
}

/** Counts connections that needed an address looked up for them, by who connected and to what name. */
export function countLookups(
  parts: Parts,
): (hostname: string, client: Workload | undefined) => void {
  const counts = new LabelCounts(parts, UNKNOWN);
  parts.metrics.collectedCounter(
    {
      name: 'istio_on_demand_dns_total',
      help: 'Connections for which the name of an endpoint had to be looked up',
      labels: [...LOOKUP_LABELS, 'hostname'],
    },
    () => counts.samples(),
  );
  return (hostname, client) =>
    counts.inc({
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
