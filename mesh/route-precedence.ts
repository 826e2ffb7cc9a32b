// Which of two matches comes first when a request meets both: the order of the Gateway API (HTTPRouteRule.matches,
// GRPCRouteRule.matches), and our own where it leaves the choice. Called by compileRoutes(), which sorts by it. Pure.
//
// 1. [listeners: the longest exact hostname, then the longest wildcard: by the buckets of match-route.ts, not here]
// 2. GRPCRoutes before HTTPRoutes, should both hold (they cannot for one hostname: their owner refuses one)
// 3. HTTP path: exact, then regex (the longest pattern first), then the longest prefix in characters. Ours: a regex comes
//    before prefixes, as somebody who writes one beside the prefix `/` wants it to be met at all.
//    gRPC: exact service and method, then regex, then "any call"; inside each the longest service, then the longest method
// 4. with a method before without
// 5. most headers, 6. most query parameters
// 7. ours: who asks: principals before namespaces before anybody
// 8. the older route, 9. by `namespace/name`, 10. the earlier rule, 11. the earlier match

import type { Route, RouteMatch, RouteRule } from './route.ts';
import { distinct } from './route-criteria.ts';

/** One match of one rule of one route. */
export type PlacedMatch = {
  readonly route: Route;
  readonly rule: RouteRule;
  readonly ruleIndex: number;
  readonly match: RouteMatch;
  readonly matchIndex: number;
};

/** Sorted, the first to be tried at the front. The order is total: no two matches are equal. */
export function inPrecedence(matches: readonly PlacedMatch[]): readonly PlacedMatch[] {
  return matches
    .map((placed) => ({ placed, rank: rankOf(placed), name: nameOf(placed.route) }))
    .toSorted(
      (a, b) => byRank(a.rank, b.rank) || byText(a.name, b.name) || byPlace(a.placed, b.placed),
    )
    .map(({ placed }) => placed);
}

function byRank(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function byPlace(a: PlacedMatch, b: PlacedMatch): number {
  return a.ruleIndex - b.ruleIndex || a.matchIndex - b.matchIndex;
}

/** The lowest comes first. */
function rankOf({ route, match }: PlacedMatch): readonly number[] {
  return [
    route.kind === 'grpc' ? 0 : 1,
    ...(route.kind === 'grpc' ? callRank(match) : pathRank(match)),
    match.method === undefined ? 1 : 0,
    -distinct(match.headers, (name) => name.toLowerCase()).length,
    -distinct(match.query, (name) => name).length,
    sourceRank(match),
    route.createdAt,
  ];
}

function pathRank({ path }: RouteMatch): readonly [number, number, number] {
  // a match without a path asks for what the prefix `/` asks for
  if (path === undefined) return [2, -1, 0];
  if (path.type === 'exact') return [0, 0, 0];
  return [path.type === 'regex' ? 1 : 2, -path.value.length, 0];
}

function callRank({ grpc }: RouteMatch): readonly [number, number, number] {
  const service = grpc?.service?.length ?? 0;
  const method = grpc?.method?.length ?? 0;
  if (service + method === 0) return [2, 0, 0];
  return [grpc?.type === 'exact' ? 0 : 1, -service, -method];
}

function sourceRank({ source }: RouteMatch): number {
  if (source === undefined) return 0;
  return -(source.principals.length > 0 ? 2 : 0) - (source.namespaces.length > 0 ? 1 : 0);
}

function nameOf({ namespace, name }: Route): string {
  return `${namespace}/${name}`;
}

function byText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
