// The Route resource, between the two ends of discovery. Its body is JSON: nobody else reads it, it is a tree of unions that
// protobuf would say twice as long, and the checks below are needed either way. Checked field by field, with limits.
//
// Who is older must stay safe with who is newer. A filter that is not known becomes `broken`, so that its requests end with
// 500 rather than go on without it. Anything else that is not known refuses the route: half a match would take what it
// should not. For a route that is refused, closedRoute() stands in.

import {
  type Backend,
  type BackendTarget,
  GATEWAY_SIDE,
  type Route,
  type RouteFilter,
  type RouteMatch,
  type RouteParent,
  type RouteRule,
  routeKey,
} from '../mesh/route.ts';
import {
  flag,
  integer,
  list,
  maybe,
  object,
  oneOf,
  pair,
  parseJson,
  type Reader,
  record,
  text,
  union,
} from './checked-json.ts';
import { DecodeError } from './protobuf.ts';

export const TYPE_ROUTE = 'type.googleapis.com/ambit.route.Route';

// An object in Kubernetes has at most 1.5 MB; a route grows by hostnames of services and by its ports.
const MAX_BODY_BYTES = 4 * 1024 * 1024;
// 32 references by the Gateway API, each to the ports of one Service or the listeners of one Gateway.
const MAX_PARENTS = 4096;
// Well above the Gateway API's own (16 rules of 64 matches, 16 of everything else).
const MAX_ITEMS = 1024;
// Header values: the longest text the Gateway API allows.
const MAX_TEXT_CHARS = 4096;
// As far as JavaScript counts exactly; the longest duration that can be written is shorter.
const MAX_COUNT = Number.MAX_SAFE_INTEGER;

const word = text(MAX_TEXT_CHARS);
const words = list(word, MAX_ITEMS);
const count = integer(0, MAX_COUNT);
const port = integer(1, 65_535);

const KIND = oneOf('http', 'grpc', 'tls', 'tcp');

const PARENT: Reader<RouteParent> = union('kind', {
  service: record({
    kind: oneOf('service'),
    service: word,
    port: maybe(port),
    clientsOf: maybe(word),
  }),
  listener: record({
    kind: oneOf('listener'),
    gateway: word,
    listener: word,
    hostnames: words,
  }),
});
const PARENTS = list(PARENT, MAX_PARENTS);

const VALUE_MATCH = record({ name: word, type: oneOf('exact', 'regex'), value: word });
const MATCH: Reader<RouteMatch> = record({
  path: maybe(record({ type: oneOf('exact', 'prefix', 'regex'), value: word })),
  method: maybe(word),
  headers: list(VALUE_MATCH, MAX_ITEMS),
  query: list(VALUE_MATCH, MAX_ITEMS),
  grpc: maybe(record({ type: oneOf('exact', 'regex'), service: maybe(word), method: maybe(word) })),
  source: maybe(record({ namespaces: words, principals: words })),
});
const MATCHES = list(MATCH, MAX_ITEMS);

const TARGET: Reader<BackendTarget> = union('kind', {
  service: record({
    kind: oneOf('service'),
    service: word,
    port,
    subset: maybe(word),
  }),
  // one of a message, which may be longer than a name
  invalid: record({ kind: oneOf('invalid'), why: word }),
});

const PAIRS = list(pair(word), MAX_ITEMS);
const HEADER_EDIT = { set: PAIRS, add: PAIRS, remove: words };
const PATH_EDIT = record({ type: oneOf('full', 'prefix'), value: word });

const KNOWN_FILTER: Reader<RouteFilter> = union('kind', {
  'request-headers': record({ kind: oneOf('request-headers'), ...HEADER_EDIT }),
  'response-headers': record({ kind: oneOf('response-headers'), ...HEADER_EDIT }),
  redirect: record({
    kind: oneOf('redirect'),
    scheme: maybe(oneOf('http', 'https')),
    hostname: maybe(word),
    path: maybe(PATH_EDIT),
    port: maybe(port),
    status: oneOf(301, 302, 303, 307, 308),
  }),
  rewrite: record({ kind: oneOf('rewrite'), hostname: maybe(word), path: maybe(PATH_EDIT) }),
  mirror: record({
    kind: oneOf('mirror'),
    target: TARGET,
    numerator: count,
    denominator: integer(1, MAX_COUNT),
  }),
  cors: record({
    kind: oneOf('cors'),
    allowOrigins: words,
    allowCredentials: flag,
    allowMethods: words,
    allowHeaders: words,
    exposeHeaders: words,
    maxAgeSeconds: count,
  }),
  'external-auth': record({
    kind: oneOf('external-auth'),
    protocol: oneOf('http', 'grpc'),
    target: TARGET,
    pathPrefix: word,
    allowedHeaders: words,
    allowedResponseHeaders: words,
    maxBodyBytes: count,
  }),
  broken: record({ kind: oneOf('broken'), why: word }),
});

const FILTER: Reader<RouteFilter> = (value, where) => {
  const { kind } = object(value, where);
  try {
    return KNOWN_FILTER(value, where);
  } catch (error) {
    // a newer one, or one with a setting of a newer version
    const why = error instanceof Error ? error.message : String(error);
    return { kind: 'broken', why: `Filter "${String(kind).slice(0, 100)}" cannot be read: ${why}` };
  }
};
const FILTERS = list(FILTER, MAX_ITEMS);

const BACKEND: Reader<Backend> = record({
  target: TARGET,
  weight: integer(0, 1_000_000),
  filters: FILTERS,
});

const RULE: Reader<RouteRule> = record({
  name: maybe(word),
  matches: MATCHES,
  filters: FILTERS,
  backends: list(BACKEND, MAX_ITEMS),
  requestTimeoutMs: maybe(count),
  backendTimeoutMs: maybe(count),
  retry: maybe(
    record({
      codes: list(integer(100, 599), MAX_ITEMS),
      attempts: count,
      backoffMs: maybe(count),
    }),
  ),
  sessionPersistence: maybe(
    record({
      type: oneOf('cookie', 'header'),
      name: word,
      absoluteTimeoutMs: maybe(count),
      idleTimeoutMs: maybe(count),
      permanent: flag,
    }),
  ),
});

const ROUTE: Reader<Route> = record({
  kind: KIND,
  namespace: word,
  name: word,
  createdAt: count,
  parents: PARENTS,
  rules: list(RULE, MAX_ITEMS),
});

/** Reasons are for people: what does not fit is cut, so that no route is refused for a long one. */
const cutReasons = (key: string, value: unknown): unknown =>
  key === 'why' && typeof value === 'string' ? value.slice(0, MAX_TEXT_CHARS) : value;

export function encodeRoute(route: Route): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(route, cutReasons));
}

/** @throws DecodeError naming the field that was wrong */
export function decodeRoute(body: Uint8Array): Route {
  const route = ROUTE(parseJson(body, MAX_BODY_BYTES, 'a route'), 'route');
  if (route.name === '' || route.namespace === '') {
    throw new DecodeError('Cannot read a route: it has no name or namespace');
  }
  const [first, ...others] = route.parents;
  if (first === undefined || others.some(({ kind }) => kind !== first.kind)) {
    throw new DecodeError('Cannot read a route: it needs parents, all of one kind');
  }
  return route;
}

/**
 * What stands in for a route that {@link decodeRoute} refused: requests it may have been for end with 500, since what it
 * was for is not known, and going on as if it were not there could lead them anywhere. It holds where the route held, as
 * far as that can be read; undefined: nowhere. Matches that can be read stay as they are; where some cannot, it takes
 * every request there is.
 */
export function closedRoute(
  resourceName: string,
  body: Uint8Array,
  why: string,
): Route | undefined {
  const [kind = '', namespace = '', rest = ''] = resourceName.split('/');
  const found = orElse(() => object(parseJson(body, MAX_BODY_BYTES, 'a route'), 'route'), {});
  const side = resourceName.endsWith(GATEWAY_SIDE) ? 'listener' : 'service';
  const parents = itemsOf(found['parents'], MAX_PARENTS)
    .flatMap((one) => orElse<RouteParent[]>(() => [PARENT(one, 'parent')], []))
    .filter((parent) => parent.kind === side);
  const filters: RouteFilter[] = [{ kind: 'broken', why: why.slice(0, MAX_TEXT_CHARS) }];
  const rules = itemsOf(found['rules'], MAX_ITEMS).map((one): RouteRule => {
    const matches = orElse(() => MATCHES(object(one, 'rule')['matches'], 'matches'), []);
    return { ...CLOSED_RULE, matches, filters };
  });
  const route: Route = {
    kind: orElse(() => KIND(kind, 'kind'), 'http'),
    namespace,
    name: side === 'listener' ? rest.slice(0, -GATEWAY_SIDE.length) : rest,
    // the oldest comes first where nothing else decides
    createdAt: 0,
    parents,
    rules: rules.length === 0 ? [{ ...CLOSED_RULE, filters }] : rules,
  };
  // under a name that is not its own it could never be removed again
  return parents.length > 0 && routeKey(route) === resourceName ? route : undefined;
}

const CLOSED_RULE: RouteRule = {
  name: undefined,
  matches: [],
  filters: [],
  backends: [],
  requestTimeoutMs: undefined,
  backendTimeoutMs: undefined,
  retry: undefined,
  sessionPersistence: undefined,
};

function orElse<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

function itemsOf(value: unknown, max: number): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, max) : [];
}
