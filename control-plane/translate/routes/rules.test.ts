// Rules of routes: matches, times and backends as waypoints get them, and what of a bad one is kept.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Backend, RouteMatch } from '../../../mesh/route.ts';
import type {
  BackendReference,
  ValueMatchSpec,
} from '../../../runtime/kubernetes/route-objects.ts';
import { durationMs } from './durations.ts';
import {
  GOOD,
  messageOf,
  onlyRoute,
  type Rule,
  route,
  ruleOf,
  run,
  statusOf,
  toService,
} from './test-routes.ts';

const API = 'shop/api.shop.svc.cluster.local';
const statusFor = (...rules: Rule[]): string[] =>
  statusOf(run({ httpRoutes: [route('r', { rules })] }), 'r');
const OF_ROUTE = /^Accepted=False\/UnsupportedValue/;

describe('matches', () => {
  const matchFor = (headers: ValueMatchSpec[]): RouteMatch | undefined =>
    ruleOf({ matches: [{ headers }] }).matches[0];

  test('without a path it is the prefix /, without any match too', () => {
    const path = { type: 'prefix', value: '/' };
    assert.deepEqual(ruleOf({}).matches[0]?.path, path);
    assert.deepEqual(ruleOf({ matches: [{ method: 'GET' }] }).matches[0], {
      path,
      method: 'GET',
      headers: [],
      query: [],
      grpc: undefined,
      source: undefined,
    });
  });

  test('types of paths, headers and query parameters; headers in lower case, of two with one name the first', () => {
    const [match] = ruleOf({
      matches: [
        {
          path: { type: 'RegularExpression', value: '/v[0-9]' },
          headers: [
            { name: 'Version', value: 'one' },
            { name: 'version', value: 'two' },
            { name: 'X', type: 'RegularExpression', value: 'a+' },
          ],
          queryParams: [
            { name: 'Animal', value: 'whale' },
            { name: 'animal', value: 'dog' },
          ],
        },
      ],
    }).matches;
    assert.deepEqual(match?.path, { type: 'regex', value: '/v[0-9]' });
    assert.deepEqual(match?.headers, [
      { name: 'version', type: 'exact', value: 'one' },
      { name: 'x', type: 'regex', value: 'a+' },
    ]);
    assert.deepEqual(match?.query, [
      { name: 'Animal', type: 'exact', value: 'whale' },
      { name: 'animal', type: 'exact', value: 'dog' },
    ]);
  });

  test('two reserved names are about who asks, not about headers', () => {
    const match = matchFor([
      { name: 'X-Ambit-Source-Namespace', value: 'ops' },
      { name: 'x-ambit-source-principal', value: 'spiffe://cluster.local/ns/ops/sa/a' },
      { name: 'version', value: 'one' },
    ]);
    assert.deepEqual(match?.source, {
      namespaces: ['ops'],
      principals: ['cluster.local/ns/ops/sa/a'],
    });
    assert.deepEqual(match?.headers, [{ name: 'version', type: 'exact', value: 'one' }]);
    const regex = { name: 'x-ambit-source-namespace', type: 'RegularExpression', value: '.*' };
    assert.match(statusFor({ matches: [{ headers: [regex] }] })[0] ?? '', OF_ROUTE);
  });

  test('methods of a GRPCRoute', () => {
    const rules = [{ matches: [{ method: { service: 'a.B', method: 'C' } }, {}] }];
    const grpc = { ...route('r'), spec: { parentRefs: [toService('web')], rules } };
    const [first, second] = onlyRoute(run({ grpcRoutes: [grpc] })).rules[0]?.matches ?? [];
    assert.deepEqual(first?.grpc, { type: 'exact', service: 'a.B', method: 'C' });
    assert.deepEqual([first?.path, second?.grpc], [undefined, undefined]);
  });

  test('a word that is not known costs the whole route, as the Gateway API says', () => {
    const good: Rule = { backendRefs: [{ name: 'api', port: 80 }] };
    for (const bad of [
      { path: { type: 'Glob', value: '/*' } },
      { headers: [{ type: 'Fuzzy', name: 'a', value: 'b' }] },
      { queryParams: [{ type: 'Fuzzy', name: 'a', value: 'b' }] },
    ]) {
      assert.match(statusFor(good, { ...good, matches: [bad] })[0] ?? '', OF_ROUTE);
    }
  });

  test('a regular expression that cannot be matched costs its rule', () => {
    const matches = [{ path: { type: 'RegularExpression', value: '(' } }];
    const httpRoutes = [route('r', { rules: [{ matches }, {}] })];
    const checkRegex = (pattern: string) => (pattern === '(' ? 'it does not end' : undefined);
    const translation = run({ httpRoutes }, { checkRegex });
    assert.equal(onlyRoute(translation).rules.length, 1);
    assert.match(
      messageOf(translation, 'r', 'PartiallyInvalid'),
      /^Dropped Rule: rule 1: Path: "\("/,
    );
  });
});

describe('a rule that cannot be', () => {
  const bad: Rule = { name: 'slow', timeouts: { request: 'soon' } };

  test('is dropped, and the status says which and why; the others hold', () => {
    const translation = run({ httpRoutes: [route('r', { rules: [{}, bad] })] });
    assert.equal(onlyRoute(translation).rules.length, 1);
    assert.deepEqual(statusOf(translation, 'r'), [
      `${GOOD} PartiallyInvalid=True/UnsupportedValue`,
    ]);
    assert.match(
      messageOf(translation, 'r', 'PartiallyInvalid'),
      /^Dropped Rule: rule 2 \(slow\): timeouts.request "soon" is not a duration/,
    );
    assert.match(translation.problems[0]?.message ?? '', /^Dropped Rule/);
  });

  test('and is the only one: the route is refused', () => {
    assert.deepEqual(statusFor(bad), [
      'Accepted=False/UnsupportedValue ResolvedRefs=True/ResolvedRefs',
    ]);
  });

  test('an object that no schema has seen costs itself only', () => {
    const shapeless = route('bad', { rules: [{ matches: 7 }] as never });
    const translation = run({
      httpRoutes: [shapeless, route('good', { parentRefs: [toService('api')] })],
    });
    assert.match(statusOf(translation, 'bad')[0] ?? '', OF_ROUTE);
    assert.equal(onlyRoute(translation).name, 'good');
  });
});

describe('backends', () => {
  const backendFor = (ref: Partial<BackendReference>): Backend | undefined =>
    ruleOf({ backendRefs: [{ name: 'api', port: 80, ...ref }] }).backends[0];
  const refs = (ref: Partial<BackendReference>): string =>
    statusFor({ backendRefs: [{ name: 'api', port: 80, ...ref }] })[0] ?? '';

  test('a Service by name and port, with weight 1', () => {
    const target = { kind: 'service', service: API, port: 80, subset: undefined };
    assert.deepEqual(backendFor({}), { target, weight: 1, filters: [] });
    assert.equal(backendFor({ name: 'headless' })?.target.kind, 'service');
  });

  test('a subset of a Service’s pods', () => {
    const subset = { group: 'networking.ambit-mesh.io', kind: 'ServiceSubset' };
    assert.deepEqual(backendFor({ ...subset, name: 'api.v1' })?.target, {
      kind: 'service',
      service: API,
      port: 80,
      subset: 'v1',
    });
    assert.match(refs({ ...subset, name: 'api' }), /False\/InvalidKind/);
    assert.match(refs({ ...subset, name: 'nobody.v1' }), /False\/BackendNotFound/);
  });

  for (const [what, ref, reason] of [
    ['a Service that is not there', { name: 'nobody' }, 'BackendNotFound'],
    ['a port that is not there', { port: 81 }, 'BackendNotFound'],
    ['no port', { port: undefined as never }, 'BackendNotFound'],
    ['another kind', { kind: 'Bucket', group: 'x.test' }, 'InvalidKind'],
    ['an ExternalName', { name: 'outside' }, 'InvalidKind'],
  ] as const) {
    test(`${what}: its share ends with 500, the route stays accepted`, () => {
      assert.equal(refs(ref), `Accepted=True/Accepted ResolvedRefs=False/${reason}`);
      assert.equal(backendFor(ref)?.target.kind, 'invalid');
    });
  }

  test('weight 0 is looked at like any other', () => {
    const rule: Rule = {
      backendRefs: [
        { name: 'api', port: 80, weight: 70 },
        { name: 'nobody', port: 80, weight: 0 },
      ],
    };
    assert.match(statusFor(rule)[0] ?? '', /Accepted=True.*False\/BackendNotFound/);
    assert.deepEqual(
      ruleOf(rule).backends.map(({ weight }) => weight),
      [70, 0],
    );
  });

  test('protocols of Kubernetes’ own that cannot be routed to are told; other words are the user’s', () => {
    const status = (appProtocol: string): string => {
      const ports = [{ port: 80, appProtocol }];
      const services = [
        { metadata: { name: 'p', namespace: 'shop' }, spec: { clusterIP: '10.96.0.9', ports } },
      ];
      const rules = [{ backendRefs: [{ name: 'p', port: 80 }] }];
      return statusOf(run({ services, httpRoutes: [route('r', { rules })] }), 'r')[0] ?? '';
    };
    for (const good of [
      'http',
      'kubernetes.io/h2c',
      'kubernetes.io/ws',
      'grpc',
      'HTTPS',
      'x.test/y',
    ]) {
      assert.equal(status(good), GOOD);
    }
    assert.match(status('kubernetes.io/wss'), /False\/UnsupportedProtocol/);
  });

  test('no backends are no fault of references', () => {
    assert.deepEqual(statusFor({ backendRefs: [] }), [GOOD]);
    assert.deepEqual(ruleOf({}).backends, []);
  });
});

describe('times', () => {
  test('timeouts and retries; 0s says that there is no limit', () => {
    const { requestTimeoutMs, backendTimeoutMs, retry } = ruleOf({
      timeouts: { request: '0s', backendRequest: '1m500ms' },
      retry: { codes: [500, 503], attempts: 3, backoff: '100ms' },
    });
    assert.deepEqual([requestTimeoutMs, backendTimeoutMs], [0, 60_500]);
    assert.deepEqual(retry, { codes: [500, 503], attempts: 3, backoffMs: 100 });
    assert.deepEqual(ruleOf({ retry: {} }).retry, { codes: [], attempts: 2, backoffMs: undefined });
    assert.equal(ruleOf({}).requestTimeoutMs, undefined);
  });

  test('sessions have a name of their own where none was given', () => {
    const name = (rule: Rule) => ruleOf(rule).sessionPersistence?.name ?? '';
    assert.match(name({ sessionPersistence: {} }), /^ambit-session-[0-9a-f]{12}$/);
    assert.equal(name({ sessionPersistence: { sessionName: 'mine' } }), 'mine');
    assert.deepEqual(
      ruleOf({
        sessionPersistence: {
          type: 'Cookie',
          sessionName: 's',
          absoluteTimeout: '1h',
          cookieConfig: { lifetimeType: 'Permanent' },
        },
      }).sessionPersistence,
      {
        type: 'cookie',
        name: 's',
        absoluteTimeoutMs: 3_600_000,
        idleTimeoutMs: undefined,
        permanent: true,
      },
    );
    const endless = { cookieConfig: { lifetimeType: 'Permanent' } };
    assert.match(statusFor({ sessionPersistence: endless })[0] ?? '', OF_ROUTE);
  });

  test('durations are read as they were written', () => {
    const parts = fc.array(
      fc.tuple(
        fc.nat(99_999),
        fc.constantFrom(['h', 3_600_000], ['m', 60_000], ['s', 1000], ['ms', 1]),
      ),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(parts, (list) => {
        const text = list.map(([count, [unit]]) => `${count}${unit}`).join('');
        const sum = list.reduce((total, [count, [, ms]]) => total + count * Number(ms), 0);
        assert.equal(durationMs(text, 'field'), sum);
      }),
    );
    for (const bad of ['', '1', 's', '1.5s', '-1s', '1s ', '100000s', '1s1s1s1s1s', '1us']) {
      assert.throws(() => durationMs(bad, 'field'), /is not a duration/);
    }
  });
});
