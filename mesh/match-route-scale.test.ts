import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { candidateGroups, compileRoutes, matchRoute, type RouteTable } from './match-route.ts';
import type { Route, RouteMatch } from './route.ts';
import {
  ECHO_80,
  goesTo,
  matching,
  NOBODY,
  ON_LISTENER,
  REGEX,
  requestTo,
  routeOf,
  ruleTo,
} from './test-routes.ts';

const COUNT = 10_000;

/** Every match the request would be compared with, were none of them to hold. */
function comparisons(table: RouteTable, target: string, host = 'echo'): number {
  const request = requestTo(target, { host });
  return [...candidateGroups(table, request)].reduce((sum, group) => sum + group.length, 0);
}

function tableOf(match: (i: number) => RouteMatch, parts: Partial<Route> = {}): RouteTable {
  const routes = Array.from({ length: COUNT }, (_, i) =>
    routeOf({ name: `r${i}`, rules: [ruleTo(`s${i}`, match(i))], ...parts }),
  );
  return compileRoutes(routes, ECHO_80, REGEX);
}

describe('ten thousand routes on one parent', () => {
  test('with exact paths cost one comparison', () => {
    const table = tableOf((i) => matching({ path: `=/a/b/${i}` }));
    assert.equal(comparisons(table, '/a/b/7777'), 1);
    assert.equal(comparisons(table, '/a/b'), 0);
    assert.equal(goesTo(matchRoute(table, requestTo('/a/b/7777'), NOBODY)), 's7777');
  });

  test('with prefixes cost one comparison a segment that ends one', () => {
    const table = tableOf((i) => matching({ path: i % 2 === 0 ? `/a/${i}` : `/a/${i - 1}/deep` }));
    assert.equal(comparisons(table, '/a/5000/deep/and/deeper'), 2);
    assert.equal(comparisons(table, '/a/5000/else'), 1);
    assert.equal(goesTo(matchRoute(table, requestTo('/a/5000/deep/x'), NOBODY)), 's5001');
  });

  test('with regexes below their own first segments cost those of one segment', () => {
    const table = tableOf((i) => matching({ path: `~/s${i}/v[0-9]+` }));
    assert.equal(comparisons(table, '/s7777/v1'), 1);
    assert.equal(goesTo(matchRoute(table, requestTo('/s7777/v1'), NOBODY)), 's7777');
  });

  test('with gRPC methods cost one comparison', () => {
    const table = tableOf(
      (i) => matching({ grpc: { type: 'exact', service: `pkg.S${i}`, method: 'Get' } }),
      { kind: 'grpc' },
    );
    assert.equal(comparisons(table, '/pkg.S7777/Get'), 1);
    assert.equal(goesTo(matchRoute(table, requestTo('/pkg.S7777/Get'), NOBODY)), 's7777');
  });

  test('with hostnames of their own cost one comparison', () => {
    const routes = Array.from({ length: COUNT }, (_, i) =>
      routeOf({
        name: `r${i}`,
        parents: [{ ...ON_LISTENER, hostnames: [i % 2 === 0 ? `h${i}.test` : `*.h${i}.test`] }],
        rules: [ruleTo(`s${i}`)],
      }),
    );
    const table = compileRoutes(routes, ON_LISTENER, REGEX);
    assert.equal(comparisons(table, '/', 'h7776.test'), 1);
    assert.equal(comparisons(table, '/', 'a.b.h7777.test'), 1);
    assert.equal(comparisons(table, '/', 'h7777.test'), 0);
  });

  test('a path of thousands of segments is cut no more often than the prefixes are deep', () => {
    const table = tableOf((i) => matching({ path: `/a/${i}` }));
    assert.equal(comparisons(table, `/a/7777${'/x'.repeat(4000)}`), 1);
    assert.equal([...candidateGroups(table, requestTo('/x'.repeat(4000)))].length <= 8, true);
  });
});
