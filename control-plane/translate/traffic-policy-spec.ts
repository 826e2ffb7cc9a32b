// The spec of a TrafficPolicy as users write it, and its sections as the mesh has them: defaults filled in, durations in
// milliseconds, words as in the code. Pure. Called by traffic-policy.ts. What the definition's schema lets in is read; what
// it would refuse (an older schema may be installed) is a problem that names the field.

import { DEFAULT_TRAFFIC_POLICY } from '../../mesh/traffic-defaults.ts';
import type {
  HashSource,
  HealthChecks,
  Hedging,
  LimitKey,
  LoadShedding,
  OutlierDetection,
  RequestBalancing,
  RetryCondition,
  RetryPolicy,
  Timeouts,
  TrafficMatch,
  TrafficSettings,
} from '../../mesh/traffic-policy.ts';
import type {
  HealthChecksSpec,
  LimitKeySpec,
  LoadBalancingSpec,
  MatchSpec,
  RetriesSpec,
  TrafficPolicySpec,
} from './traffic-policy-objects.ts';

/** What in a spec needs the rest of the cluster. */
export type SpecReferences = {
  /** The key of a Service of the policy's namespace, whether or not it is there. */
  readonly serviceKey: (name: string) => string;
  /** UIDs of workloads of the target Services with all of these labels, sorted. */
  readonly workloadsWith: (labels: Readonly<Record<string, string>>) => readonly string[];
};

/** A field that cannot be read; its message is for the status. */
export class SpecProblem extends Error {
  override readonly name = 'SpecProblem';
}

/** @throws SpecProblem */
export function settingsOf(
  spec: TrafficPolicySpec,
  references: SpecReferences,
): Partial<TrafficSettings> {
  const { connectionLimits, faults, rateLimits, subsets } = spec;
  return present({
    loadBalancing: spec.loadBalancing && balancingOf(spec.loadBalancing),
    connectionLimits: connectionLimits && {
      ...DEFAULT_TRAFFIC_POLICY.connectionLimits,
      ...connectionLimits,
    },
    timeouts: spec.timeouts && timeoutsOf(spec.timeouts),
    retries: spec.retries && retriesOf(spec.retries),
    outlierDetection: spec.outlierDetection && outliersOf(spec.outlierDetection),
    healthChecks: spec.healthChecks && checksOf(spec.healthChecks),
    faults: faults?.map((fault, index) => ({
      match: matchOf(fault.match),
      percent: fault.percent,
      action: actionOf(fault, `spec.faults[${index}]`),
    })),
    rateLimits: rateLimits && {
      local: (rateLimits.local ?? []).map((limit, index) => ({
        requests: limit.requests,
        perMs: wait(`spec.rateLimits.local[${index}].per`, limit.per),
        burst: limit.burst ?? limit.requests,
        key: limitKeyOf(limit),
      })),
      global: (rateLimits.global ?? []).map((limit, index) => ({
        redis: {
          service: references.serviceKey(limit.redis.name),
          port: limit.redis.port ?? REDIS_PORT,
        },
        requests: limit.requests,
        perMs: wait(`spec.rateLimits.global[${index}].per`, limit.per),
        key: limitKeyOf(limit),
        onFailure: limit.onFailure === 'Deny' ? 'deny' : 'allow',
        timeoutMs: wait(`spec.rateLimits.global[${index}].timeout`, limit.timeout, 50),
      })),
    },
    loadShedding: spec.loadShedding && sheddingOf(spec.loadShedding),
    hedging: spec.hedging && hedgingOf(spec.hedging),
    tracing: spec.tracing && { sampling: spec.tracing.samplingPercent / 100 },
    subsets: subsets?.map(({ name, labels }) => {
      return { name, labels, workloads: references.workloadsWith(labels) };
    }),
  });
}

const REDIS_PORT = 6379;

/** Without the sections that are not there: a less specific policy may have them. */
function present(
  all: {
    readonly [K in keyof TrafficSettings]: TrafficSettings[K] | undefined;
  },
): Partial<TrafficSettings> {
  return Object.fromEntries(
    Object.entries(all).filter(([, section]) => section !== undefined),
  ) as Partial<TrafficSettings>;
}

const ALGORITHMS = {
  LeastRequest: 'least-request',
  RoundRobin: 'round-robin',
  Random: 'random',
  PeakEWMA: 'peak-ewma',
  RingHash: 'ring-hash',
  Maglev: 'maglev',
} as const;
const LOCALITIES = { Failover: 'failover', Strict: 'strict', None: 'none' } as const;

function balancingOf({ type, hash, slowStart, locality }: LoadBalancingSpec): RequestBalancing {
  const at = 'spec.loadBalancing';
  return {
    algorithm: ALGORITHMS[type ?? 'LeastRequest'],
    hash: hash && hashOf(hash),
    slowStart: slowStart && {
      windowMs: wait(`${at}.slowStart.window`, slowStart.window),
      // Envoy's
      minWeightPercent: slowStart.minWeightPercent ?? 10,
      aggression: slowStart.aggression ?? 1,
    },
    locality: locality === undefined ? 'inherit' : LOCALITIES[locality.preference],
  };
}

function hashOf(hash: NonNullable<LoadBalancingSpec['hash']>): HashSource {
  const { header, cookie, queryParam } = hash;
  if (header !== undefined) return { by: 'header', name: header.toLowerCase() };
  if (queryParam !== undefined) return { by: 'query', name: queryParam };
  if (cookie === undefined) return { by: 'source-ip' };
  const { name, ttl, path } = cookie;
  const ttlMs = ttl === undefined ? undefined : duration('spec.loadBalancing.hash.cookie.ttl', ttl);
  return { by: 'cookie', name, ttlMs, path };
}

function timeoutsOf(spec: NonNullable<TrafficPolicySpec['timeouts']>): Timeouts {
  const { connectMs, idleMs } = DEFAULT_TRAFFIC_POLICY.timeouts;
  const at = (name: keyof typeof spec, otherwise: number): number =>
    duration(`spec.timeouts.${name}`, spec[name] ?? '0s') || otherwise;
  return {
    requestMs: at('request', 0) || undefined,
    perTryMs: at('perTry', 0) || undefined,
    connectMs: at('connect', connectMs),
    idleMs: at('idle', idleMs),
  };
}

function retriesOf(spec: RetriesSpec): RetryPolicy {
  const defaults = DEFAULT_TRAFFIC_POLICY.retries;
  const baseMs = wait('spec.retries.backoff.base', spec.backoff?.base, defaults.backoff.baseMs);
  // ten times the base, as in Envoy
  const maxMs = wait('spec.retries.backoff.max', spec.backoff?.max, baseMs * 10);
  const { percent, minConcurrency, minPerSecond } = spec.budget ?? {};
  return {
    attempts: spec.attempts ?? defaults.attempts,
    on:
      spec.retryOn?.filter((one): one is RetryCondition => typeof one === 'string') ?? defaults.on,
    codes: spec.retryOn?.filter((one) => typeof one === 'number') ?? defaults.codes,
    backoff: { minMs: 0, baseMs, maxMs: Math.max(baseMs, maxMs) },
    budget: {
      percent: percent ?? defaults.budget.percent,
      floor:
        minPerSecond === undefined
          ? { by: 'concurrency', minConcurrency: minConcurrency ?? 3 }
          : { by: 'rate', minPerSecond },
    },
    retryNonIdempotent: spec.retryNonIdempotent ?? false,
  };
}

/** Istio's and Envoy's defaults. */
function outliersOf(spec: NonNullable<TrafficPolicySpec['outlierDetection']>): OutlierDetection {
  const { successRate } = spec;
  return {
    consecutive5xx: spec.consecutive5xx ?? 5,
    consecutiveGatewayErrors: spec.consecutiveGatewayErrors ?? 0,
    consecutiveLocalFailures: spec.consecutiveLocalFailures ?? 0,
    successRate: successRate && {
      minimumHosts: successRate.minimumHosts ?? 5,
      requestVolume: successRate.requestVolume ?? 100,
      stdevFactor: successRate.stdevFactor ?? 1900,
    },
    intervalMs: wait('spec.outlierDetection.interval', spec.interval, 10_000),
    baseEjectionMs: wait('spec.outlierDetection.baseEjectionTime', spec.baseEjectionTime, 30_000),
    maxEjectionPercent: spec.maxEjectionPercent ?? 10,
    minHealthPercent: spec.minHealthPercent ?? 0,
  };
}

/** Kubernetes' defaults for probes, where it has them. */
function checksOf(spec: HealthChecksSpec): HealthChecks {
  return {
    probe: probeOf(spec),
    intervalMs: wait('spec.healthChecks.interval', spec.interval, 10_000),
    timeoutMs: wait('spec.healthChecks.timeout', spec.timeout, 1000),
    healthyThreshold: spec.healthyThreshold ?? 2,
    unhealthyThreshold: spec.unhealthyThreshold ?? 3,
  };
}

function probeOf({ path, expectedStatuses, grpc }: HealthChecksSpec): HealthChecks['probe'] {
  if (grpc !== undefined) return { kind: 'grpc', service: grpc.service ?? '' };
  if (path === undefined) return { kind: 'tcp' };
  const ranges = (expectedStatuses ?? ['200-299']).map((text) => {
    const [first = '', last = first] = text.split('-');
    return [Number(first), Number(last)] as const;
  });
  return { kind: 'http', path, expectedStatuses: ranges };
}

function actionOf(
  { delay, abort }: NonNullable<TrafficPolicySpec['faults']>[number],
  at: string,
): TrafficSettings['faults'][number]['action'] {
  if (abort?.status !== undefined) return { kind: 'abort', status: abort.status };
  if (abort?.grpcStatus !== undefined) return { kind: 'abort-grpc', grpcStatus: abort.grpcStatus };
  if (delay === undefined) throw new SpecProblem(`${at}: it has neither delay nor abort`);
  return { kind: 'delay', delayMs: duration(`${at}.delay`, delay) };
}

function limitKeyOf({ by, header }: LimitKeySpec): LimitKey {
  switch (by) {
    case 'Identity':
      return { by: 'identity' };
    case 'SourceIP':
      return { by: 'source-ip' };
    case 'Header':
      return { by: 'header', name: (header ?? '').toLowerCase() };
    default:
      return { by: 'route' };
  }
}

/** The proposed defaults of Envoy Gateway. */
function sheddingOf(spec: NonNullable<TrafficPolicySpec['loadShedding']>): LoadShedding {
  const { header, rules = [] } = spec.priorities ?? {};
  const minLimit = spec.minLimit ?? 3;
  const maxLimit = spec.maxLimit ?? 1000;
  if (minLimit > maxLimit) {
    throw new SpecProblem(`spec.loadShedding: minLimit ${minLimit} is above maxLimit ${maxLimit}`);
  }
  return {
    minLimit,
    maxLimit,
    minRttWindowMs: wait('spec.loadShedding.minRttWindow', spec.minRttWindow, 30_000),
    priorities: {
      header: header?.toLowerCase(),
      rules: rules.map((rule) => ({ match: matchOf(rule.match), class: rule.class })),
    },
  };
}

function hedgingOf({
  after,
  percentile,
  maxExtra,
}: NonNullable<TrafficPolicySpec['hedging']>): Hedging {
  return {
    after:
      percentile === undefined
        ? { by: 'time', ms: wait('spec.hedging.after', after) }
        : { by: 'percentile', percentile },
    maxExtra: maxExtra ?? 1,
  };
}

function matchOf({ headers, source }: MatchSpec = {}): TrafficMatch {
  return {
    headers: (headers ?? []).map(({ name, value }) => ({ name: name.toLowerCase(), value })),
    source: { namespaces: source?.namespaces ?? [], principals: source?.principals ?? [] },
  };
}

const DURATION = /^([0-9]{1,5}(h|m|s|ms)){1,4}$/;
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
// the longest wait a timer has: some 25 days
const MAX_MS = 2 ** 31 - 1;

/** A Gateway API duration (GEP-2257) in ms. @throws SpecProblem */
function duration(at: string, text: string): number {
  const parts = [...text.matchAll(/(\d+)(ms|h|m|s)/g)];
  const ms = parts.reduce(
    (sum, [, count, unit = '']) => sum + Number(count) * (UNIT_MS[unit] ?? 0),
    0,
  );
  if (!DURATION.test(text)) {
    throw new SpecProblem(`${at} is "${text}", expected a duration like 1h, 10s or 250ms`);
  }
  if (ms > MAX_MS) throw new SpecProblem(`${at} is ${text}: it may be 596h at most`);
  return ms;
}

/** One that has to be more than nothing. */
function wait(at: string, text: string | undefined, otherwise?: number): number {
  if (text === undefined && otherwise !== undefined) return Math.min(otherwise, MAX_MS);
  const ms = duration(at, text ?? '');
  if (ms === 0) throw new SpecProblem(`${at} is ${text}: it has to be more`);
  return ms;
}
