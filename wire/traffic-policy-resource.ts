// The TrafficPolicy resource: JSON, since nobody else has a message for it. Called by the two ends of discovery. Read
// strictly: a policy that is understood by half would limit or repeat what its author did not mean.

import type {
  Fault,
  GlobalRateLimit,
  HashSource,
  HealthChecks,
  Hedging,
  LimitKey,
  LoadShedding,
  LocalRateLimit,
  OutlierDetection,
  RequestBalancing,
  RetryBudgetPolicy,
  RetryPolicy,
  Subset,
  TrafficMatch,
  TrafficPolicy,
  TrafficSettings,
  TrafficTarget,
} from '../mesh/traffic-policy.ts';
import {
  encodeJson,
  flag,
  integer,
  list,
  maybe,
  number,
  oneOf,
  pair,
  parseJson,
  partial,
  type Reader,
  record,
  text,
  texts,
  union,
} from './checked-json.ts';

export const TYPE_TRAFFIC_POLICY = 'type.googleapis.com/ambit.traffic.TrafficPolicy';

// a subset of ten thousand workloads is well below it
const MAX_BODY_BYTES = 4 * 1024 * 1024;
const MAX_TARGETS = 16;
const MAX_RULES = 64;
const MAX_SUBSETS = 64;
const MAX_SUBSET_WORKLOADS = 10_000;
const MAX_MATCHES = 64;

const name = text(253, /^[^\s]+$/);
const path = text(1024, /^\/[\x21-\x7e]*$/);
const value = text(4096);
// RFC 9110 section 5.6.2: what may stand in a header or a cookie's name, and nothing that ends it
const token = text(256, /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/);
const headerName = text(256, /^[!#$%&'*+.^_`|~0-9a-z-]+$/);
const cookiePath = text(1024, /^\/[\x21-\x3a\x3c-\x7e]*$/);
// the longest wait a timer has
const ms = integer(0, 2 ** 31 - 1);
const positiveMs = integer(1, 2 ** 31 - 1);
const count = integer(0, 2 ** 32 - 1);
const positive = integer(1, 2 ** 32 - 1);
const percent = number(0, 100);
const port = integer(1, 65_535);
const status = integer(100, 599);
const errorStatus = integer(200, 599);

const target: Reader<TrafficTarget> = union('kind', {
  service: record({ kind: oneOf('service'), service: name, port: maybe(port) }),
  route: record({ kind: oneOf('route'), route: name, rule: maybe(name) }),
});

const hash: Reader<HashSource> = union('by', {
  header: record({ by: oneOf('header'), name: headerName }),
  cookie: record({
    by: oneOf('cookie'),
    name: token,
    ttlMs: maybe(ms),
    path: maybe(cookiePath),
  }),
  'source-ip': record({ by: oneOf('source-ip') }),
  query: record({ by: oneOf('query'), name: value }),
});

const loadBalancing: Reader<RequestBalancing> = record({
  algorithm: oneOf('least-request', 'round-robin', 'random', 'peak-ewma', 'ring-hash', 'maglev'),
  hash: maybe(hash),
  slowStart: maybe(
    record({ windowMs: positiveMs, minWeightPercent: percent, aggression: number(0.01, 100) }),
  ),
  locality: oneOf('inherit', 'failover', 'strict', 'none'),
});

const budget: Reader<RetryBudgetPolicy> = record({
  percent,
  floor: union('by', {
    concurrency: record({ by: oneOf('concurrency'), minConcurrency: count }),
    rate: record({ by: oneOf('rate'), minPerSecond: count }),
  }),
});

const retries: Reader<RetryPolicy> = record({
  attempts: integer(0, 100),
  on: list(
    oneOf(
      '5xx',
      'gateway-error',
      'connect-failure',
      'connection-lost',
      'reset',
      'refused-stream',
      'retriable-4xx',
      'unavailable',
      'cancelled',
      'resource-exhausted',
      'deadline-exceeded',
      'internal',
    ),
    12,
  ),
  codes: list(status, 500),
  backoff: record({ minMs: ms, baseMs: positiveMs, maxMs: positiveMs }),
  budget,
  retryNonIdempotent: flag,
});

const outlierDetection: Reader<OutlierDetection> = record({
  consecutive5xx: count,
  consecutiveGatewayErrors: count,
  consecutiveLocalFailures: count,
  successRate: maybe(
    record({ minimumHosts: count, requestVolume: count, stdevFactor: number(0, 1_000_000) }),
  ),
  intervalMs: positiveMs,
  baseEjectionMs: positiveMs,
  maxEjectionPercent: percent,
  minHealthPercent: percent,
});

const healthChecks: Reader<HealthChecks> = record({
  probe: union('kind', {
    http: record({
      kind: oneOf('http'),
      path,
      expectedStatuses: list(pair(status), 16),
    }),
    tcp: record({ kind: oneOf('tcp') }),
    grpc: record({ kind: oneOf('grpc'), service: text(253) }),
  }),
  intervalMs: positiveMs,
  timeoutMs: positiveMs,
  healthyThreshold: positive,
  unhealthyThreshold: positive,
});

const match: Reader<TrafficMatch> = record({
  headers: list(record({ name: headerName, value }), MAX_MATCHES),
  source: record({ namespaces: list(name, MAX_MATCHES), principals: list(value, MAX_MATCHES) }),
});

const fault: Reader<Fault> = record({
  match,
  percent,
  action: union('kind', {
    delay: record({ kind: oneOf('delay'), delayMs: ms }),
    abort: record({ kind: oneOf('abort'), status: errorStatus }),
    'abort-grpc': record({ kind: oneOf('abort-grpc'), grpcStatus: integer(1, 16) }),
  }),
});

const limitKey: Reader<LimitKey> = union('by', {
  route: record({ by: oneOf('route') }),
  identity: record({ by: oneOf('identity') }),
  header: record({ by: oneOf('header'), name: headerName }),
  'source-ip': record({ by: oneOf('source-ip') }),
});

const localLimit: Reader<LocalRateLimit> = record({
  requests: positive,
  perMs: positiveMs,
  burst: positive,
  key: limitKey,
});

const globalLimit: Reader<GlobalRateLimit> = record({
  redis: record({ service: name, port }),
  requests: positive,
  perMs: positiveMs,
  key: limitKey,
  onFailure: oneOf('allow', 'deny'),
  timeoutMs: positiveMs,
});

const loadShedding: Reader<LoadShedding> = record({
  minLimit: positive,
  maxLimit: positive,
  minRttWindowMs: positiveMs,
  priorities: record({
    header: maybe(headerName),
    rules: list(record({ match, class: oneOf('critical', 'default', 'best-effort') }), MAX_RULES),
  }),
});

const hedging: Reader<Hedging> = record({
  after: union('by', {
    time: record({ by: oneOf('time'), ms: positiveMs }),
    percentile: record({ by: oneOf('percentile'), percentile: number(1, 99.99) }),
  }),
  maxExtra: integer(0, 10),
});

const subset: Reader<Subset> = record({
  name,
  labels: texts(text(317), text(63), MAX_MATCHES),
  workloads: list(value, MAX_SUBSET_WORKLOADS),
});

const settings: Reader<Partial<TrafficSettings>> = partial({
  loadBalancing,
  connectionLimits: record({
    maxConnections: count,
    maxPendingRequests: count,
    maxRequests: count,
    maxConcurrentRetries: count,
    maxRequestsPerConnection: count,
  }),
  timeouts: record({
    requestMs: maybe(positiveMs),
    perTryMs: maybe(positiveMs),
    connectMs: positiveMs,
    idleMs: positiveMs,
  }),
  retries,
  outlierDetection: maybe(outlierDetection),
  healthChecks: maybe(healthChecks),
  faults: list(fault, MAX_RULES),
  rateLimits: record({ local: list(localLimit, MAX_RULES), global: list(globalLimit, MAX_RULES) }),
  loadShedding: maybe(loadShedding),
  hedging: maybe(hedging),
  subsets: list(subset, MAX_SUBSETS),
  tracing: maybe(record({ sampling: number(0, 1) })),
});

const policy: Reader<TrafficPolicy> = record({
  namespace: name,
  name,
  targets: list(target, MAX_TARGETS),
  settings,
});

/** @throws DecodeError naming the policy and the field */
export function decodeTrafficPolicy(resourceName: string, body: Uint8Array): TrafficPolicy {
  const what = `traffic policy "${resourceName.slice(0, 300)}"`;
  return policy(parseJson(body, MAX_BODY_BYTES, what), what);
}

export function encodeTrafficPolicy(policyToTell: TrafficPolicy): Uint8Array {
  return encodeJson(policyToTell);
}
