// Filters of routes as waypoints get them, and those that cannot be.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RouteFilter } from '../../../mesh/route.ts';
import type { RouteFilterSpec } from '../../../runtime/kubernetes/route-objects.ts';
import { filterRule, grpcRoute, type Rule, route, ruleOf, run, statusOf } from './test-routes.ts';

const API = 'shop/api.shop.svc.cluster.local';
const statusFor = (...rules: Rule[]): string[] =>
  statusOf(run({ httpRoutes: [route('r', { rules })] }), 'r');
const filterFor = (spec: RouteFilterSpec): RouteFilter | undefined =>
  ruleOf(filterRule(spec)).filters[0];
const OF_ROUTE = /^Accepted=False\/UnsupportedValue/;

describe('filters', () => {
  test('headers are set, added and removed by lower-case names', () => {
    const edit = {
      set: [{ name: 'X-A', value: '1' }],
      add: [{ name: 'X-B', value: '2' }],
      remove: ['X-C'],
    };
    const made = { set: [['x-a', '1']], add: [['x-b', '2']], remove: ['x-c'] };
    assert.deepEqual(filterFor({ type: 'RequestHeaderModifier', requestHeaderModifier: edit }), {
      kind: 'request-headers',
      ...made,
    });
    assert.deepEqual(filterFor({ type: 'ResponseHeaderModifier', responseHeaderModifier: edit }), {
      kind: 'response-headers',
      ...made,
    });
  });

  test('a header value with a line break is refused', () => {
    for (const [name, value] of [
      ['a', 'b\r\nc: d'],
      ['a b', 'c'],
      ['a', '\0'],
    ] as const) {
      const requestHeaderModifier = { set: [{ name, value }] };
      const [status] = statusFor(
        filterRule({ type: 'RequestHeaderModifier', requestHeaderModifier }),
      );
      assert.match(status ?? '', OF_ROUTE);
    }
  });

  test('redirects, with 302 where they do not say', () => {
    const nothing = { scheme: undefined, hostname: undefined, path: undefined, port: undefined };
    assert.deepEqual(filterFor({ type: 'RequestRedirect', requestRedirect: {} }), {
      kind: 'redirect',
      ...nothing,
      status: 302,
    });
    const path = { type: 'ReplaceFullPath', replaceFullPath: '/full' };
    assert.deepEqual(
      filterFor({
        type: 'RequestRedirect',
        requestRedirect: {
          scheme: 'https',
          hostname: 'Example.org',
          path,
          port: 8443,
          statusCode: 308,
        },
      }),
      {
        kind: 'redirect',
        scheme: 'https',
        hostname: 'example.org',
        path: { type: 'full', value: '/full' },
        port: 8443,
        status: 308,
      },
    );
    for (const requestRedirect of [
      { statusCode: 300 },
      { scheme: 'ftp' },
      { hostname: 'a\r\nb' },
    ]) {
      assert.match(
        statusFor(filterRule({ type: 'RequestRedirect', requestRedirect }))[0] ?? '',
        OF_ROUTE,
      );
    }
  });

  test('rewrites of host and path; a prefix only where prefixes are matched', () => {
    const path = { type: 'ReplacePrefixMatch', replacePrefixMatch: '' };
    const rewrite = filterRule({ type: 'URLRewrite', urlRewrite: { hostname: 'a.test', path } });
    assert.deepEqual(ruleOf(rewrite).filters, [
      { kind: 'rewrite', hostname: 'a.test', path: { type: 'prefix', value: '/' } },
    ]);
    const exact = { ...rewrite, matches: [{ path: { type: 'Exact', value: '/a' } }] };
    assert.match(statusFor(exact)[0] ?? '', OF_ROUTE);
    const query = { type: 'ReplaceFullPath', replaceFullPath: '/a?b' };
    assert.match(
      statusFor(filterRule({ type: 'URLRewrite', urlRewrite: { path: query } }))[0] ?? '',
      OF_ROUTE,
    );
  });

  test('mirrors: all requests, a percentage or a fraction', () => {
    const backendRef = { name: 'api', port: 80 };
    const share = (requestMirror: object) => {
      const filter = filterFor({
        type: 'RequestMirror',
        requestMirror: { backendRef, ...requestMirror },
      });
      return filter?.kind === 'mirror' ? [filter.numerator, filter.denominator] : [];
    };
    assert.deepEqual(share({}), [100, 100]);
    assert.deepEqual(share({ percent: 20 }), [20, 100]);
    assert.deepEqual(share({ fraction: { numerator: 1, denominator: 3 } }), [1, 3]);
    const nobody = { backendRef: { name: 'nobody', port: 80 } };
    assert.match(
      statusFor(filterRule({ type: 'RequestMirror', requestMirror: nobody }))[0] ?? '',
      /ResolvedRefs=False\/BackendNotFound/,
    );
  });

  test('CORS with its defaults, and authorization by another service', () => {
    assert.deepEqual(filterFor({ type: 'CORS', cors: { allowOrigins: ['*'] } }), {
      kind: 'cors',
      allowOrigins: ['*'],
      allowCredentials: false,
      allowMethods: [],
      allowHeaders: [],
      exposeHeaders: [],
      maxAgeSeconds: 5,
    });
    const externalAuth = {
      protocol: 'HTTP',
      backendRef: { name: 'api', port: 80 },
      http: { path: '/check', allowedHeaders: ['X-A'], allowedResponseHeaders: ['X-User'] },
      forwardBody: { maxSize: 10 },
    };
    assert.deepEqual(filterFor({ type: 'ExternalAuth', externalAuth }), {
      kind: 'external-auth',
      protocol: 'http',
      target: { kind: 'service', service: API, port: 80, subset: undefined },
      pathPrefix: '/check',
      allowedHeaders: ['x-a'],
      allowedResponseHeaders: ['x-user'],
      maxBodyBytes: 10,
    });
  });

  test('an extension that is not known ends its requests with 500, and is told', () => {
    const extensionRef = { group: 'x.test', kind: 'Wasm', name: 'w' };
    const rule = filterRule({ type: 'ExtensionRef', extensionRef });
    assert.equal(ruleOf(rule).filters[0]?.kind, 'broken');
    assert.deepEqual(statusFor(rule), ['Accepted=True/Accepted ResolvedRefs=False/InvalidKind']);
  });

  test('a type that is not known, or not one of a GRPCRoute, costs the route', () => {
    assert.match(statusFor(filterRule({ type: 'Compress' }))[0] ?? '', OF_ROUTE);
    const rules = [filterRule({ type: 'URLRewrite', urlRewrite: {} })];
    assert.match(
      statusOf(run({ grpcRoutes: [grpcRoute('r', { rules })] }), 'r')[0] ?? '',
      OF_ROUTE,
    );
  });

  test('a redirect and a rewrite do not go together, in a rule and in a backend', () => {
    const filters: RouteFilterSpec[] = [
      { type: 'URLRewrite', urlRewrite: { hostname: 'a.test' } },
      { type: 'RequestRedirect', requestRedirect: { hostname: 'b.test' } },
    ];
    const status = ['Accepted=False/IncompatibleFilters ResolvedRefs=True/ResolvedRefs'];
    assert.deepEqual(statusFor(filterRule(...filters)), status);
    assert.deepEqual(statusFor({ backendRefs: [{ name: 'api', port: 80, filters }] }), status);
  });
});
