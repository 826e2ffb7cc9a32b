// What an author wrote against what agents do: generated AuthorizationPolicies, with values that cannot be read and fields
// for waypoints among them, read naively, straight from their text. An ALLOW never allows more, a DENY never denies less.

import assert from 'node:assert/strict';
import { BlockList, isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { authorize, type Request } from '../../mesh/authorize.ts';
import { ANY_IDENTITY, ANY_IP } from '../../mesh/test-arbitraries.ts';
import { type AuthorizationPolicyObject, authorizationOf } from './authorization.ts';
import type { Rule } from './authorization-rule.ts';

type Fields = Readonly<Record<string, readonly string[]>>;

const TEXTS = [
  '*',
  'shop',
  'sh*',
  '*op',
  'cluster.local/ns/shop/sa/web',
  'cluster.local/*',
  '*/sa/api',
  '',
  '*ho*',
  'cluster.local/ns/*/sa/web',
];
const RANGES = ['10.0.0.0/8', '10.0.0.1', 'fd00::/16', '0.0.0.0/0', 'x', '10.0.0.0/33'];
const PORTS = ['80', '443', '8080', '0', 'http'];
const ACCOUNTS = ['web', 'shop/web', 'ops/api', 'a/b/c'];
const VALUES: Readonly<Record<string, readonly string[]>> = {
  principals: TEXTS,
  namespaces: TEXTS,
  ipBlocks: RANGES,
  serviceAccounts: ACCOUNTS,
  ports: PORTS,
  requestPrincipals: ['*'],
  methods: ['GET'],
};
const CONDITIONS: Readonly<Record<string, string>> = {
  'source.principal': 'principals',
  'source.namespace': 'namespaces',
  'source.ip': 'ipBlocks',
  'source.serviceAccount': 'serviceAccounts',
  'destination.port': 'ports',
  'request.headers[x]': 'methods',
};

const not = (field: string): string => `not${field[0]?.toUpperCase()}${field.slice(1)}`;
const some = (field: string): fc.Arbitrary<string[]> =>
  fc.array(fc.constantFrom(...(VALUES[field] ?? [])), { maxLength: 2 });
const fields = (...names: string[]): fc.Arbitrary<Fields> =>
  fc.record(
    Object.fromEntries(
      names.flatMap((name) => [
        [name, some(name)],
        [not(name), some(name)],
      ]),
    ),
    { requiredKeys: [] },
  ) as fc.Arbitrary<Fields>;
const rarely = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constant<T[]>([]) },
    { weight: 1, arbitrary: fc.array(item, { minLength: 1, maxLength: 2 }) },
  );
const RULE: fc.Arbitrary<Rule> = fc.record({
  from: rarely(
    fields('principals', 'namespaces', 'ipBlocks', 'serviceAccounts', 'requestPrincipals').map(
      (source) => ({ source }),
    ),
  ),
  to: rarely(fields('ports', 'methods').map((operation) => ({ operation }))),
  when: rarely(
    fc.constantFrom(...Object.keys(CONDITIONS)).chain((key) => {
      const field = CONDITIONS[key] ?? '';
      return fc.record({ key: fc.constant(key), values: some(field), notValues: some(field) });
    }),
  ),
});
const REQUEST: fc.Arbitrary<Request> = fc.record({
  peer: fc.option(ANY_IDENTITY, { nil: undefined }),
  source: fc.record({ ip: ANY_IP, port: fc.constant(40_000) }),
  destination: fc.record({ ip: ANY_IP, port: fc.constantFrom(80, 443, 8080) }),
});

// ---- the naive reading: undefined is "nobody here can tell"

function holds(
  field: string,
  value: string,
  { peer, source, destination }: Request,
): boolean | undefined {
  switch (field) {
    case 'principals':
      return fits(
        value,
        peer === undefined
          ? ''
          : `${peer.trustDomain}/ns/${peer.namespace}/sa/${peer.serviceAccount}`,
      );
    case 'namespaces':
      return fits(value, peer?.namespace ?? '');
    case 'serviceAccounts': {
      const full = value.includes('/') ? value : `shop/${value}`;
      if (full.split('/').length !== 2) return undefined;
      return peer !== undefined && full === `${peer.namespace}/${peer.serviceAccount}`;
    }
    case 'ipBlocks':
      return inside(value, source.ip);
    case 'ports':
      return /^[1-9]\d*$/.test(value) ? Number(value) === destination.port : undefined;
    default:
      return undefined;
  }
}

function fits(pattern: string, text: string): boolean | undefined {
  if (pattern === '' || /.\*.|\*.*\*/.test(pattern)) return undefined;
  if (pattern === '*') return text !== '';
  const [before = '', after] = pattern.split('*');
  return after === undefined ? text === pattern : text.startsWith(before) && text.endsWith(after);
}

function inside(range: string, ip: string): boolean | undefined {
  const [address = '', length = isIP(address) === 6 ? '128' : '32'] = range.split('/');
  const family = isIP(address);
  if (family === 0 || Number(length) > (family === 6 ? 128 : 32)) return undefined;
  if (family !== isIP(ip)) return false;
  const list = new BlockList();
  list.addSubnet(address, Number(length), family === 6 ? 'ipv6' : 'ipv4');
  return list.check(ip, family === 6 ? 'ipv6' : 'ipv4');
}

/** One source, operation or condition; what nobody can tell makes all of it undefined. */
function matches(given: Fields, request: Request): { sure: boolean | undefined; widest: boolean } {
  let sure: boolean | undefined = true;
  let widest = true;
  let asks = false;
  for (const [name, values] of Object.entries(given)) {
    if (values.length === 0) continue;
    asks = true;
    const negated = name.startsWith('not');
    const field = negated ? `${name[3]?.toLowerCase()}${name.slice(4)}` : name;
    const answers = values.map((value) => holds(field, value, request));
    const unclear = answers.includes(undefined);
    const hit = answers.includes(true);
    if (unclear) sure = undefined;
    else if (sure !== undefined) sure = sure && hit !== negated;
    // read as widely as it can be meant: a wanted value that nobody can read may be this one
    widest &&= negated ? !hit : hit || unclear;
  }
  return asks ? { sure, widest } : { sure: undefined, widest: true };
}

function ruleMatches(rule: Rule, request: Request): { sure: boolean; widest: boolean } {
  const groups: Fields[][] = [
    (rule.from ?? []).map(({ source }) => (source ?? {}) as Fields),
    (rule.to ?? []).map(({ operation }) => (operation ?? {}) as Fields),
    ...(rule.when ?? []).map(({ key, values = [], notValues = [] }) => {
      const field = CONDITIONS[key] ?? '';
      return [{ [field]: values, [not(field)]: notValues }];
    }),
  ].filter((group) => group.length > 0);
  let sure = true;
  let widest = true;
  for (const group of groups) {
    const found = group.map((given) => matches(given, request));
    // one thing that nobody can tell spoils the rule, wherever in it it stands
    sure &&= found.every((one) => one.sure !== undefined) && found.some((one) => one.sure === true);
    widest &&= found.some((one) => one.widest);
  }
  return { sure, widest };
}

// ----

function decides(action: string, rules: readonly Rule[], request: Request): 'allow' | 'deny' {
  const object: AuthorizationPolicyObject = {
    metadata: { name: 'p', namespace: 'shop' },
    spec: { action, rules },
  };
  const { policy } = authorizationOf(object, { rootNamespace: 'ambit-system' });
  assert.ok(policy !== undefined);
  return authorize([policy], request).verdict;
}

test('an ALLOW allows exactly what a rule without anything unclear says', () => {
  let allowed = 0;
  fc.assert(
    fc.property(fc.array(RULE, { maxLength: 3 }), REQUEST, (rules, request) => {
      const wanted = rules.some((rule) => ruleMatches(rule, request).sure);
      assert.equal(decides('ALLOW', rules, request), wanted ? 'allow' : 'deny');
      if (wanted) allowed++;
    }),
    { numRuns: 5000 },
  );
  assert.ok(allowed > 200, `too few cases: ${allowed}`);
});

test('a DENY denies all that it can be read to mean', () => {
  let denied = 0;
  fc.assert(
    fc.property(fc.array(RULE, { maxLength: 3 }), REQUEST, (rules, request) => {
      const meant = rules.some((rule) => ruleMatches(rule, request).widest);
      if (!meant) return;
      assert.equal(decides('DENY', rules, request), 'deny');
      denied++;
    }),
    { numRuns: 5000 },
  );
  assert.ok(denied > 200, `too few cases: ${denied}`);
});
