// Policies of waypoints, and requests they are asked about, for property tests. Values come from small pools, so that
// policies and requests meet.

import fc from 'fast-check';
import { parseIp } from './address.ts';
import { parseCidr } from './cidr.ts';
import type { ExternalAuthorizer, HttpClause, HttpPolicy, PolicyTest } from './http-policy.ts';
import type { HttpRequest } from './http-request.ts';
import type { StringMatch } from './policy.ts';
import type { PolicyTarget } from './policy-target.ts';
import type { JwtRule, RequestAuthentication } from './request-authentication.ts';
import type { RequestFacts } from './request-subject.ts';
import { ANY_IDENTITY, ANY_IP } from './test-arbitraries.ts';

const PLAIN = { noNullPrototype: true } as const;
const oneOf = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const maybe = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(item, { nil: undefined });
const some = <T>(item: fc.Arbitrary<T>, minLength = 0, maxLength = 2): fc.Arbitrary<T[]> =>
  fc.array(item, { minLength, maxLength });

const WORDS = [
  'a',
  'b',
  'ab',
  'GET',
  'POST',
  'shop',
  'web.shop',
  'web.shop:80',
  'https://id.test/ann',
];
const PATHS = ['/', '/a', '/a/', '/a/b', '/a/b/c', '/svc.Shop/Buy'];

function matchOfText(text: string): fc.Arbitrary<StringMatch> {
  return fc.oneof(
    fc.record(
      {
        kind: oneOf('exact' as const, 'prefix' as const, 'suffix' as const),
        value: fc.constant(text),
      },
      PLAIN,
    ),
    fc.constant({ kind: 'presence' as const }),
  );
}
const ANY_TEXT = oneOf(...WORDS).chain(matchOfText);
const PRINCIPALS = ['cluster.local/ns/shop/sa/web', 'cluster.local/ns/ops/', '/sa/web', 'shop'];
const ANY_SOURCE_TEXT = oneOf(...PRINCIPALS).chain(matchOfText);
const ANY_RANGE = oneOf('10.0.0.0/24', '10.0.0.1/32', '10.0.0.0/8', 'fd00::/16').map(parseCidr);
const NOT = fc.boolean();
const values = <T>(
  item: fc.Arbitrary<T>,
): { not: fc.Arbitrary<boolean>; values: fc.Arbitrary<T[]> } => ({
  not: NOT,
  values: some(item, 1),
});

export const ANY_TEST: fc.Arbitrary<PolicyTest> = fc.oneof(
  fc.record(
    {
      attribute: oneOf('source.principal' as const, 'source.namespace' as const),
      ...values(ANY_SOURCE_TEXT),
    },
    PLAIN,
  ),
  fc.record(
    {
      attribute: oneOf(
        'request.auth.principal' as const,
        'request.auth.audiences' as const,
        'request.auth.presenter' as const,
        'request.host' as const,
        'request.method' as const,
        'connection.sni' as const,
      ),
      ...values(ANY_TEXT),
    },
    PLAIN,
  ),
  fc.record(
    {
      attribute: oneOf('source.ip' as const, 'remote.ip' as const, 'destination.ip' as const),
      ...values(ANY_RANGE),
    },
    PLAIN,
  ),
  fc.record(
    {
      attribute: fc.constant('request.path' as const),
      ...values(
        fc.oneof(
          oneOf(...PATHS).chain(matchOfText),
          fc.record(
            {
              kind: fc.constant('template' as const),
              value: oneOf('/a/{*}', '/a/{**}', '/{*}/b/{**}', '/{**}/c'),
            },
            PLAIN,
          ),
        ),
      ),
    },
    PLAIN,
  ),
  fc.record(
    {
      attribute: fc.constant('request.header' as const),
      name: oneOf('x-a', 'x-b'),
      ...values(ANY_TEXT),
    },
    PLAIN,
  ),
  fc.record(
    {
      attribute: fc.constant('request.auth.claim' as const),
      path: oneOf(['groups'], ['scope'], ['nested', 'key'], ['__proto__', 'x']),
      ...values(ANY_TEXT),
    },
    PLAIN,
  ),
  fc.record(
    {
      attribute: fc.constant('source.serviceAccount' as const),
      ...values(
        fc.record({ namespace: oneOf('shop', 'ops'), serviceAccount: oneOf('web', 'api') }, PLAIN),
      ),
    },
    PLAIN,
  ),
  fc.record(
    { attribute: fc.constant('destination.port' as const), ...values(oneOf(80, 443, 8080)) },
    PLAIN,
  ),
  fc.record(
    { attribute: fc.constant('cel' as const), ...values(oneOf('yes', 'no', 'broken')) },
    PLAIN,
  ),
  fc.record(
    { attribute: fc.constant('unreadable' as const), why: fc.constant('from another time') },
    PLAIN,
  ),
);

const ANY_CLAUSE: fc.Arbitrary<HttpClause> = fc.record(
  {
    part: oneOf('from' as const, 'to' as const, 'when' as const),
    anyOf: some(some(ANY_TEST, 1), 1),
  },
  PLAIN,
);

export const ANY_TARGET: fc.Arbitrary<PolicyTarget> = fc.oneof(
  fc.record(
    { kind: fc.constant('service' as const), service: oneOf('shop/a.test', 'ops/b.test') },
    PLAIN,
  ),
  fc.record(
    { kind: fc.constant('gateway' as const), gateway: oneOf('shop/waypoint', 'ops/waypoint') },
    PLAIN,
  ),
  fc.record(
    { kind: fc.constant('gateway-class' as const), name: oneOf('ambit-waypoint', 'ambit') },
    PLAIN,
  ),
  fc.record(
    { kind: fc.constant('namespace' as const), namespace: oneOf('shop', 'ops', 'shopping') },
    PLAIN,
  ),
);

const ANY_HEADER_PATTERN = oneOf('x-*', '*-id', 'authorization');
export const ANY_PROVIDER: fc.Arbitrary<ExternalAuthorizer> = fc.record(
  {
    name: oneOf('opa', 'login'),
    protocol: oneOf('grpc' as const, 'http' as const),
    service: fc.constant('auth/opa.auth.svc.cluster.local'),
    port: oneOf(9191, 80),
    timeoutMs: oneOf(600, 10),
    failOpen: fc.boolean(),
    statusOnError: oneOf(403, 503),
    pathPrefix: oneOf('', '/check'),
    includeRequestHeaders: some(ANY_HEADER_PATTERN),
    includeAdditionalHeaders: some(fc.constant(['x-from', 'mesh'] as const)),
    includeRequestBody: maybe(
      fc.record(
        { maxBytes: oneOf(1, 4096), allowPartial: fc.boolean(), asBytes: fc.boolean() },
        PLAIN,
      ),
    ),
    headersToUpstreamOnAllow: some(ANY_HEADER_PATTERN),
    headersToDownstreamOnAllow: some(ANY_HEADER_PATTERN),
    headersToDownstreamOnDeny: some(ANY_HEADER_PATTERN),
  },
  PLAIN,
);

const COMMON = {
  namespace: oneOf('shop', 'ops'),
  name: oneOf('p1', 'p2', 'p3'),
  targets: some(ANY_TARGET, 0, 3),
  rules: some(fc.record({ clauses: some(ANY_CLAUSE) }, PLAIN)),
  dryRun: oneOf(false, false, false, true),
};

export const ANY_HTTP_POLICY: fc.Arbitrary<HttpPolicy> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record(
      {
        ...COMMON,
        action: oneOf('allow' as const, 'allow' as const, 'deny' as const, 'audit' as const),
      },
      PLAIN,
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record(
      {
        ...COMMON,
        action: fc.constant('custom' as const),
        provider: fc.oneof(ANY_PROVIDER, fc.constant({ name: 'gone', why: 'it is not there' })),
      },
      PLAIN,
    ),
  },
);

const ANY_JWT_RULE: fc.Arbitrary<JwtRule> = fc.record(
  {
    issuer: oneOf('https://id.test', 'me@id.test'),
    audiences: some(oneOf('shop', 'ops')),
    keys: fc.oneof(
      fc.record({ kind: fc.constant('inline' as const), jwks: fc.constant('{"keys":[]}') }, PLAIN),
      fc.record(
        {
          kind: fc.constant('fetched' as const),
          uri: fc.constant('https://id.test/keys'),
          timeoutMs: oneOf(1, 5000),
        },
        PLAIN,
      ),
      fc.record(
        {
          kind: fc.constant('discovered' as const),
          issuer: fc.constant('https://id.test'),
          timeoutMs: oneOf(1, 5000),
        },
        PLAIN,
      ),
    ),
    fromHeaders: some(
      fc.record({ name: oneOf('authorization', 'x-jwt'), prefix: oneOf('Bearer ', '') }, PLAIN),
    ),
    fromParams: some(oneOf('access_token', 't')),
    fromCookies: some(oneOf('session')),
    forwardOriginalToken: fc.boolean(),
    outputPayloadToHeader: maybe(oneOf('x-payload')),
    outputClaimToHeaders: some(
      fc.record({ header: oneOf('x-sub', 'x-key'), claim: oneOf('sub', 'nested.key') }, PLAIN),
    ),
  },
  PLAIN,
);

export const ANY_REQUEST_AUTHENTICATION: fc.Arbitrary<RequestAuthentication> = fc.record(
  {
    namespace: oneOf('shop', 'ops'),
    name: oneOf('r1', 'r2'),
    targets: some(ANY_TARGET, 0, 3),
    rules: some(ANY_JWT_RULE),
    broken: maybe(fc.constant('nobody can read it')),
  },
  PLAIN,
);

const ANY_REQUEST: fc.Arbitrary<HttpRequest> = fc.record({
  method: oneOf('GET', 'get', 'POST', 'GETS'),
  scheme: oneOf('http' as const, 'https' as const),
  authority: oneOf('web.shop', 'web.shop:80', 'web.shop.', 'a', 'b:443', '[::1]:80', ''),
  path: oneOf(...PATHS, '*', '/a/b/'),
  query: maybe(oneOf('', 'x=1')),
  headers: some(
    fc.oneof(
      fc.tuple(oneOf('x-a', 'x-b'), oneOf('', 'a', 'b', 'a,b', 'b, ab', 'ab')),
      fc.tuple(
        fc.constant('x-forwarded-for'),
        oneOf('10.0.0.1', '10.0.0.9, 10.1.0.1', 'fd00::1', 'who', '10.0.0.1, '),
      ),
    ),
    0,
    4,
  ),
});

export const ANY_FACTS: fc.Arbitrary<RequestFacts> = fc.record({
  request: ANY_REQUEST,
  source: fc.record({ identity: maybe(ANY_IDENTITY), ip: ANY_IP }),
  destination: fc.record({ ip: ANY_IP, port: oneOf(80, 443, 8080) }),
  sni: maybe(oneOf('a', 'Web.Shop')),
  token: maybe(
    fc.record({
      issuer: fc.constant('https://id.test'),
      claims: oneOf<Record<string, unknown>>(
        {},
        { sub: 'ann', aud: 'shop', azp: 'a' },
        { sub: 'bob', aud: ['a', 'b'], scope: 'a ab', nested: { key: 'ab' } },
        { sub: '', groups: ['a', 'shop', 1, true, {}], scope: ['a b'] },
        { groups: 'a b', nested: ['key'], sub: 3 },
      ),
    }),
  ),
  trustedHops: oneOf(0, 0, 1, 2),
});

/** A policy of namespace shop, for everything of gateway shop/waypoint. */
export function httpPolicyOf(parts: {
  readonly name?: string;
  readonly action?: 'allow' | 'deny' | 'audit';
  readonly rules?: HttpPolicy['rules'];
  readonly dryRun?: boolean;
}): HttpPolicy {
  return {
    namespace: 'shop',
    name: 'p',
    targets: [{ kind: 'gateway', gateway: 'shop/waypoint' }],
    action: 'deny',
    rules: [],
    dryRun: false,
    ...parts,
  };
}

export function customPolicyOf(
  provider: (HttpPolicy & { action: 'custom' })['provider'],
  parts: Partial<Pick<HttpPolicy, 'name' | 'rules' | 'dryRun'>> = {},
): HttpPolicy {
  return { ...httpPolicyOf({ rules: [{ clauses: [] }] }), ...parts, action: 'custom', provider };
}

export function providerOf(parts: Partial<ExternalAuthorizer> = {}): ExternalAuthorizer {
  return {
    name: 'opa',
    protocol: 'grpc',
    service: 'auth/opa.auth.svc.cluster.local',
    port: 9191,
    timeoutMs: 600,
    failOpen: false,
    statusOnError: 403,
    pathPrefix: '',
    includeRequestHeaders: [],
    includeAdditionalHeaders: [],
    includeRequestBody: undefined,
    headersToUpstreamOnAllow: [],
    headersToDownstreamOnAllow: [],
    headersToDownstreamOnDeny: [],
    ...parts,
  };
}

/** One rule of one clause with these tests. */
export function ruleOf(...tests: readonly PolicyTest[]): HttpPolicy['rules'][number] {
  return { clauses: [{ part: 'when', anyOf: [tests] }] };
}

type FactParts = Partial<Omit<RequestFacts, 'request'>> & {
  readonly request?: Partial<HttpRequest>;
};

/** GET http://web.shop/a from shop/web at 10.0.0.1 to 10.0.0.2:80, without a token. */
export function factsOf({ request, ...parts }: FactParts = {}): RequestFacts {
  return {
    request: {
      method: 'GET',
      scheme: 'http',
      authority: 'web.shop',
      path: '/a',
      query: undefined,
      headers: [],
      ...request,
    },
    source: {
      identity: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' },
      ip: parseIp('10.0.0.1'),
    },
    destination: { ip: parseIp('10.0.0.2'), port: 80 },
    sni: undefined,
    token: undefined,
    trustedHops: 0,
    ...parts,
  };
}
