// Routes for property tests: every member of every union, with names from small pools so that routes meet.

import fc from 'fast-check';
import type {
  Backend,
  BackendTarget,
  PathEdit,
  Route,
  RouteFilter,
  RouteMatch,
  RouteParent,
  RouteRule,
  ValueMatch,
} from './route.ts';
import { ANY_NAMESPACE } from './test-arbitraries.ts';

/** Plain objects, as the code makes them: assertions compare prototypes too. */
const PLAIN = { noNullPrototype: true } as const;
const oneOf = <const T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const some = <T>(item: fc.Arbitrary<T>, maxLength = 2): fc.Arbitrary<T[]> =>
  fc.array(item, { maxLength });
const maybe = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(item, { nil: undefined });

const PORT = oneOf(80, 8080);
const HOSTNAME = oneOf('a.test', 'b.test', '*.test');
const SERVICE_KEY = oneOf('shop/a.test', 'shop/b.test', 'ops/a.test');
const WORD = oneOf('', 'one', 'two', 'ümläut "quoted"');

const SERVICE_PARENT: fc.Arbitrary<RouteParent> = fc.record(
  {
    kind: fc.constant('service' as const),
    service: SERVICE_KEY,
    port: maybe(PORT),
    clientsOf: maybe(ANY_NAMESPACE),
  },
  PLAIN,
);
const LISTENER_PARENT: fc.Arbitrary<RouteParent> = fc.record(
  {
    kind: fc.constant('listener' as const),
    gateway: oneOf('shop/front', 'ops/front'),
    listener: oneOf('http', 'https'),
    hostnames: some(HOSTNAME),
  },
  PLAIN,
);

const VALUE_MATCH: fc.Arbitrary<ValueMatch> = fc.record(
  { name: oneOf('version', 'animal'), type: oneOf('exact', 'regex'), value: WORD },
  PLAIN,
);

const MATCH: fc.Arbitrary<RouteMatch> = fc.record(
  {
    path: maybe(
      fc.record(
        { type: oneOf('exact', 'prefix', 'regex'), value: oneOf('/', '/v2', '/v2/x') },
        PLAIN,
      ),
    ),
    method: maybe(oneOf('GET', 'POST')),
    headers: some(VALUE_MATCH),
    query: some(VALUE_MATCH),
    grpc: maybe(
      fc.record(
        { type: oneOf('exact', 'regex'), service: maybe(WORD), method: maybe(WORD) },
        PLAIN,
      ),
    ),
    source: maybe(
      fc.record(
        {
          namespaces: some(ANY_NAMESPACE),
          principals: some(oneOf('cluster.local/ns/shop/sa/web')),
        },
        PLAIN,
      ),
    ),
  },
  PLAIN,
);

const TARGET: fc.Arbitrary<BackendTarget> = fc.oneof(
  fc.record(
    {
      kind: fc.constant('service' as const),
      service: SERVICE_KEY,
      port: PORT,
      subset: maybe(oneOf('v1', 'v2')),
    },
    PLAIN,
  ),
  fc.record({ kind: fc.constant('invalid' as const), why: WORD }, PLAIN),
);

const PAIRS = some(fc.tuple(oneOf('x-a', 'x-b'), WORD));
const HEADER_EDIT = { set: PAIRS, add: PAIRS, remove: some(oneOf('x-a', 'x-c')) };
const PATH_EDIT: fc.Arbitrary<PathEdit> = fc.record(
  { type: oneOf('full', 'prefix'), value: oneOf('/', '/new') },
  PLAIN,
);

export const ANY_FILTER: fc.Arbitrary<RouteFilter> = fc.oneof(
  fc.record({ kind: fc.constant('request-headers' as const), ...HEADER_EDIT }, PLAIN),
  fc.record({ kind: fc.constant('response-headers' as const), ...HEADER_EDIT }, PLAIN),
  fc.record(
    {
      kind: fc.constant('redirect' as const),
      scheme: maybe(oneOf('http', 'https')),
      hostname: maybe(HOSTNAME),
      path: maybe(PATH_EDIT),
      port: maybe(PORT),
      status: oneOf(301, 302, 303, 307, 308),
    },
    PLAIN,
  ),
  fc.record(
    { kind: fc.constant('rewrite' as const), hostname: maybe(HOSTNAME), path: maybe(PATH_EDIT) },
    PLAIN,
  ),
  fc.record(
    {
      kind: fc.constant('mirror' as const),
      target: TARGET,
      numerator: oneOf(0, 1, 50),
      denominator: oneOf(1, 100),
    },
    PLAIN,
  ),
  fc.record(
    {
      kind: fc.constant('cors' as const),
      allowOrigins: some(oneOf('*', 'https://a.test')),
      allowCredentials: fc.boolean(),
      allowMethods: some(oneOf('GET', '*')),
      allowHeaders: some(WORD),
      exposeHeaders: some(WORD),
      maxAgeSeconds: oneOf(0, 5),
    },
    PLAIN,
  ),
  fc.record(
    {
      kind: fc.constant('external-auth' as const),
      protocol: oneOf('http', 'grpc'),
      target: TARGET,
      pathPrefix: oneOf('', '/check'),
      allowedHeaders: some(WORD),
      allowedResponseHeaders: some(WORD),
      maxBodyBytes: oneOf(0, 1024),
    },
    PLAIN,
  ),
  fc.record({ kind: fc.constant('broken' as const), why: WORD }, PLAIN),
);

const BACKEND: fc.Arbitrary<Backend> = fc.record(
  { target: TARGET, weight: oneOf(0, 1, 70), filters: some(ANY_FILTER) },
  PLAIN,
);

const TIME_MS = oneOf(0, 1, 10_000);

const RULE: fc.Arbitrary<RouteRule> = fc.record(
  {
    name: maybe(oneOf('first', 'second')),
    matches: some(MATCH),
    filters: some(ANY_FILTER),
    backends: some(BACKEND),
    requestTimeoutMs: maybe(TIME_MS),
    backendTimeoutMs: maybe(TIME_MS),
    retry: maybe(
      fc.record(
        { codes: some(oneOf(500, 503)), attempts: oneOf(0, 1, 3), backoffMs: maybe(TIME_MS) },
        PLAIN,
      ),
    ),
    sessionPersistence: maybe(
      fc.record(
        {
          type: oneOf('cookie', 'header'),
          name: oneOf('session'),
          absoluteTimeoutMs: maybe(TIME_MS),
          idleTimeoutMs: maybe(TIME_MS),
          permanent: fc.boolean(),
        },
        PLAIN,
      ),
    ),
  },
  PLAIN,
);

/** Of one route all parents are Services, or all are listeners. */
export const ANY_ROUTE: fc.Arbitrary<Route> = fc.record(
  {
    kind: oneOf('http', 'grpc', 'tls', 'tcp'),
    namespace: ANY_NAMESPACE,
    name: oneOf('r1', 'r2'),
    createdAt: oneOf(0, 1000, 2000),
    parents: fc.oneof(
      fc.array(SERVICE_PARENT, { minLength: 1, maxLength: 3 }),
      fc.array(LISTENER_PARENT, { minLength: 1, maxLength: 3 }),
    ),
    rules: some(RULE),
  },
  PLAIN,
);
