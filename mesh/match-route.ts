// Which rule of which route a request meets. A waypoint compiles the routes of one port of a service, or of one listener of
// a gateway, into a table once for each change of them, and asks it for every request. Pure.
//
// The order in which matches are tried is in route-precedence.ts. A request that is in no rule of a table with routes is
// not for the service behind it: the waypoint answers 404, or UNIMPLEMENTED to gRPC. A table without routes says nothing:
// traffic goes on as if there were none.

import { hostOf, hostPatternsOf } from './host.ts';
import type { HttpRequest, RequestSource } from './http-request.ts';
import { type GrpcMatch, type Route, type RouteMatch, type RouteRule, routeKey } from './route.ts';
import {
  type Asked,
  askedOf,
  type CompileRegex,
  criteriaOf,
  meets,
  type RegexCompiler,
} from './route-criteria.ts';
import { type Candidate, callOf, groupsFor, type HostIndex, indexOf } from './route-index.ts';
import { inPrecedence, type PlacedMatch } from './route-precedence.ts';
import { type RoutedPort, selectRoutes } from './select-routes.ts';

/** What a table is made for. */
export type TableParent =
  | ({ readonly kind: 'service' } & RoutedPort)
  | { readonly kind: 'listener'; readonly gateway: string; readonly listener: string };

export type RouteTable = {
  /** Those that hold for the parent; none: traffic is forwarded by default. */
  readonly routes: readonly Route[];
  /** What their authors should hear of. */
  readonly problems: readonly RouteProblem[];
  /** By hostname, wildcard (`*.example.com`), or empty for any host. */
  readonly hosts: ReadonlyMap<string, HostIndex>;
};

/** A regular expression that does not compile: the match it is in is never met. */
export type RouteProblem = {
  readonly route: string;
  readonly ruleIndex: number;
  readonly matchIndex: number;
  readonly where: string;
  readonly pattern: string;
  readonly why: string;
};

export type Matched = {
  readonly route: Route;
  readonly rule: RouteRule;
  readonly ruleIndex: number;
  /** Its path prefix is what a rewrite or redirect replaces. */
  readonly match: RouteMatch;
};

/** The match of a rule that states none. */
export const ANY_REQUEST: RouteMatch = {
  path: undefined,
  method: undefined,
  headers: [],
  query: [],
  grpc: undefined,
  source: undefined,
};

/** `regex` is RE2 and asks about whole texts; what it throws is kept in {@link RouteTable.problems}. */
export function compileRoutes(
  routes: readonly Route[],
  parent: TableParent,
  regex: RegexCompiler,
): RouteTable {
  const holding =
    parent.kind === 'service'
      ? selectRoutes(routes, parent)
      : routes.filter((route) => hostnamesOf(route, parent).length > 0);
  const problems: RouteProblem[] = [];
  const byHost = new Map<string, Candidate[]>();
  for (const [order, placed] of inPrecedence(holding.flatMap(matchesOf)).entries()) {
    const candidate = candidateOf(placed, order, regex, problems);
    for (const hostname of hostnamesOf(placed.route, parent)) {
      const there = byHost.get(hostname);
      if (there === undefined) byHost.set(hostname, [candidate]);
      else there.push(candidate);
    }
  }
  const hosts = new Map<string, HostIndex>();
  for (const [hostname, candidates] of byHost) hosts.set(hostname, indexOf(candidates));
  return { routes: holding, problems, hosts };
}

/** undefined: the request meets no rule. */
export function matchRoute(
  table: RouteTable,
  request: HttpRequest,
  source: RequestSource,
): Matched | undefined {
  const asked = askedOf(request, source);
  for (const group of candidateGroups(table, request)) {
    for (const candidate of group) {
      if (!holds(candidate, asked)) continue;
      const { route, rule, ruleIndex, match } = candidate;
      return { route, rule, ruleIndex, match };
    }
  }
  return undefined;
}

/** The matches that a request is compared with, in order; the first that holds is the answer. */
export function* candidateGroups(
  { hosts }: RouteTable,
  { authority, path }: Pick<HttpRequest, 'authority' | 'path'>,
): Generator<readonly Candidate[], void> {
  for (const pattern of hostPatternsOf(hostOf(authority))) {
    const index = hosts.get(pattern);
    if (index !== undefined) yield* groupsFor(index, path);
  }
}

/**
 * The rule of a TLSRoute or TCPRoute for a whole connection: the first rule of the oldest route, of those whose hostnames
 * meet `serverName` best; pass an empty one where none is known.
 */
export function matchStream({ hosts }: RouteTable, serverName: string): Matched | undefined {
  for (const pattern of hostPatternsOf(hostOf(serverName))) {
    const first = hosts.get(pattern)?.streams[0];
    if (first === undefined) continue;
    const { route, rule, ruleIndex, match } = first;
    return { route, rule, ruleIndex, match };
  }
  return undefined;
}

function holds({ criteria, pathHolds }: Candidate, asked: Asked): boolean {
  return (pathHolds === undefined || pathHolds(asked.request.path)) && meets(criteria, asked);
}

function matchesOf(route: Route): readonly PlacedMatch[] {
  return route.rules.flatMap((rule, ruleIndex) =>
    (rule.matches.length === 0 ? [ANY_REQUEST] : rule.matches).map((match, matchIndex) => ({
      route,
      rule,
      ruleIndex,
      match,
      matchIndex,
    })),
  );
}

/** Under which of the table's hostnames a route is; none: it does not hold there. */
function hostnamesOf({ parents }: Route, parent: TableParent): readonly string[] {
  if (parent.kind === 'service') return [''];
  const hostnames = parents.flatMap((one) => {
    if (one.kind !== 'listener') return [];
    if (one.gateway !== parent.gateway || one.listener !== parent.listener) return [];
    return one.hostnames.length === 0 ? [''] : one.hostnames.map(hostOf);
  });
  return [...new Set(hostnames)];
}

function candidateOf(
  placed: PlacedMatch,
  order: number,
  regex: RegexCompiler,
  problems: RouteProblem[],
): Candidate {
  const { route, rule, ruleIndex, match, matchIndex } = placed;
  const compile: CompileRegex = (pattern, where) => {
    try {
      return regex(pattern);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      problems.push({ route: routeKey(route), ruleIndex, matchIndex, where, pattern, why });
      return () => false;
    }
  };
  const takesPreflight = rule.filters.some(({ kind }) => kind === 'cors');
  return {
    ...placed,
    order,
    criteria: criteriaOf(match, takesPreflight, compile),
    pathHolds: pathTest(placed, compile),
  };
}

function pathTest(
  { route, match: { path, grpc } }: PlacedMatch,
  compile: CompileRegex,
): Candidate['pathHolds'] {
  if (route.kind === 'grpc') return grpc?.type === 'regex' ? callTest(grpc, compile) : undefined;
  if (route.kind === 'http' && path?.type === 'regex') return compile(path.value, 'path');
  return undefined;
}

function callTest({ service, method }: GrpcMatch, compile: CompileRegex) {
  const anything = (): boolean => true;
  const serviceHolds = service ? compile(service, 'gRPC service') : anything;
  const methodHolds = method ? compile(method, 'gRPC method') : anything;
  if (!service && !method) return undefined;
  return (path: string): boolean => {
    const call = callOf(path);
    return call !== undefined && serviceHolds(call.service) && methodHolds(call.method);
  };
}
