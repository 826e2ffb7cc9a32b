// The cells behind istio_requests_total and its kin: one for each set of label values, found by one key a request. Used by
// request-metrics.ts. Invariant: the texts of workloads, identities and services are made once an object, not once a
// request.

import { GRPC } from '../../mesh/http-failures.ts';
import { formatIdentity, type Identity } from '../../mesh/identity.ts';
import type { Service } from '../../mesh/service.ts';
import type { DescribedWorkload } from '../../mesh/workload.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Labels } from '../../runtime/metrics.ts';
import { SeriesCells } from '../../runtime/series.ts';
import { Distribution } from './distribution.ts';
import type { EndedRequest } from './request-facts.ts';

export type RequestCell = {
  readonly labels: Labels;
  requests: number;
  requestMessages: number;
  responseMessages: number;
  readonly duration: Distribution;
  readonly requestBytes: Distribution;
  readonly responseBytes: Distribution;
  usedAt: number;
};

/**
 * A cell is sixty-odd lines of a scrape: this many are what a scraper still takes. Beyond it the longest unused make room:
 * pairs of workloads times codes are hundreds where a waypoint is for one namespace.
 */
export const MAX_REQUEST_CELLS = 2000;
/** In place of every label that names somebody, when even that does not help. */
const TOO_MANY = 'too-many';
const LAST_GRPC_STATUS = GRPC.UNAUTHENTICATED;
const UNKNOWN = 'unknown';
const SEPARATOR = '\u0000';

const WORKLOAD_LABELS = [
  'workload',
  'canonical_service',
  'canonical_revision',
  'workload_namespace',
  'app',
  'version',
  'cluster',
] as const;
const SERVICE_LABELS = [
  'destination_service',
  'destination_service_namespace',
  'destination_service_name',
] as const;
const OUTCOME_LABELS = [
  'request_protocol',
  'response_code',
  'grpc_response_status',
  'response_flags',
  'connection_security_policy',
] as const;

export const REQUEST_LABELS: readonly string[] = [
  'reporter',
  ...WORKLOAD_LABELS.map((name) => `source_${name}`),
  'source_principal',
  ...SERVICE_LABELS,
  ...WORKLOAD_LABELS.map((name) => `destination_${name}`),
  'destination_principal',
  ...OUTCOME_LABELS,
];

const UNKNOWN_WORKLOAD = Array(WORKLOAD_LABELS.length).fill(UNKNOWN).join(SEPARATOR);
const UNKNOWN_SERVICE = Array(SERVICE_LABELS.length).fill(UNKNOWN).join(SEPARATOR);

export class RequestSeries {
  readonly #cells: SeriesCells<RequestCell>;
  readonly #workloads = new WeakMap<DescribedWorkload, string>();
  readonly #services = new WeakMap<Service, string>();
  readonly #identities = new WeakMap<Identity, string>();
  /** How many requests were counted without saying whose they were. */
  #overflowed = 0;

  constructor(clock: Clock, idleMs: number) {
    this.#cells = new SeriesCells(clock, { maxCells: MAX_REQUEST_CELLS, idleMs });
  }

  get overflowed(): number {
    return this.#overflowed;
  }

  all(): Iterable<RequestCell> {
    return this.#cells.all();
  }

  cell(request: EndedRequest): RequestCell {
    const { facts } = request;
    // the key is the values of REQUEST_LABELS in their order: a new cell's labels are read from it
    const key =
      `waypoint\u0000${this.#workload(facts.sourceWorkload)}\u0000${this.#identity(facts.sourceIdentity)}` +
      `\u0000${this.#service(facts.service)}\u0000${this.#workload(facts.destinationWorkload)}` +
      `\u0000${this.#identity(facts.destinationIdentity)}\u0000${outcomeOf(request)}`;
    const cell = this.#cells.take(key, () => newCell(key));
    if (cell !== undefined) return cell;
    this.#overflowed++;
    const few = anonymous(outcomeOf(request));
    return this.#cells.takeAnyway(few, () => newCell(few));
  }

  #workload(workload: DescribedWorkload | undefined): string {
    if (workload === undefined) return UNKNOWN_WORKLOAD;
    return remembered(this.#workloads, workload, workloadText);
  }

  #service(service: Service | undefined): string {
    if (service === undefined) return UNKNOWN_SERVICE;
    return remembered(this.#services, service, serviceText);
  }

  #identity(identity: Identity | undefined): string {
    if (identity === undefined) return UNKNOWN;
    return remembered(this.#identities, identity, formatIdentity);
  }
}

function remembered<K extends WeakKey>(
  texts: WeakMap<K, string>,
  key: K,
  make: (key: K) => string,
): string {
  const known = texts.get(key);
  if (known !== undefined) return known;
  const made = make(key);
  texts.set(key, made);
  return made;
}

function workloadText(workload: DescribedWorkload): string {
  const { workloadName, canonicalName, canonicalRevision, namespace, cluster } = workload;
  return joined([
    workloadName,
    canonicalName,
    canonicalRevision,
    namespace,
    canonicalName,
    canonicalRevision,
    cluster,
  ]);
}

function serviceText({ hostname, namespace, name }: Service): string {
  return joined([hostname, namespace, name]);
}

/** A name with the separator in it is nobody's we know. */
function joined(values: readonly string[]): string {
  return values
    .map((value) => (value === '' || value.includes(SEPARATOR) ? UNKNOWN : value))
    .join(SEPARATOR);
}

function outcomeOf({ facts, status, grpcStatus, flags }: EndedRequest): string {
  const protocol = facts.protocol === 'grpc' ? 'grpc' : 'http';
  const security = facts.sourceIdentity === undefined ? UNKNOWN : 'mutual_tls';
  return `${protocol}\u0000${status}\u0000${grpcLabel(grpcStatus)}\u0000${flags}\u0000${security}`;
}

/** An upstream may answer any number: what is none of gRPC's is UNKNOWN there too. */
function grpcLabel(status: number | undefined): string {
  if (status === undefined) return '';
  return Number.isInteger(status) && status >= 0 && status <= LAST_GRPC_STATUS
    ? String(status)
    : String(GRPC.UNKNOWN);
}

function anonymous(outcome: string): string {
  const named = REQUEST_LABELS.length - OUTCOME_LABELS.length - 1;
  return ['waypoint', ...Array<string>(named).fill(TOO_MANY), outcome].join(SEPARATOR);
}

function newCell(key: string): RequestCell {
  const values = key.split(SEPARATOR);
  const labels = Object.fromEntries(REQUEST_LABELS.map((name, i) => [name, values[i] ?? UNKNOWN]));
  return {
    labels,
    requests: 0,
    requestMessages: 0,
    responseMessages: 0,
    duration: new Distribution(),
    requestBytes: new Distribution(),
    responseBytes: new Distribution(),
    usedAt: 0,
  };
}
