import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compileRoutes, matchRoute, matchStream, type RouteTable } from './match-route.ts';
import type { Route, RouteRule } from './route.ts';
import {
  assertCases,
  callerOf,
  ECHO_80,
  goesTo,
  matching,
  NOBODY,
  ON_ECHO_80,
  ON_LISTENER,
  REGEX,
  requestTo,
  routeOf,
  ruleTo,
  tableOf,
} from './test-routes.ts';

describe('matchRoute() by hostname', () => {
  const at = (to: string, ...hostnames: string[]): Route =>
    routeOf({
      name: to,
      parents: [{ ...ON_LISTENER, hostnames }],
      rules: [ruleTo(to, matching({ path: `/${to}` }), matching({ path: '/all' }))],
    });

  test('an exact hostname comes before wildcards, a longer wildcard before a shorter, any host last', () => {
    const table = compileRoutes(
      [at('any'), at('wide', '*.com'), at('wild', '*.bar.com'), at('exact', 'foo.bar.com')],
      ON_LISTENER,
      REGEX,
    );
    assertCases(table, [
      ['/all', 'exact', { host: 'foo.bar.com' }],
      ['/all', 'wild', { host: 'baz.bar.com' }],
      ['/all', 'wild', { host: 'multiple.prefixes.bar.com' }],
      ['/all', 'wide', { host: 'bar.com' }],
      ['/all', 'wide', { host: 'foo.com' }],
      ['/all', 'any', { host: 'com' }],
      ['/all', 'any', { host: 'no.matching.host' }],
      ['/all', 'any', { host: '[::1]:80' }],
      ['/all', 'any', { host: '' }],
    ]);
  });

  test('a less specific hostname is asked when no rule of the more specific one is met', () => {
    const table = compileRoutes([at('wide', '*.com'), at('exact', 'foo.com')], ON_LISTENER, REGEX);
    assertCases(table, [['/wide', 'wide', { host: 'foo.com' }]]);
  });

  test('port, case and the dot of the DNS root do not count', () => {
    const table = compileRoutes([at('exact', 'Very.Specific.com')], ON_LISTENER, REGEX);
    assertCases(table, [
      ['/all', 'exact', { host: 'very.specific.com:1234' }],
      ['/all', 'exact', { host: 'VERY.specific.com' }],
      ['/all', 'exact', { host: 'very.specific.com.' }],
      ['/all', 'exact', { host: 'very.specific.com.:80' }],
      ['/all', '404', { host: 'non.matching.com' }],
      ['/all', '404', { host: 'x.very.specific.com' }],
    ]);
  });

  test('a wildcard stands for one label or more, never for none', () => {
    const table = compileRoutes([at('wild', '*.wildcard.io')], ON_LISTENER, REGEX);
    assertCases(table, [
      ['/wild', 'wild', { host: 'foo.wildcard.io' }],
      ['/wild', 'wild', { host: 'foo.bar.wildcard.io' }],
      ['/wild', '404', { host: 'wildcard.io' }],
      ['/wild', '404', { host: 'foowildcard.io' }],
      ['/other', '404', { host: 'foo.wildcard.io' }],
    ]);
  });

  test('a route holds for the listeners that name it, and no others', () => {
    const elsewhere = { ...ON_LISTENER, listener: 'https', hostnames: [] };
    const other = routeOf({ parents: [elsewhere], rules: [ruleTo('v1')] });
    assert.deepEqual(compileRoutes([other], ON_LISTENER, REGEX).routes, []);
  });

  test('hostnames of routes to services are not looked at', () => {
    assertCases(tableOf(ruleTo('v1')), [['/', 'v1', { host: 'whatever.example' }]]);
  });
});

describe('matchRoute() where the Gateway API leaves the choice', () => {
  test('a regex comes after exact paths and before prefixes, the longest pattern first', () => {
    const table = tableOf(
      ruleTo('prefix', matching({ path: '/api/v1/users' })),
      ruleTo('regex', matching({ path: '~/api/v[0-9]/.*' })),
      ruleTo('longer', matching({ path: '~/api/v[0-9]/users/[a-z]+' })),
      ruleTo('exact', matching({ path: '=/api/v1/users/me' })),
    );
    assertCases(table, [
      ['/api/v1/users/me', 'exact'],
      ['/api/v1/users/you', 'longer'],
      ['/api/v1/users', 'regex'],
      ['/api/v1', '404'],
    ]);
  });

  test('a regex matches the whole path', () => {
    assertCases(tableOf(ruleTo('v1', matching({ path: '~/a' }))), [
      ['/a', 'v1'],
      ['/a/b', '404'],
      ['/aa', '404'],
    ]);
  });

  test('a regex that does not compile is never met, and is told of', () => {
    const table = tableOf(
      ruleTo('v1', matching({ path: '~/(' }), matching({ headers: { 'X-A': '~(' } })),
      ruleTo('v2', matching({ path: '/ok' })),
    );
    assertCases(table, [
      ['/(', '404'],
      ['/', '404', { headers: { 'x-a': '(' } }],
      ['/ok', 'v2'],
    ]);
    assert.deepEqual(
      table.problems.map(({ route, ruleIndex, matchIndex, where, pattern }) => ({
        route,
        ruleIndex,
        matchIndex,
        where,
        pattern,
      })),
      [
        { route: 'http/m/route', ruleIndex: 0, matchIndex: 0, where: 'path', pattern: '/(' },
        { route: 'http/m/route', ruleIndex: 0, matchIndex: 1, where: 'header x-a', pattern: '(' },
      ],
    );
    assert.match(table.problems[0]?.why ?? '', /Unterminated group/);
  });

  test('who asks decides after query parameters: principals before namespaces before anybody', () => {
    const principals = ['cluster.local/ns/shop/sa/web'];
    const table = tableOf(
      ruleTo('anybody'),
      ruleTo('shop', matching({ source: { namespaces: ['shop', 'ops'], principals: [] } })),
      ruleTo('web', matching({ source: { namespaces: [], principals } })),
      ruleTo('query', matching({ query: { a: 'b' } })),
    );
    const to = (target: string, source = NOBODY): string =>
      goesTo(matchRoute(table, requestTo(target), source));
    assert.equal(to('/'), 'anybody');
    assert.equal(to('/', callerOf('other')), 'anybody');
    assert.equal(to('/', callerOf('ops')), 'shop');
    assert.equal(to('/', callerOf('shop', 'api')), 'shop');
    assert.equal(to('/', callerOf('shop', 'web')), 'web');
    assert.equal(to('/?a=b', callerOf('shop', 'web')), 'query');
  });

  test('a preflight for a method belongs to the rule with CORS settings that takes the method', () => {
    const rule = ruleTo('v1', matching({ path: '/a', method: 'PUT' }));
    const cors = {
      kind: 'cors',
      allowOrigins: [],
      allowCredentials: false,
      allowMethods: [],
      allowHeaders: [],
      exposeHeaders: [],
      maxAgeSeconds: 5,
    } as const;
    const headers = { 'access-control-request-method': 'PUT' };
    const table = tableOf({ ...rule, filters: [cors] });
    assertCases(table, [
      ['/a', 'v1', { method: 'OPTIONS', headers }],
      ['/a', '404', { method: 'OPTIONS' }],
      ['/a', '404', { method: 'POST', headers }],
    ]);
    assertCases(tableOf(rule), [['/a', '404', { method: 'OPTIONS', headers }]]);
  });
});

describe('matchRoute() among equal matches', () => {
  const rule = (to: string): RouteRule => ruleTo(to, matching({ path: '/' }));

  test('the older route wins, then the first by namespace/name', () => {
    const older = routeOf({ name: 'z', createdAt: 1, rules: [rule('older')] });
    const newer = routeOf({ name: 'a', createdAt: 2, rules: [rule('newer')] });
    const twin = routeOf({ name: 'b', createdAt: 1, rules: [rule('twin')] });
    const to = (...routes: Route[]): string =>
      goesTo(matchRoute(compileRoutes(routes, ECHO_80, REGEX), requestTo('/'), NOBODY));
    assert.equal(to(newer, older), 'older');
    assert.equal(to(older, twin), 'twin');
    assert.equal(to(twin, older), 'twin');
  });

  test('what matched is told: route, rule and its place, match', () => {
    const first = ruleTo('v1', matching({ path: '/v1' }));
    const second = ruleTo('v2', matching({ path: '=/x' }), matching({ path: '/v2' }));
    const route = routeOf({ rules: [first, second] });
    const table = compileRoutes([route], ECHO_80, REGEX);
    assert.deepEqual(matchRoute(table, requestTo('/v2/a'), NOBODY), {
      route,
      rule: second,
      ruleIndex: 1,
      match: second.matches[1],
    });
  });

  test('a rule without matches takes everything, OPTIONS * too', () => {
    assertCases(tableOf(ruleTo('v1')), [
      ['/', 'v1'],
      ['/a/b', 'v1'],
      ['*', 'v1', { method: 'OPTIONS' }],
    ]);
    assertCases(tableOf(ruleTo('v1', matching({ path: '/a' }))), [
      ['*', '404', { method: 'OPTIONS' }],
    ]);
  });

  test('of two entries with one header or parameter name the first counts', () => {
    const twice = (name: string, other: string) =>
      [
        { name, type: 'exact', value: 'one' },
        { name: other, type: 'exact', value: 'two' },
      ] as const;
    const headers = { ...matching(), headers: twice('X-A', 'x-a') };
    const query = { ...matching(), query: twice('a', 'a') };
    assertCases(tableOf(ruleTo('h', headers), ruleTo('q', query)), [
      ['/', 'h', { headers: { 'x-a': 'one' } }],
      ['/', '404', { headers: { 'x-a': 'two' } }],
      ['/?a=one', 'q'],
    ]);
  });

  test('a header in several lines is compared joined; of a parameter the first counts, decoded', () => {
    const table = tableOf(
      ruleTo('h', matching({ headers: { 'x-a': '1,2' } })),
      ruleTo('q', matching({ query: { 'big animal': 'blue whale' } })),
    );
    const lines = requestTo('/');
    const request = {
      ...lines,
      headers: [
        ['x-a', '1'],
        ['x-b', ''],
        ['x-a', '2'],
      ],
    } as const;
    assert.equal(goesTo(matchRoute(table, request, NOBODY)), 'h');
    assertCases(table, [
      ['/?big+animal=blue%20whale', 'q'],
      ['/?big+animal=blue%20whale&big+animal=x', 'q'],
      ['/?big+animal=x&big+animal=blue%20whale', '404'],
      ['/?big+animal=blue%2whale&%', '404'],
    ]);
  });
});

describe('matchRoute() for gRPC', () => {
  const call = (service?: string, method?: string, type: 'exact' | 'regex' = 'exact') =>
    matching({ grpc: { type, service, method } });
  const grpc = (...rules: RouteRule[]): RouteTable =>
    compileRoutes([routeOf({ kind: 'grpc', rules })], ECHO_80, REGEX);

  test('the longest service comes first, then the longest method; regexes after exact, any call last', () => {
    const table = grpc(
      ruleTo('any'),
      ruleTo('method', call(undefined, 'Echo')),
      ruleTo('regex', call('pkg\\..*', undefined, 'regex')),
      ruleTo('service', call('pkg.Echo')),
      ruleTo('both', call('pkg.Echo', 'EchoTwo')),
    );
    assertCases(table, [
      ['/pkg.Echo/EchoTwo', 'both'],
      ['/pkg.Echo/EchoThree', 'service'],
      ['/pkg.Echo/Echo', 'service'],
      ['/pkg.Other/Echo', 'method'],
      ['/pkg.Other/EchoTwo', 'regex'],
      ['/other/EchoTwo', 'any'],
      ['/pkg.Echo', 'any'],
      ['/pkg.Echo/Echo/x', 'any'],
      ['/', 'any'],
    ]);
  });

  test('more headers come before fewer', () => {
    const table = grpc(
      ruleTo('v1', call('s')),
      ruleTo('v2', { ...call('s'), headers: matching({ headers: { a: '1' } }).headers }),
    );
    assertCases(table, [
      ['/s/m', 'v2', { headers: { a: '1' } }],
      ['/s/m', 'v1'],
    ]);
  });

  test('a GRPCRoute puts the HTTPRoutes of the same port out of force', () => {
    const routes = [
      routeOf({ rules: [ruleTo('http')] }),
      routeOf({ kind: 'grpc', rules: [ruleTo('grpc', call('s'))] }),
    ];
    assertCases(compileRoutes(routes, ECHO_80, REGEX), [
      ['/s/m', 'grpc'],
      ['/other/m', '404'],
    ]);
  });
});

describe('matchStream()', () => {
  test('a connection takes the first rule of the oldest route; requests do not meet it', () => {
    const routes = [
      routeOf({ kind: 'tcp', name: 'a', createdAt: 2, rules: [ruleTo('newer')] }),
      routeOf({ kind: 'tcp', name: 'b', createdAt: 1, rules: [ruleTo('older'), ruleTo('second')] }),
    ];
    const table = compileRoutes(routes, ECHO_80, REGEX);
    assert.equal(goesTo(matchStream(table, '')), 'older');
    assertCases(table, [['/', '404']]);
  });

  test('a TLSRoute of a listener is found by the name the client asks for', () => {
    const at = (to: string, ...hostnames: string[]): Route =>
      routeOf({
        kind: 'tls',
        name: to,
        parents: [{ ...ON_LISTENER, hostnames }],
        rules: [ruleTo(to)],
      });
    const routes = [at('wild', '*.example.com'), at('exact', 'a.example.com')];
    const table = compileRoutes(routes, ON_LISTENER, REGEX);
    assert.equal(goesTo(matchStream(table, 'a.example.com')), 'exact');
    assert.equal(goesTo(matchStream(table, 'b.example.com')), 'wild');
    assert.equal(goesTo(matchStream(table, 'example.com')), '404');
  });

  test('HTTPRoutes say nothing of whole connections', () => {
    const route = routeOf({ parents: [ON_ECHO_80], rules: [ruleTo('v1')] });
    assert.equal(matchStream(compileRoutes([route], ECHO_80, REGEX), ''), undefined);
  });
});
