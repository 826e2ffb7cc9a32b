// TrafficPolicies of every shape, for property tests of what carries and makes them.

import fc from 'fast-check';
import type {
  HashSource,
  LimitKey,
  TrafficMatch,
  TrafficPolicy,
  TrafficSettings,
  TrafficTarget,
} from './traffic-policy.ts';

/** Plain objects, as the code makes them: assertions compare prototypes too. */
const PLAIN = { noNullPrototype: true } as const;
type Shape<T> = { [K in keyof T]: fc.Arbitrary<T[K]> };
const shape = <T extends object>(fields: Shape<T>): fc.Arbitrary<T> =>
  fc.record(fields, PLAIN) as fc.Arbitrary<T>;
const is = <const T>(value: T): fc.Arbitrary<T> => fc.constant(value);
const oneOf = <const T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const some = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(item, { maxLength: 3 });
const maybe = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(item, { nil: undefined });

const MS = fc.integer({ min: 1, max: 2 ** 31 - 1 });
const COUNT = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const PERCENT = oneOf(0, 0.1, 12.5, 50, 100);
const NAME = oneOf('a', 'web', 'shop/web.shop.svc.cluster.local');
const HEADER = oneOf('x-user', 'x', 'x-tenant');

const TARGET: fc.Arbitrary<TrafficTarget> = fc.oneof(
  shape({ kind: is('service'), service: NAME, port: maybe(oneOf(80, 65_535)) }),
  shape({ kind: is('route'), route: oneOf('http/shop/web', 'grpc/shop/a'), rule: maybe(NAME) }),
);
const HASH: fc.Arbitrary<HashSource> = fc.oneof(
  shape({ by: is('header'), name: HEADER }),
  shape({
    by: is('cookie'),
    name: oneOf('sid', 'SID'),
    ttlMs: maybe(MS),
    path: maybe(oneOf('/', '/a')),
  }),
  shape({ by: is('source-ip') }),
  shape({ by: is('query'), name: fc.string({ maxLength: 5 }) }),
);
const KEY: fc.Arbitrary<LimitKey> = fc.oneof(
  shape({ by: is('route') }),
  shape({ by: is('identity') }),
  shape({ by: is('header'), name: HEADER }),
  shape({ by: is('source-ip') }),
);
const MATCH: fc.Arbitrary<TrafficMatch> = shape({
  headers: some(shape({ name: HEADER, value: fc.string({ maxLength: 8 }) })),
  source: shape({ namespaces: some(NAME), principals: some(oneOf('td/ns/a/sa/b')) }),
});

const SETTINGS: fc.Arbitrary<Partial<TrafficSettings>> = fc.record(
  {
    loadBalancing: shape({
      algorithm: oneOf(
        'least-request',
        'round-robin',
        'random',
        'peak-ewma',
        'ring-hash',
        'maglev',
      ),
      hash: maybe(HASH),
      slowStart: maybe(
        shape({ windowMs: MS, minWeightPercent: PERCENT, aggression: oneOf(0.5, 1, 2) }),
      ),
      locality: oneOf('inherit', 'failover', 'strict', 'none'),
    }),
    connectionLimits: shape({
      maxConnections: COUNT,
      maxPendingRequests: COUNT,
      maxRequests: COUNT,
      maxConcurrentRetries: COUNT,
      maxRequestsPerConnection: COUNT,
    }),
    timeouts: shape({ requestMs: maybe(MS), perTryMs: maybe(MS), connectMs: MS, idleMs: MS }),
    retries: shape({
      attempts: oneOf(0, 2, 100),
      on: some(oneOf('5xx', 'reset', 'unavailable', 'internal')),
      codes: some(oneOf(409, 503)),
      backoff: shape({ minMs: oneOf(0, 5), baseMs: MS, maxMs: MS }),
      budget: shape({
        percent: PERCENT,
        floor: fc.oneof(
          shape({ by: is('concurrency'), minConcurrency: COUNT }),
          shape({ by: is('rate'), minPerSecond: COUNT }),
        ),
      }),
      retryNonIdempotent: fc.boolean(),
    }),
    outlierDetection: shape({
      consecutive5xx: COUNT,
      consecutiveGatewayErrors: COUNT,
      consecutiveLocalFailures: COUNT,
      successRate: maybe(
        shape({ minimumHosts: COUNT, requestVolume: COUNT, stdevFactor: oneOf(0, 1900) }),
      ),
      intervalMs: MS,
      baseEjectionMs: MS,
      maxEjectionPercent: PERCENT,
      minHealthPercent: PERCENT,
    }),
    healthChecks: shape({
      probe: fc.oneof(
        shape({
          kind: is('http'),
          path: oneOf('/', '/ready'),
          expectedStatuses: some(oneOf([200, 299] as const, [404, 404] as const)),
        }),
        shape({ kind: is('tcp') }),
        shape({ kind: is('grpc'), service: oneOf('', 'shop.Cart') }),
      ),
      intervalMs: MS,
      timeoutMs: MS,
      healthyThreshold: COUNT,
      unhealthyThreshold: COUNT,
    }),
    faults: some(
      shape({
        match: MATCH,
        percent: PERCENT,
        action: fc.oneof(
          shape({ kind: is('delay'), delayMs: MS }),
          shape({ kind: is('abort'), status: oneOf(200, 599) }),
          shape({ kind: is('abort-grpc'), grpcStatus: oneOf(1, 16) }),
        ),
      }),
    ),
    rateLimits: shape({
      local: some(shape({ requests: COUNT, perMs: MS, burst: COUNT, key: KEY })),
      global: some(
        shape({
          redis: shape({ service: NAME, port: oneOf(6379) }),
          requests: COUNT,
          perMs: MS,
          key: KEY,
          onFailure: oneOf('allow', 'deny'),
          timeoutMs: MS,
        }),
      ),
    }),
    loadShedding: shape({
      minLimit: COUNT,
      maxLimit: COUNT,
      minRttWindowMs: MS,
      priorities: shape({
        header: maybe(HEADER),
        rules: some(shape({ match: MATCH, class: oneOf('critical', 'default', 'best-effort') })),
      }),
    }),
    hedging: shape({
      after: fc.oneof(
        shape({ by: is('time'), ms: MS }),
        shape({ by: is('percentile'), percentile: oneOf(50, 99.9) }),
      ),
      maxExtra: oneOf(1, 10),
    }),
    subsets: some(
      shape({
        name: NAME,
        labels: fc.dictionary(oneOf('app', 'version'), oneOf('', 'v1'), PLAIN),
        workloads: some(oneOf('Kubernetes//Pod/shop/web-1', 'Kubernetes//Pod/shop/web-2')),
      }),
    ),
  },
  { ...PLAIN, requiredKeys: [] },
);

export const ANY_TRAFFIC_POLICY: fc.Arbitrary<TrafficPolicy> = shape({
  namespace: oneOf('shop', 'ops'),
  name: NAME,
  targets: some(TARGET),
  settings: SETTINGS,
});
