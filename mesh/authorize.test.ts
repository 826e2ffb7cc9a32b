import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type IpAddress, parseIp } from './address.ts';
import { authorize, type Request } from './authorize.ts';
import type { AuthorizationPolicy, Cidr, PolicyMatch, StringMatch } from './policy.ts';
import { ANY_IDENTITY, ANY_IP, ANY_POLICY, matchOf, policyOf } from './test-arbitraries.ts';

// ---- the second implementation: every match is spelled out as a list of conditions, nothing is shared with the first

function textFits(wanted: StringMatch, text: string): boolean {
  if (wanted.kind === 'presence') return text.length > 0;
  const escaped = wanted.value.replaceAll(/[^a-z]/g, String.raw`\$&`);
  const pattern = { exact: `^${escaped}$`, prefix: `^${escaped}`, suffix: `${escaped}$` }[
    wanted.kind
  ];
  return new RegExp(pattern).test(text);
}

function rangeHolds({ ip: range, prefixLength }: Cidr, ip: IpAddress): boolean {
  const family = range.includes(':') ? 'ipv6' : 'ipv4';
  if (family !== (ip.includes(':') ? 'ipv6' : 'ipv4')) return false;
  const list = new BlockList();
  list.addSubnet(range, prefixLength, family);
  return list.check(ip, family);
}

function naiveMatch(match: PolicyMatch, { peer, source, destination }: Request): boolean {
  const principal = peer
    ? `${peer.trustDomain}/ns/${peer.namespace}/sa/${peer.serviceAccount}`
    : '';
  const account = ({
    namespace,
    serviceAccount,
  }: {
    namespace: string;
    serviceAccount: string;
  }): boolean =>
    peer !== undefined &&
    `${namespace} ${serviceAccount}` === `${peer.namespace} ${peer.serviceAccount}`;
  const conditions: { negated: boolean; hits: boolean[] }[] = [
    { negated: false, hits: match.principals.map((one) => textFits(one, principal)) },
    { negated: true, hits: match.notPrincipals.map((one) => textFits(one, principal)) },
    { negated: false, hits: match.namespaces.map((one) => textFits(one, peer?.namespace ?? '')) },
    { negated: true, hits: match.notNamespaces.map((one) => textFits(one, peer?.namespace ?? '')) },
    { negated: false, hits: match.serviceAccounts.map(account) },
    { negated: true, hits: (match.notServiceAccounts ?? []).map(account) },
    { negated: false, hits: match.sourceIps.map((one) => rangeHolds(one, source.ip)) },
    { negated: true, hits: match.notSourceIps.map((one) => rangeHolds(one, source.ip)) },
    { negated: false, hits: match.destinationIps.map((one) => rangeHolds(one, destination.ip)) },
    { negated: true, hits: match.notDestinationIps.map((one) => rangeHolds(one, destination.ip)) },
    { negated: false, hits: match.destinationPorts.map((port) => port === destination.port) },
    { negated: true, hits: match.notDestinationPorts.map((port) => port === destination.port) },
  ].filter(({ hits }) => hits.length > 0);
  if (conditions.length === 0) return false;
  for (const { negated, hits } of conditions) if (hits.includes(true) === negated) return false;
  return true;
}

function naivePolicy(policy: AuthorizationPolicy, request: Request): boolean {
  for (const { clauses } of policy.rules) {
    let all = true;
    for (const { matches } of clauses) {
      const found = matches.filter((match) => naiveMatch(match, request));
      if (matches.length > 0 && found.length === 0) all = false;
    }
    if (all) return true;
  }
  return false;
}

function naiveVerdict(
  policies: readonly AuthorizationPolicy[],
  request: Request,
): 'allow' | 'deny' {
  let allowing = 0;
  let allowed = 0;
  for (const policy of policies) {
    if (policy.dryRun || policy.action === 'audit') continue;
    const matches = naivePolicy(policy, request);
    if (policy.action === 'deny' && matches) return 'deny';
    if (policy.action === 'allow') {
      allowing++;
      if (matches) allowed++;
    }
  }
  return allowing === 0 || allowed > 0 ? 'allow' : 'deny';
}

// ----

const REQUEST: fc.Arbitrary<Request> = fc.record({
  peer: fc.option(ANY_IDENTITY, { nil: undefined }),
  source: fc.record({ ip: ANY_IP, port: fc.constant(40_000) }),
  destination: fc.record({ ip: ANY_IP, port: fc.constantFrom(80, 443, 8080) }),
});
const PEER = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' };
const request = (parts: Partial<Request> = {}): Request => ({
  peer: PEER,
  source: { ip: parseIp('10.0.0.1'), port: 40_000 },
  destination: { ip: parseIp('10.0.0.2'), port: 8080 },
  ...parts,
});
const PLAINTEXT = request({ peer: undefined });

type Parts = Partial<AuthorizationPolicy> & { readonly match?: Partial<PolicyMatch> };
function policy({ match, ...parts }: Parts): AuthorizationPolicy {
  const rules = match === undefined ? [] : [{ clauses: [{ matches: [matchOf(match)] }] }];
  return policyOf({ name: 'p', rules, ...parts });
}
const verdict = (match: Partial<PolicyMatch>, asked: Request): boolean =>
  authorize([policy({ match })], asked).verdict === 'deny';

test('decides as a second, naive implementation does, whatever the policies', () => {
  let denied = 0;
  let matched = 0;
  fc.assert(
    fc.property(fc.array(ANY_POLICY, { maxLength: 4 }), REQUEST, (policies, request) => {
      const decision = authorize(policies, request);
      assert.equal(decision.verdict, naiveVerdict(policies, request));
      const matching = policies.filter((one) => naivePolicy(one, request));
      const keys = (some: AuthorizationPolicy[]): string[] =>
        some.map(({ namespace, name }) => `${namespace}/${name}`);
      assert.deepEqual(decision.dryRun, keys(matching.filter((one) => one.dryRun)));
      const audits = matching.filter((one) => one.action === 'audit' && !one.dryRun);
      assert.deepEqual(decision.audited, keys(audits));
      const tried = policies.some((one) => one.dryRun && one.action !== 'audit');
      const enforced = policies.map((one) => ({ ...one, dryRun: false }));
      assert.equal(decision.wouldBe, tried ? naiveVerdict(enforced, request) : undefined);
      if (decision.verdict === 'deny') denied++;
      if (decision.policies.length > 0) matched++;
    }),
    { numRuns: 3000 },
  );
  assert.ok(denied > 100 && matched > 100, `too few cases: ${denied} denied, ${matched} matched`);
});

describe('the order of policies', () => {
  const all = { rules: [{ clauses: [] }] };
  const deny = policy({ name: 'deny', ...all });
  const allow = policy({ name: 'allow', action: 'allow', ...all });

  test('nothing said is allowed', () => {
    assert.deepEqual(authorize([], request()), {
      verdict: 'allow',
      basis: 'no-allow-policy',
      policies: [],
      reason: 'no allow policy applies',
      dryRun: [],
      audited: [],
      wouldBe: undefined,
    });
  });

  test('a matching DENY wins over a matching ALLOW and is named', () => {
    const { verdict, policies, reason } = authorize([allow, deny], request());
    assert.deepEqual([verdict, policies], ['deny', ['shop/deny']]);
    assert.equal(reason, 'explicitly denied by: shop/deny');
  });

  test('with any ALLOW there, what none of them matches is denied', () => {
    assert.deepEqual(authorize([allow], request()).policies, ['shop/allow']);
    const nothing = policy({ name: 'nothing', action: 'allow' });
    const decision = authorize([nothing], request());
    assert.deepEqual([decision.verdict, decision.policies], ['deny', ['shop/nothing']]);
    assert.equal(decision.reason, 'allow policies exist, but none allowed');
    assert.equal(authorize([nothing, allow], request()).verdict, 'allow');
  });

  test('a dry run only says that it would have matched', () => {
    const dry = [
      { ...deny, dryRun: true },
      { ...policy({ name: 'none', action: 'allow' }), dryRun: true },
    ];
    const decision = authorize(dry, request());
    assert.deepEqual([decision.verdict, decision.dryRun], ['allow', ['shop/deny']]);
    assert.equal(decision.wouldBe, 'deny');
    const silent = { ...policy({ name: 'none', action: 'allow' }), dryRun: true };
    const unmatched = authorize([silent], request());
    assert.deepEqual([unmatched.dryRun, unmatched.wouldBe], [[], 'deny']);
  });

  test('an AUDIT policy is reported and never decides, whatever it matches', () => {
    const audit = policy({ name: 'audit', action: 'audit', ...all });
    assert.deepEqual(
      [authorize([audit], request()).verdict, authorize([audit], request()).audited],
      ['allow', ['shop/audit']],
    );
    const decision = authorize([audit, policy({ name: 'none', action: 'allow' })], request());
    assert.deepEqual([decision.verdict, decision.basis], ['deny', 'not-allowed']);
    assert.equal(decision.wouldBe, undefined);
  });

  test('a policy that the destination names and nobody knows denies, after the known DENYs', () => {
    const unknown = authorize([allow], request(), ['shop/lost']);
    assert.deepEqual(
      [unknown.verdict, unknown.basis, unknown.policies],
      ['deny', 'policy-unknown', ['shop/lost']],
    );
    const denied = authorize([allow, deny], request(), ['shop/lost']);
    assert.deepEqual(denied.policies, ['shop/deny']);
  });
});

describe('what a policy matches', () => {
  const rulesOf = (rules: AuthorizationPolicy['rules'], asked = request()): boolean =>
    authorize([policyOf({ name: 'p', rules })], asked).verdict === 'deny';
  const yes = matchOf({ destinationPorts: [8080] });
  const no = matchOf({ destinationPorts: [1] });

  test('no rules: nothing; a rule without clauses and a clause without matches: everything', () => {
    assert.equal(rulesOf([]), false);
    assert.equal(rulesOf([{ clauses: [] }]), true);
    assert.equal(rulesOf([{ clauses: [{ matches: [] }] }]), true);
  });

  test('a match that asks nothing never matches', () => {
    assert.equal(rulesOf([{ clauses: [{ matches: [matchOf({})] }] }]), false);
    assert.equal(
      rulesOf([{ clauses: [{ matches: [matchOf({ notServiceAccounts: [] })] }] }]),
      false,
    );
    assert.equal(rulesOf([{ clauses: [{ matches: [matchOf({}), yes] }] }]), true);
  });

  test('rules are ORed, clauses ANDed, matches ORed', () => {
    assert.equal(
      rulesOf([{ clauses: [{ matches: [no] }] }, { clauses: [{ matches: [yes] }] }]),
      true,
    );
    assert.equal(rulesOf([{ clauses: [{ matches: [yes] }, { matches: [no] }] }]), false);
    assert.equal(rulesOf([{ clauses: [{ matches: [yes] }, { matches: [no, yes] }] }]), true);
  });

  test('attributes of one match are ANDed, values of one attribute ORed', () => {
    assert.equal(verdict({ destinationPorts: [1, 8080] }, request()), true);
    assert.equal(
      verdict({ destinationPorts: [8080], notDestinationPorts: [8080] }, request()),
      false,
    );
  });

  test('principals are compared without their scheme', () => {
    const is = (kind: 'exact' | 'prefix' | 'suffix', value: string): boolean =>
      verdict({ principals: [{ kind, value }] }, request());
    assert.equal(is('exact', 'cluster.local/ns/shop/sa/web'), true);
    assert.equal(is('exact', 'spiffe://cluster.local/ns/shop/sa/web'), false);
    assert.equal(is('prefix', 'cluster.local/ns/shop/'), true);
    assert.equal(is('suffix', '/sa/web'), true);
    assert.equal(is('suffix', '/sa/api'), false);
  });

  test('a name that looks like another is another: longer, shorter, in other case, in another piece', () => {
    const namespaces = [{ kind: 'exact', value: 'shop' }] as const;
    const principals = [{ kind: 'exact', value: 'cluster.local/ns/shop/sa/web' }] as const;
    const ofNamespace = [{ kind: 'prefix', value: 'cluster.local/ns/shop/' }] as const;
    const serviceAccounts = [{ namespace: 'shop', serviceAccount: 'web' }];
    const looks = ['shop-b', 'sho', 'Shop', 'shop.', 'a-shop'].map((namespace) => ({
      ...PEER,
      namespace,
    }));
    looks.push({ ...PEER, namespace: 'ops', serviceAccount: 'shop' });
    for (const peer of looks) {
      for (const match of [
        { namespaces },
        { principals },
        { principals: ofNamespace },
        { serviceAccounts },
      ]) {
        assert.equal(verdict(match, request({ peer })), false, JSON.stringify([match, peer]));
        assert.equal(verdict(match, request()), true);
      }
    }
    const domain = { ...PEER, trustDomain: 'cluster.local.evil.test' };
    assert.equal(verdict({ principals }, request({ peer: domain })), false);
    assert.equal(verdict({ principals: ofNamespace }, request({ peer: domain })), false);
  });

  test('without an identity no principal, namespace or account matches, and "not present" does: strict mTLS', () => {
    const present = [{ kind: 'presence' }] as const;
    assert.equal(verdict({ principals: present }, PLAINTEXT), false);
    assert.equal(verdict({ namespaces: [{ kind: 'exact', value: 'shop' }] }, PLAINTEXT), false);
    assert.equal(
      verdict({ serviceAccounts: [{ namespace: 'shop', serviceAccount: 'web' }] }, PLAINTEXT),
      false,
    );
    assert.equal(verdict({ notPrincipals: present }, PLAINTEXT), true);
    assert.equal(verdict({ notPrincipals: present }, request()), false);
  });

  test('service accounts are compared without the trust domain, and can be excluded', () => {
    const other = request({ peer: { ...PEER, trustDomain: 'other.test' } });
    const web = [{ namespace: 'shop', serviceAccount: 'web' }];
    assert.equal(verdict({ serviceAccounts: web }, other), true);
    assert.equal(verdict({ notServiceAccounts: web }, request()), false);
    assert.equal(verdict({ notServiceAccounts: web }, PLAINTEXT), true);
  });
});
