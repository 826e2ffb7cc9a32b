// TrafficPolicy: what waypoints are told of it, which of several holds, and what its status says.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_TRAFFIC_POLICY, UNLIMITED } from '../../mesh/traffic-defaults.ts';
import type { TrafficSettings } from '../../mesh/traffic-policy.ts';
import { type TrafficPolicyContext, trafficPoliciesOf } from './traffic-policy.ts';
import type {
  TargetRef,
  TrafficPolicyObject,
  TrafficPolicySpec,
} from './traffic-policy-objects.ts';

const PODS = [
  { uid: 'pod-2', labels: { app: 'web', version: 'v1' } },
  { uid: 'pod-1', labels: { app: 'web', version: 'v1' } },
  { uid: 'pod-3', labels: { app: 'web', version: 'v2' } },
];
const CONTEXT: TrafficPolicyContext = {
  serviceKey: (namespace, name) => `${namespace}/${name}.${namespace}.svc`,
  service: (namespace, name) =>
    namespace === 'shop' && ['web', 'redis'].includes(name)
      ? { ports: [{ name: 'http', port: 80 }, { port: 81 }], workloads: () => PODS }
      : undefined,
  route: (kind, namespace, name) =>
    kind === 'http' && namespace === 'shop' && name === 'web' ? ['pay', undefined] : undefined,
};
const WEB: TargetRef = { kind: 'Service', name: 'web' };
const ROUTE: TargetRef = { group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', name: 'web' };

function object(
  spec: TrafficPolicySpec,
  { name = 'p', namespace = 'shop', at = '2030' } = {},
): TrafficPolicyObject {
  return { metadata: { name, namespace, creationTimestamp: at }, spec };
}
const run = (...objects: TrafficPolicyObject[]) => trafficPoliciesOf(objects, CONTEXT);
/** By name of the object: `type=status reason: message`. */
function statuses(...objects: TrafficPolicyObject[]): Record<string, string[]> {
  return Object.fromEntries(
    run(...objects).outcomes.map(({ object: { metadata }, findings }) => [
      metadata.name,
      findings.map(
        ({ type, status, reason, message }) => `${type}=${status} ${reason}: ${message}`,
      ),
    ]),
  );
}
function settingsOf(spec: TrafficPolicySpec): Partial<TrafficSettings> {
  const { policies, outcomes } = run(object({ targetRefs: [WEB], ...spec }));
  assert.ok(policies[0], outcomes[0]?.findings[0]?.message);
  return policies[0].settings;
}
function invalid(spec: TrafficPolicySpec): string {
  const { policies, outcomes } = run(object({ targetRefs: [WEB], ...spec }));
  assert.deepEqual(policies, []);
  assert.equal(outcomes[0]?.findings[0]?.reason, 'Invalid');
  return outcomes[0].findings[0].message;
}

describe('the targets of a policy', () => {
  test('are Services with their ports, and routes with their rules', () => {
    const targetRefs = [
      WEB,
      { ...WEB, sectionName: 'http' },
      ROUTE,
      { ...ROUTE, sectionName: 'pay' },
    ];
    const service = 'shop/web.shop.svc';
    assert.deepEqual(run(object({ targetRefs })).policies[0]?.targets, [
      { kind: 'service', service, port: undefined },
      { kind: 'service', service, port: 80 },
      { kind: 'route', route: 'http/shop/web', rule: undefined },
      { kind: 'route', route: 'http/shop/web', rule: 'pay' },
    ]);
  });

  test('that are not there are told by name; one that is suffices', () => {
    const none = object({
      targetRefs: [
        { ...WEB, name: 'gone' },
        { ...WEB, sectionName: 'grpc' },
        { ...ROUTE, sectionName: 'ship' },
        { ...ROUTE, kind: 'GRPCRoute' },
        { group: 'apps', kind: 'Deployment', name: 'web' },
      ],
    });
    assert.deepEqual(run(none).policies, []);
    assert.deepEqual(statuses(none)['p'], [
      'Accepted=False TargetNotFound: Service shop/gone is not there; ' +
        'Service shop/web has no port named grpc; HTTPRoute shop/web has no rule named ship; ' +
        'GRPCRoute shop/web is not there; ' +
        'Deployment of group "apps" is no target: name a Service or a route',
    ]);
    const some = object({ targetRefs: [{ ...WEB, name: 'gone' }, WEB] });
    assert.deepEqual(statuses(some)['p'], [
      'Accepted=True Accepted: It holds for service shop/web.shop.svc; Service shop/gone is not there',
    ]);
    assert.match(statuses(object({}))['p']?.[0] ?? '', /TargetNotFound: spec.targetRefs is empty/);
    const foreign = object({ targetRefs: [WEB] }, { namespace: 'ops' });
    assert.match(statuses(foreign)['p']?.[0] ?? '', /Service ops\/web is not there/);
  });

  test('have one policy each: the older, then the first by name', () => {
    const young = object({ targetRefs: [WEB] }, { name: 'a', at: '2031' });
    const old = object({ targetRefs: [WEB] }, { name: 'b' });
    const twin = object({ targetRefs: [WEB, ROUTE] }, { name: 'c' });
    const all = statuses(young, twin, old);
    assert.deepEqual(all, {
      a: ['Accepted=False Conflicted: service shop/web.shop.svc has shop/b, which is older'],
      b: ['Accepted=True Accepted: It holds for service shop/web.shop.svc'],
      c: [
        'Accepted=True Accepted: It holds for route http/shop/web; service shop/web.shop.svc has shop/b, which is older',
      ],
    });
    assert.deepEqual(
      run(young, twin, old).policies.map(({ name, targets }) => [name, targets.length]),
      [
        ['b', 1],
        ['c', 1],
      ],
    );
  });

  test('are not taken by a policy that is invalid', () => {
    const broken = object({ targetRefs: [WEB], timeouts: { request: 'soon' } }, { name: 'a' });
    const fine = object({ targetRefs: [WEB] }, { name: 'b' });
    assert.deepEqual(
      run(broken, fine).policies.map(({ name }) => name),
      ['b'],
    );
  });

  test('each have one policy at most, and the same whatever the order of objects', () => {
    const refs = fc.subarray([WEB, { ...WEB, sectionName: 'http' }, ROUTE], { minLength: 1 });
    const objects = fc.uniqueArray(
      fc.record({ targetRefs: refs, at: fc.constantFrom('2030', '2031'), name: fc.string() }),
      { selector: ({ name }) => name, maxLength: 6 },
    );
    fc.assert(
      fc.property(objects, (all) => {
        const made = all.map(({ targetRefs, ...more }) => object({ targetRefs }, more));
        const { policies } = run(...made);
        const targets = policies.flatMap((policy) =>
          policy.targets.map((one) => JSON.stringify(one)),
        );
        assert.equal(new Set(targets).size, targets.length);
        assert.deepEqual(run(...made.toReversed()).policies, policies);
      }),
    );
  });
});

describe('the sections of a policy', () => {
  test('are only those its author wrote', () => {
    assert.deepEqual(settingsOf({}), {});
    assert.deepEqual(Object.keys(settingsOf({ timeouts: {}, retries: {} })), [
      'timeouts',
      'retries',
    ]);
  });

  test('that say nothing are the defaults', () => {
    const said = settingsOf({ loadBalancing: {}, connectionLimits: {}, timeouts: {}, retries: {} });
    const { loadBalancing, connectionLimits, timeouts, retries } = DEFAULT_TRAFFIC_POLICY;
    assert.deepEqual(said, { loadBalancing, connectionLimits, timeouts, retries });
    const more = settingsOf({ outlierDetection: { successRate: {} }, loadShedding: {} });
    assert.deepEqual(more.outlierDetection, {
      consecutive5xx: 5,
      consecutiveGatewayErrors: 0,
      consecutiveLocalFailures: 0,
      successRate: { minimumHosts: 5, requestVolume: 100, stdevFactor: 1900 },
      intervalMs: 10_000,
      baseEjectionMs: 30_000,
      maxEjectionPercent: 10,
      minHealthPercent: 0,
    });
    assert.deepEqual(more.loadShedding, {
      minLimit: 3,
      maxLimit: 1000,
      minRttWindowMs: 30_000,
      priorities: { header: undefined, rules: [] },
    });
  });

  test('say how endpoints are chosen', () => {
    const { loadBalancing } = settingsOf({
      loadBalancing: {
        type: 'Maglev',
        hash: { cookie: { name: 'SID', ttl: '1h30m', path: '/' } },
        locality: { preference: 'Strict' },
      },
    });
    assert.deepEqual(loadBalancing, {
      algorithm: 'maglev',
      hash: { by: 'cookie', name: 'SID', ttlMs: 5_400_000, path: '/' },
      slowStart: undefined,
      locality: 'strict',
    });
    const hash = (of: object) =>
      settingsOf({ loadBalancing: { type: 'RingHash', hash: of } }).loadBalancing?.hash;
    assert.deepEqual(hash({ header: 'X-User' }), { by: 'header', name: 'x-user' });
    assert.deepEqual(hash({ queryParam: 'User' }), { by: 'query', name: 'User' });
    assert.deepEqual(hash({ sourceIP: true }), { by: 'source-ip' });
    const slow = settingsOf({ loadBalancing: { slowStart: { window: '30s' } } }).loadBalancing;
    assert.deepEqual(slow?.slowStart, { windowMs: 30_000, minWeightPercent: 10, aggression: 1 });
  });

  test('say limits, timeouts and retries', () => {
    const said = settingsOf({
      connectionLimits: { maxRequests: 7 },
      timeouts: { request: '0s', perTry: '250ms', connect: '1s' },
      retries: {
        attempts: 5,
        retryOn: ['5xx', 409, 'unavailable'],
        backoff: { base: '100ms' },
        budget: { minPerSecond: 0 },
      },
    });
    assert.equal(said.connectionLimits?.maxRequests, 7);
    assert.equal(said.connectionLimits?.maxConnections, UNLIMITED);
    assert.deepEqual(said.timeouts, {
      requestMs: undefined,
      perTryMs: 250,
      connectMs: 1000,
      idleMs: 3_600_000,
    });
    assert.deepEqual(said.retries, {
      attempts: 5,
      on: ['5xx', 'unavailable'],
      codes: [409],
      backoff: { minMs: 0, baseMs: 100, maxMs: 1000 },
      budget: { percent: 20, floor: { by: 'rate', minPerSecond: 0 } },
      retryNonIdempotent: false,
    });
  });

  test('say how health is checked', () => {
    const times = {
      intervalMs: 10_000,
      timeoutMs: 1000,
      healthyThreshold: 2,
      unhealthyThreshold: 3,
    };
    assert.deepEqual(
      settingsOf({ healthChecks: { path: '/up', expectedStatuses: ['200-299', '404'] } })
        .healthChecks,
      {
        probe: {
          kind: 'http',
          path: '/up',
          expectedStatuses: [
            [200, 299],
            [404, 404],
          ],
        },
        ...times,
      },
    );
    const probe = (of: object) => settingsOf({ healthChecks: of }).healthChecks?.probe;
    assert.deepEqual(probe({ tcp: {} }), { kind: 'tcp' });
    assert.deepEqual(probe({ grpc: {} }), { kind: 'grpc', service: '' });
  });

  test('say faults, priorities and hedges', () => {
    const match = { headers: [{ name: 'X-Test', value: 'Y' }], source: { namespaces: ['a'] } };
    const matched = {
      headers: [{ name: 'x-test', value: 'Y' }],
      source: { namespaces: ['a'], principals: [] },
    };
    const said = settingsOf({
      faults: [
        { match, percent: 0.5, delay: '2s' },
        { percent: 100, abort: { grpcStatus: 14 } },
        { percent: 100, abort: { status: 503 } },
      ],
      loadShedding: { priorities: { header: 'X-Prio', rules: [{ match, class: 'critical' }] } },
      hedging: { percentile: 99 },
    });
    const all = { headers: [], source: { namespaces: [], principals: [] } };
    assert.deepEqual(said.faults, [
      { match: matched, percent: 0.5, action: { kind: 'delay', delayMs: 2000 } },
      { match: all, percent: 100, action: { kind: 'abort-grpc', grpcStatus: 14 } },
      { match: all, percent: 100, action: { kind: 'abort', status: 503 } },
    ]);
    assert.deepEqual(said.loadShedding?.priorities, {
      header: 'x-prio',
      rules: [{ match: matched, class: 'critical' }],
    });
    assert.deepEqual(said.hedging, { after: { by: 'percentile', percentile: 99 }, maxExtra: 1 });
    assert.deepEqual(settingsOf({ hedging: { after: '40ms', maxExtra: 3 } }).hedging, {
      after: { by: 'time', ms: 40 },
      maxExtra: 3,
    });
  });

  test('say rate limits, and whether their Redis is there', () => {
    const limit = { requests: 10, per: '1s' };
    const spec: TrafficPolicySpec = {
      targetRefs: [WEB],
      rateLimits: {
        local: [limit, { ...limit, burst: 3, by: 'Header', header: 'X-Tenant' }],
        global: [{ ...limit, redis: { name: 'redis' }, by: 'Identity', onFailure: 'Deny' }],
      },
    };
    assert.deepEqual(settingsOf(spec).rateLimits, {
      local: [
        { requests: 10, perMs: 1000, burst: 10, key: { by: 'route' } },
        { requests: 10, perMs: 1000, burst: 3, key: { by: 'header', name: 'x-tenant' } },
      ],
      global: [
        {
          redis: { service: 'shop/redis.shop.svc', port: 6379 },
          requests: 10,
          perMs: 1000,
          key: { by: 'identity' },
          onFailure: 'deny',
          timeoutMs: 50,
        },
      ],
    });
    assert.deepEqual(statuses(object(spec))['p']?.slice(1), [
      'ResolvedRefs=True ResolvedRefs: Every Service it needs is there',
    ]);
    const lost = { ...spec, rateLimits: { global: [{ ...limit, redis: { name: 'gone' } }] } };
    assert.deepEqual(statuses(object(lost))['p'], [
      'Accepted=True Accepted: It holds for service shop/web.shop.svc',
      'ResolvedRefs=False BackendNotFound: Service shop/gone is not there: until it is, onFailure decides about requests',
    ]);
  });

  test('name the workloads of a subset by their labels', () => {
    const { subsets } = settingsOf({
      subsets: [
        { name: 'v1', labels: { app: 'web', version: 'v1' } },
        { name: 'v3', labels: { version: 'v3' } },
      ],
    });
    assert.deepEqual(
      subsets?.map(({ name, workloads }) => [name, workloads]),
      [
        ['v1', ['pod-1', 'pod-2']],
        ['v3', []],
      ],
    );
  });

  test('that cannot be read leave the policy out, by the field', () => {
    assert.match(invalid({ timeouts: { request: '1.5s' } }), /spec\.timeouts\.request is "1\.5s"/);
    assert.match(invalid({ timeouts: { idle: '9999h' } }), /spec\.timeouts\.idle is 9999h/);
    assert.match(
      invalid({ outlierDetection: { interval: '0s' } }),
      /spec\.outlierDetection\.interval is 0s: it has to be more/,
    );
    assert.match(invalid({ faults: [{ percent: 5 }] }), /spec\.faults\[0\].*neither/);
    assert.match(invalid({ loadShedding: { maxLimit: 2 } }), /minLimit 3 is above maxLimit 2/);
    assert.match(
      invalid({ retries: { attempts: 500 } }),
      /settings\.retries\.attempts is not a whole number from 0 to 100/,
    );
    assert.match(
      invalid({ retries: { retryOn: ['4xx'] } }),
      /settings\.retries\.on\[0\] is not one of 5xx/,
    );
  });
});
