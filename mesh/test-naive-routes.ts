// A second implementation of matchRoute() for its property test, which knows no index: every match of every route and
// hostname in one list, all of them compared with the request, and of those that hold the best by the written order.

import type { HttpRequest, RequestSource } from './http-request.ts';
import { ANY_REQUEST } from './match-route.ts';
import type { PathMatch, Route, RouteMatch, ValueMatch } from './route.ts';
import { REGEX } from './test-routes.ts';

/** Does not compile, so that nothing meets it. */
export const BROKEN = '/[';

type Line = {
  readonly route: Route;
  readonly rule: number;
  readonly place: number;
  readonly hostname: string;
  readonly match: RouteMatch;
};

export type Found = { readonly name: string; readonly rule: number; readonly match: RouteMatch };

export function searchRoutes(
  routes: readonly Route[],
  request: HttpRequest,
  source: RequestSource,
): Found | undefined {
  const lines: Line[] = routes.flatMap((route) =>
    route.rules.flatMap(({ matches }, rule) =>
      (matches.length === 0 ? [ANY_REQUEST] : matches).flatMap((match, place) =>
        hostnamesOf(route).map((hostname) => ({ route, rule, place, hostname, match })),
      ),
    ),
  );
  const [best] = lines
    .filter(
      ({ route, hostname, match }) =>
        hostHolds(hostname, request.authority) &&
        (route.kind === 'grpc' ? callHolds(match, request) : pathHolds(match.path, request.path)) &&
        (match.method === undefined || match.method === request.method) &&
        headersHold(match, request) &&
        queryHolds(match, request) &&
        sourceHolds(match, source),
    )
    .toSorted(inWrittenOrder);
  return best && { name: best.route.name, rule: best.rule, match: best.match };
}

function hostnamesOf({ parents: [parent] }: Route): readonly string[] {
  return parent?.kind !== 'listener' || parent.hostnames.length === 0 ? [''] : parent.hostnames;
}

function hostHolds(hostname: string, host: string): boolean {
  if (hostname === '') return true;
  return hostname.startsWith('*') ? host.endsWith(hostname.slice(1)) : hostname === host;
}

function callHolds({ grpc }: RouteMatch, { path }: HttpRequest): boolean {
  const [, service, method] = /^\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  const same = (wanted: string | undefined, text: string | undefined): boolean => {
    if (wanted === undefined) return true;
    return text !== undefined && (grpc?.type === 'regex' ? REGEX(wanted)(text) : wanted === text);
  };
  return same(grpc?.service, service) && same(grpc?.method, method);
}

function pathHolds(wanted: PathMatch | undefined, path: string): boolean {
  if (wanted === undefined) return true;
  if (wanted.type === 'exact') return path === wanted.value;
  if (wanted.type === 'regex') return wanted.value !== BROKEN && REGEX(wanted.value)(path);
  const given = path.split('/');
  return wanted.value
    .replace(/\/$/, '')
    .split('/')
    .every((segment, i) => i === 0 || segment === given[i]);
}

function headersHold({ headers }: RouteMatch, request: HttpRequest): boolean {
  return firsts(headers).every((wanted) => {
    const lines = request.headers.filter(([name]) => name === wanted.name);
    return lines.length > 0 && valueHolds(wanted, lines.map(([, value]) => value).join(','));
  });
}

function queryHolds({ query }: RouteMatch, request: HttpRequest): boolean {
  const parameters = new URLSearchParams(request.query);
  return firsts(query).every((wanted) => {
    const value = parameters.get(wanted.name);
    return value !== null && valueHolds(wanted, value);
  });
}

function valueHolds({ type, value }: ValueMatch, text: string): boolean {
  return type === 'exact' ? text === value : REGEX(value)(text);
}

function sourceHolds({ source }: RouteMatch, { identity }: RequestSource): boolean {
  if (source === undefined) return true;
  const who = identity && `cluster.local/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
  const among = (wanted: readonly string[], one: string | undefined): boolean =>
    wanted.length === 0 || (one !== undefined && wanted.includes(one));
  return among(source.namespaces, identity?.namespace) && among(source.principals, who);
}

function firsts(values: readonly ValueMatch[]): readonly ValueMatch[] {
  return values.filter((one, i) => values.findIndex(({ name }) => name === one.name) === i);
}

const KINDS = ['exact', 'regex', 'prefix'];

/** The lower comes first; one line a criterion, in the order in which they decide. */
const ORDER: readonly ((line: Line) => number | string)[] = [
  ({ hostname }) => Number(hostname === '' || hostname.startsWith('*')),
  ({ hostname }) => -hostname.length,
  ({ route }) => Number(route.kind === 'http'),
  (line) => (line.route.kind === 'http' ? KINDS.indexOf(pathOf(line).type) : callKind(line)),
  (line) => (line.route.kind === 'http' ? -pathOf(line).value.length : 0),
  ({ route, match }) => (route.kind === 'grpc' ? -(match.grpc?.service ?? '').length : 0),
  ({ route, match }) => (route.kind === 'grpc' ? -(match.grpc?.method ?? '').length : 0),
  ({ match }) => Number(match.method === undefined),
  ({ match }) => -firsts(match.headers).length,
  ({ match }) => -firsts(match.query).length,
  ({ match }) => -Math.min(match.source?.principals.length ?? 0, 1),
  ({ match }) => -Math.min(match.source?.namespaces.length ?? 0, 1),
  ({ route }) => route.createdAt,
  ({ route }) => `${route.namespace}/${route.name}`,
  ({ rule }) => rule,
  ({ place }) => place,
];

function inWrittenOrder(a: Line, b: Line): number {
  for (const criterion of ORDER) {
    const [left, right] = [criterion(a), criterion(b)];
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}

/** Exact paths that hold are all the same one, so that their length decides nothing. */
function pathOf({ match }: Line): PathMatch {
  return match.path ?? { type: 'prefix', value: '/' };
}

function callKind({ match: { grpc } }: Line): number {
  if (!grpc?.service && !grpc?.method) return 2;
  return grpc.type === 'exact' ? 0 : 1;
}
