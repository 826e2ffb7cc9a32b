import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { HttpRequest } from './http-request.ts';
import { compileRoutes, matchRoute } from './match-route.ts';
import type { PathMatch, Route, RouteMatch, RouteRule, ValueMatch } from './route.ts';
import { BROKEN, searchRoutes } from './test-naive-routes.ts';
import {
  callerOf,
  ECHO_80,
  EMPTY_RULE,
  NOBODY,
  ON_ECHO_80,
  ON_LISTENER,
  pathMatch,
  REGEX,
  routeOf,
} from './test-routes.ts';

const oneOf = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const maybe = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(item, { nil: undefined });

const SEGMENT = oneOf('a', 'b', 'ab');
const PATH = fc
  .tuple(fc.array(SEGMENT, { maxLength: 3 }), oneOf('', '/'))
  .map(([segments, slash]) => `/${segments.join('/')}${segments.length > 0 ? slash : ''}`);
const PATTERN = oneOf(
  '/a.*',
  '/a/.*',
  '/(a|b)/a',
  '/a/b?',
  '/a',
  '/a/b',
  '.*b',
  '/a|/b',
  BROKEN,
  '/a/*b',
);
const PATH_MATCH: fc.Arbitrary<PathMatch> = fc.oneof(
  PATH.map((path) => pathMatch(`=${path}`)),
  PATH.map(pathMatch),
  PATTERN.map((pattern) => pathMatch(`~${pattern}`)),
);
const VALUES: fc.Arbitrary<readonly ValueMatch[]> = fc.array(
  fc.record({ name: oneOf('x', 'y'), type: oneOf('exact', 'regex'), value: oneOf('1', '2') }),
  { maxLength: 2 },
);
const MATCH: fc.Arbitrary<RouteMatch> = fc.record({
  path: maybe(PATH_MATCH),
  method: maybe(oneOf('GET', 'PUT')),
  headers: VALUES,
  query: VALUES,
  grpc: maybe(
    fc.record({
      type: oneOf('exact', 'regex'),
      service: maybe(oneOf('a', 'ab', 'b')),
      method: maybe(oneOf('a', 'b')),
    }),
  ),
  source: maybe(
    fc.record({
      namespaces: fc.array(oneOf('shop', 'ops'), { maxLength: 2 }),
      principals: fc.array(oneOf('cluster.local/ns/shop/sa/web', 'cluster.local/ns/ops/sa/web'), {
        maxLength: 1,
      }),
    }),
  ),
});
/** Nothing but patterns, so that several of them hold for one request. */
const PATTERN_MATCH: fc.Arbitrary<RouteMatch> = fc.record({
  path: PATTERN.map((pattern) => pathMatch(`~${pattern}`)),
  method: fc.constant(undefined),
  headers: fc.constant([]),
  query: fc.constant([]),
  grpc: fc.record({
    type: fc.constant('regex' as const),
    service: maybe(oneOf('[ab]', '.*', '[ab]{1,3}')),
    method: maybe(oneOf('[ab]', '.*', '[ab]{1,3}')),
  }),
  source: fc.constant(undefined),
});
const RULE: fc.Arbitrary<RouteRule> = fc
  .array(fc.oneof(MATCH, PATTERN_MATCH), { maxLength: 3 })
  .map((matches) => ({ ...EMPTY_RULE, matches }));
const HOSTNAMES = fc.uniqueArray(oneOf('a.b.c', 'b.c', '*.b.c', '*.c', 'c'), { maxLength: 2 });

const ROUTES = (onListener: boolean): fc.Arbitrary<readonly Route[]> =>
  fc.uniqueArray(
    fc
      .record({
        kind: oneOf<Route['kind']>('http', 'http', 'grpc'),
        name: oneOf('a', 'b', 'c', 'd', 'e'),
        createdAt: oneOf(1, 2),
        hostnames: HOSTNAMES,
        rules: fc.array(RULE, { minLength: 1, maxLength: 3 }),
      })
      .map(({ hostnames, ...route }) =>
        routeOf({ ...route, parents: [onListener ? { ...ON_LISTENER, hostnames } : ON_ECHO_80] }),
      ),
    { selector: ({ name }) => name, maxLength: 5 },
  );
const REQUEST: fc.Arbitrary<HttpRequest> = fc.record({
  method: oneOf('GET', 'PUT', 'OPTIONS'),
  scheme: oneOf('http'),
  authority: oneOf('a.b.c', 'x.b.c', 'b.c', 'x.c', 'c', 'd'),
  path: PATH,
  query: maybe(oneOf('x=1', 'x=2', 'y=1&x=2', 'x=1&x=2&y=2', '')),
  headers: fc.array(fc.tuple(oneOf('x', 'y'), oneOf('1', '2')), { maxLength: 3 }),
});
const SOURCE = oneOf(NOBODY, callerOf('shop'), callerOf('ops'));

describe('matchRoute() and a list that is searched from end to end', () => {
  for (const parent of [ECHO_80, ON_LISTENER]) {
    test(`come to the same rule and match: ${parent.kind}`, () => {
      let matches = 0;
      fc.assert(
        fc.property(
          ROUTES(parent.kind === 'listener'),
          REQUEST,
          SOURCE,
          (routes, request, source) => {
            const table = compileRoutes(routes, parent, REGEX);
            const matched = matchRoute(table, request, source);
            const found = matched && {
              name: matched.route.name,
              rule: matched.ruleIndex,
              match: matched.match,
            };
            if (found !== undefined) matches++;
            const holding = routes.filter((route) => table.routes.includes(route));
            assert.deepEqual(found, searchRoutes(holding, request, source));
          },
        ),
        { numRuns: 3000 },
      );
      assert.ok(matches > 500, `requests of this pool have to meet routes: ${matches} did`);
    });
  }

  test('do so whatever the order the routes came in', () => {
    fc.assert(
      fc.property(ROUTES(false), REQUEST, SOURCE, (routes, request, source) => {
        const one = matchRoute(compileRoutes(routes, ECHO_80, REGEX), request, source);
        const reversed = compileRoutes(routes.toReversed(), ECHO_80, REGEX);
        assert.deepEqual(matchRoute(reversed, request, source), one);
      }),
      { numRuns: 1000 },
    );
  });
});
