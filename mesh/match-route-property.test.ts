import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { HttpRequest, RequestSource } from './http-request.ts';
import { compileRoutes, matchRoute } from './match-route.ts';
import type { PathMatch, Route, RouteMatch, RouteRule, ValueMatch } from './route.ts';
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

// A second implementation that knows no index: every match of every route and hostname in one list, the requests compared
// with all of them, and of those that hold the best by the written order.

type Line = { readonly route: Route; readonly rule: number; readonly place: number } & {
  readonly hostname: string;
  readonly match: RouteMatch | undefined;
};

function naive(routes: readonly Route[], request: HttpRequest, source: RequestSource) {
  const lines: Line[] = routes.flatMap((route) =>
    route.rules.flatMap(({ matches }, rule) =>
      (matches.length === 0 ? [undefined] : matches).flatMap((match, place) =>
        hostnamesOf(route).map((hostname) => ({ route, rule, place, hostname, match })),
      ),
    ),
  );
  const held = lines.filter((line) => naiveHolds(line, request, source));
  const [best] = held.toSorted((a, b) => naiveOrder(a, b));
  return best && { name: best.route.name, rule: best.rule, match: best.match };
}

function hostnamesOf({ parents: [parent] }: Route): readonly string[] {
  return parent?.kind !== 'listener' || parent.hostnames.length === 0 ? [''] : parent.hostnames;
}

function naiveHolds(
  { route, hostname, match }: Line,
  request: HttpRequest,
  { identity }: RequestSource,
): boolean {
  const { authority: host, path, method } = request;
  if (hostname.startsWith('*') ? !host.endsWith(hostname.slice(1)) : hostname && hostname !== host)
    return false;
  if (match === undefined) return true;
  if (route.kind === 'grpc') {
    const [, service, call] = /^\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
    const { grpc } = match;
    const same = (wanted: string | undefined, text: string | undefined): boolean =>
      wanted === undefined ||
      (text !== undefined && (grpc?.type === 'regex' ? REGEX(wanted)(text) : wanted === text));
    if (!same(grpc?.service, service) || !same(grpc?.method, call)) return false;
  } else if (!naivePathHolds(match.path, path)) return false;
  if (match.method !== undefined && match.method !== method) return false;
  for (const { name, type, value } of firsts(match.headers)) {
    const lines = request.headers.filter(([key]) => key === name).map(([, text]) => text);
    const text = lines.length === 0 ? undefined : lines.join(',');
    if (text === undefined || !(type === 'exact' ? text === value : REGEX(value)(text)))
      return false;
  }
  for (const { name, type, value } of firsts(match.query)) {
    const text = new URLSearchParams(request.query).get(name);
    if (text === null || !(type === 'exact' ? text === value : REGEX(value)(text))) return false;
  }
  const { namespaces = [], principals = [] } = match.source ?? {};
  const who = identity && `cluster.local/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
  if (namespaces.length > 0 && !namespaces.some((one) => one === identity?.namespace)) return false;
  return principals.length === 0 || principals.some((one) => one === who);
}

function naivePathHolds(wanted: PathMatch | undefined, path: string): boolean {
  if (wanted === undefined) return true;
  if (wanted.type === 'exact') return path === wanted.value;
  if (wanted.type === 'regex') return wanted.value !== BROKEN && REGEX(wanted.value)(path);
  const segments = wanted.value.replace(/\/$/, '').split('/');
  const given = path.split('/');
  return segments.every((segment, i) => i === 0 || segment === given[i]);
}

function firsts(values: readonly ValueMatch[]): readonly ValueMatch[] {
  return values.filter((one, i) => values.findIndex(({ name }) => name === one.name) === i);
}

function naiveOrder(a: Line, b: Line): number {
  const text = ({ route }: Line): string => `${route.namespace}/${route.name}`;
  return (
    Number(b.hostname !== '' && !b.hostname.startsWith('*')) -
      Number(a.hostname !== '' && !a.hostname.startsWith('*')) ||
    b.hostname.length - a.hostname.length ||
    Number(a.route.kind === 'http') - Number(b.route.kind === 'http') ||
    (a.route.kind === 'http' ? naivePathOrder(a, b) : naiveCallOrder(a, b)) ||
    Number(b.match?.method !== undefined) - Number(a.match?.method !== undefined) ||
    firsts(b.match?.headers ?? []).length - firsts(a.match?.headers ?? []).length ||
    firsts(b.match?.query ?? []).length - firsts(a.match?.query ?? []).length ||
    (b.match?.source?.principals ?? []).slice(0, 1).length -
      (a.match?.source?.principals ?? []).slice(0, 1).length ||
    (b.match?.source?.namespaces ?? []).slice(0, 1).length -
      (a.match?.source?.namespaces ?? []).slice(0, 1).length ||
    a.route.createdAt - b.route.createdAt ||
    (text(a) < text(b) ? -1 : Number(text(a) > text(b))) ||
    a.rule - b.rule ||
    a.place - b.place
  );
}

function naivePathOrder(a: Line, b: Line): number {
  const kinds = ['exact', 'regex', 'prefix'];
  const path = ({ match }: Line): PathMatch => match?.path ?? { type: 'prefix', value: '/' };
  return (
    kinds.indexOf(path(a).type) - kinds.indexOf(path(b).type) ||
    path(b).value.length - path(a).value.length
  );
}

function naiveCallOrder(a: Line, b: Line): number {
  const kind = ({ match }: Line): number => {
    if (!match?.grpc?.service && !match?.grpc?.method) return 2;
    return match.grpc.type === 'exact' ? 0 : 1;
  };
  return (
    kind(a) - kind(b) ||
    (b.match?.grpc?.service ?? '').length - (a.match?.grpc?.service ?? '').length ||
    (b.match?.grpc?.method ?? '').length - (a.match?.grpc?.method ?? '').length
  );
}

const oneOf = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const maybe = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(item, { nil: undefined });

/** Does not compile, so that nothing meets it. */
const BROKEN = '/[';
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
              match: matched.rule.matches.length === 0 ? undefined : matched.match,
            };
            if (found !== undefined) matches++;
            const holding = routes.filter((route) => table.routes.includes(route));
            assert.deepEqual(found, naive(holding, request, source));
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
