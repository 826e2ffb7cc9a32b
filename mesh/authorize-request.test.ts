import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type IpAddress, parseIp } from './address.ts';
import { authorizeRequest, type RequestDecision } from './authorize-request.ts';
import type { HttpPolicy, PathPattern, PolicyTest } from './http-policy.ts';
import { readsToken } from './http-policy.ts';
import type { Cidr, StringMatch } from './policy.ts';
import type { RequestFacts } from './request-subject.ts';
import {
  ANY_FACTS,
  ANY_HTTP_POLICY,
  customPolicyOf,
  factsOf,
  httpPolicyOf,
  providerOf,
  ruleOf,
} from './test-http-policies.ts';

const evaluate = (text: string): boolean | undefined =>
  text === 'broken' ? undefined : text === 'yes';
const PARTS = { evaluate };

// ---- the second implementation: three answers instead of two certainties, regular expressions instead of string
// functions, nothing shared with the first

type Answer = 'yes' | 'no' | 'unknown';
const not = (answer: Answer): Answer =>
  answer === 'unknown' ? answer : answer === 'yes' ? 'no' : 'yes';
const some = (answers: Answer[]): Answer =>
  answers.includes('yes') ? 'yes' : answers.includes('unknown') ? 'unknown' : 'no';
const every = (answers: Answer[]): Answer => not(some(answers.map(not)));
const said = (fact: boolean): Answer => (fact ? 'yes' : 'no');

function fits(wanted: PathPattern, text: string): boolean {
  if (wanted.kind === 'presence') return text.length > 0;
  if (wanted.kind === 'template') {
    const pattern = wanted.value
      .replaceAll('{**}', '<many>')
      .replaceAll('{*}', '[^/]+')
      .replaceAll('<many>', '.*');
    return new RegExp(`^${pattern}$`).test(text);
  }
  const escaped = wanted.value.replaceAll(/[^a-z0-9]/gi, String.raw`\$&`);
  const pattern = { exact: `^${escaped}$`, prefix: `^${escaped}`, suffix: `${escaped}$` };
  return new RegExp(pattern[wanted.kind]).test(text);
}

function inRange({ ip: range, prefixLength }: Cidr, ip: IpAddress): boolean {
  const family = range.includes(':') ? 'ipv6' : 'ipv4';
  if (family !== (ip.includes(':') ? 'ipv6' : 'ipv4')) return false;
  const list = new BlockList();
  list.addSubnet(range, prefixLength, family);
  return list.check(ip, family);
}

function remote(facts: RequestFacts): IpAddress | undefined {
  const all = facts.request.headers
    .filter(([name]) => name === 'x-forwarded-for')
    .flatMap(([, value]) => value.split(','));
  if (facts.trustedHops === 0 || all.length < facts.trustedHops) return facts.source.ip;
  const text = (all[all.length - facts.trustedHops] ?? '').trim();
  return /^[\d.]+$|^[0-9a-f:]+$/.test(text) ? parseIp(text) : undefined;
}

function header(name: string, wanted: StringMatch[], facts: RequestFacts): Answer {
  const lines = facts.request.headers.filter(([key]) => key === name).map(([, value]) => value);
  if (lines.length === 0) return 'no';
  const hit = (text: string): boolean => wanted.some((one) => fits(one, text));
  if (lines.every(hit)) return 'yes';
  const parts = [...lines, lines.join(','), ...lines.flatMap((line) => line.split(/ *, */))];
  return wanted.some(({ kind }) => kind === 'presence') || parts.some(hit) ? 'unknown' : 'no';
}

function claims(facts: RequestFacts, path: readonly string[]): string[] {
  const all = facts.token?.claims ?? {};
  const key = path.join('.');
  if (key === 'scope' && typeof all['scope'] === 'string') return all['scope'].split(' ');
  let value: unknown = Object.hasOwn(all, path[0] ?? '') ? all[path[0] ?? ''] : undefined;
  if (key === 'nested.key') {
    value = Array.isArray(value) ? undefined : (value as { key?: string } | undefined)?.key;
  }
  if (key.startsWith('__proto__')) return [];
  return [value]
    .flat()
    .filter((one) => ['string', 'number', 'boolean'].includes(typeof one))
    .map(String);
}

function naiveTest(test: PolicyTest, facts: RequestFacts): Answer {
  if (test.attribute === 'unreadable') return 'unknown';
  const answer = naiveAny(test, facts);
  return test.not ? not(answer) : answer;
}

function namesOf(authority: string): string[] {
  if (authority === '') return [];
  const bare = authority.replace(/\.?:\d+$/, '').replace(/\.$/, '');
  return [bare, authority.replace(/\.$/, '')];
}

function inLowerCase(one: PathPattern): PathPattern {
  return one.kind === 'presence' ? one : { ...one, value: one.value.toLowerCase() };
}

// oxlint-disable-next-line complexity -- one case an attribute
function naiveAny(
  test: Exclude<PolicyTest, { attribute: 'unreadable' }>,
  facts: RequestFacts,
): Answer {
  const { request, source, destination, token, sni } = facts;
  const peer = source.identity;
  const sub = token?.claims['sub'];
  const texts = (found: (string | undefined)[], wanted: readonly PathPattern[]): Answer =>
    said(found.some((text) => text !== undefined && wanted.some((one) => fits(one, text))));
  switch (test.attribute) {
    case 'cel':
      return some(
        test.values.map((text) => (text === 'broken' ? 'unknown' : said(text === 'yes'))),
      );
    case 'request.header':
      return header(test.name, [...test.values], facts);
    case 'request.auth.claim':
      return texts(claims(facts, test.path), test.values);
    case 'request.auth.audiences':
      return texts(claims(facts, ['aud']), test.values);
    case 'request.auth.presenter':
      return texts(claims(facts, ['azp']), test.values);
    case 'request.auth.principal':
      return texts(
        [typeof sub === 'string' && sub !== '' ? `https://id.test/${sub}` : undefined],
        test.values,
      );
    case 'request.path':
      return texts([request.path], test.values);
    case 'request.method':
      return texts([request.method], test.values);
    case 'request.host':
      return texts(namesOf(request.authority), test.values.map(inLowerCase));
    case 'connection.sni':
      return texts([sni?.toLowerCase()], test.values.map(inLowerCase));
    case 'source.principal':
      return texts(
        [peer && `${peer.trustDomain}/ns/${peer.namespace}/sa/${peer.serviceAccount}`],
        test.values,
      );
    case 'source.namespace':
      return texts([peer?.namespace], test.values);
    case 'source.serviceAccount':
      return said(
        test.values.some(
          (one) =>
            peer !== undefined &&
            `${one.namespace} ${one.serviceAccount}` === `${peer.namespace} ${peer.serviceAccount}`,
        ),
      );
    case 'source.ip':
      return said(test.values.some((range) => inRange(range, source.ip)));
    case 'destination.ip':
      return said(test.values.some((range) => inRange(range, destination.ip)));
    case 'remote.ip': {
      const ip = remote(facts);
      if (ip === undefined) return 'unknown';
      return said(test.values.some((range) => inRange(range, ip)));
    }
    case 'destination.port':
      return said(test.values.some((port) => port === destination.port));
  }
}

function naiveMatches(policy: HttpPolicy, facts: RequestFacts): boolean {
  const answer = some(
    policy.rules.map(({ clauses }) =>
      every(
        clauses.map(({ anyOf }) =>
          some(anyOf.map((tests) => every(tests.map((one) => naiveTest(one, facts))))),
        ),
      ),
    ),
  );
  const doubtCounts = policy.action === 'deny' || policy.action === 'custom';
  return answer === 'yes' || (answer === 'unknown' && doubtCounts);
}

function naiveVerdict(
  policies: readonly HttpPolicy[],
  facts: RequestFacts,
  passed: ReadonlySet<string>,
): RequestDecision['verdict'] {
  const real = policies.filter((one) => !one.dryRun);
  const matching = real.filter((one) => naiveMatches(one, facts));
  for (const one of matching) {
    if (one.action === 'custom' && !passed.has(one.provider.name)) {
      return 'why' in one.provider ? 'deny' : 'ask';
    }
  }
  if (matching.some(({ action }) => action === 'deny')) return 'deny';
  if (!real.some(({ action }) => action === 'allow')) return 'allow';
  return matching.some(({ action }) => action === 'allow') ? 'allow' : 'deny';
}

// ----

const ANY_PASSED = fc
  .constantFrom([], ['opa'], ['opa', 'login'])
  .map((names) => new Set<string>(names));

test('decides as a second, naive implementation does, whatever the policies', () => {
  const seen = { allow: 0, deny: 0, ask: 0, 'allowed-by-policy': 0 };
  fc.assert(
    fc.property(
      fc.array(ANY_HTTP_POLICY, { maxLength: 4 }),
      ANY_FACTS,
      ANY_PASSED,
      (policies, facts, passed) => {
        const decision = authorizeRequest(policies, facts, { evaluate, passed });
        assert.equal(decision.verdict, naiveVerdict(policies, facts, passed));
        const matching = policies.filter((one) => naiveMatches(one, facts));
        const keys = (found: HttpPolicy[]): string[] =>
          found.map(({ namespace, name }) => `${namespace}/${name}`);
        assert.deepEqual(decision.dryRun, keys(matching.filter((one) => one.dryRun)));
        const audits = matching.filter((one) => one.action === 'audit' && !one.dryRun);
        assert.deepEqual(decision.audited, keys(audits));
        const tried = policies.some((one) => one.dryRun && one.action !== 'audit');
        const enforced = policies.map((one) => ({ ...one, dryRun: false }));
        assert.equal(decision.wouldBe, tried ? naiveVerdict(enforced, facts, passed) : undefined);
        seen[decision.verdict]++;
        if (decision.basis === 'allowed-by-policy') seen['allowed-by-policy']++;
      },
    ),
    { numRuns: 5000 },
  );
  assert.ok(
    Object.values(seen).every((count) => count > 100),
    JSON.stringify(seen),
  );
});

test('a part that cannot be read never lets more through', () => {
  const lost: PolicyTest = { attribute: 'unreadable', why: 'from another time' };
  let denied = 0;
  fc.assert(
    fc.property(ANY_HTTP_POLICY, ANY_FACTS, fc.nat(5), (policy, facts, which) => {
      let seen = 0;
      const rules = policy.rules.map(({ clauses }) => ({
        clauses: clauses.map(({ part, anyOf }) => ({
          part,
          anyOf: anyOf.map((tests) => tests.map((one) => (seen++ === which ? lost : one))),
        })),
      }));
      const before = authorizeRequest([policy], facts, PARTS).verdict;
      const after = authorizeRequest([{ ...policy, rules }], facts, PARTS).verdict;
      if (before !== 'allow') assert.equal(after, before);
      if (before === 'deny' && seen > which) denied++;
    }),
    { numRuns: 2000 },
  );
  assert.ok(denied > 100, `too few cases: ${denied}`);
});

describe('the order of policies', () => {
  const all = { rules: [{ clauses: [] }] };
  const deny = httpPolicyOf({ name: 'deny', ...all });
  const allow = httpPolicyOf({ name: 'allow', action: 'allow', ...all });
  const decide = (policies: HttpPolicy[], passed?: ReadonlySet<string>): RequestDecision =>
    authorizeRequest(policies, factsOf(), passed === undefined ? PARTS : { evaluate, passed });

  test('nothing said is allowed', () => {
    assert.deepEqual(decide([]), {
      verdict: 'allow',
      basis: 'no-allow-policy',
      policies: [],
      rule: undefined,
      reason: 'no allow policy applies',
      dryRun: [],
      audited: [],
      wouldBe: undefined,
    });
  });

  test('CUSTOM is asked before DENY, which wins over ALLOW; each names its rule', () => {
    const never = ruleOf({ attribute: 'destination.port', not: false, values: [1] });
    const custom = customPolicyOf(providerOf(), { name: 'custom' });
    const later = httpPolicyOf({ name: 'later', rules: [never, { clauses: [] }] });
    const asked = decide([allow, later, custom]);
    assert.deepEqual([asked.verdict, asked.policies, asked.rule], ['ask', ['shop/custom'], 0]);
    assert.equal(asked.verdict === 'ask' && asked.provider.name, 'opa');
    const denied = decide([allow, later, custom], new Set(['opa']));
    assert.deepEqual([denied.verdict, denied.policies, denied.rule], ['deny', ['shop/later'], 1]);
    assert.equal(decide([allow, custom], new Set(['opa'])).basis, 'allowed-by-policy');
  });

  test('with any ALLOW there, what none of them matches is denied', () => {
    const nothing = httpPolicyOf({ name: 'nothing', action: 'allow' });
    const decision = decide([nothing]);
    assert.deepEqual(
      [decision.verdict, decision.basis, decision.policies, decision.rule],
      ['deny', 'not-allowed', ['shop/nothing'], undefined],
    );
    assert.equal(decide([nothing, allow]).verdict, 'allow');
  });

  test('a CUSTOM policy whose provider is not known denies what it matches', () => {
    const decision = decide([customPolicyOf({ name: 'gone', why: 'no such key' })]);
    assert.deepEqual([decision.verdict, decision.basis], ['deny', 'provider-unknown']);
    assert.match(decision.reason, /gone.*no such key/);
  });

  test('dry run and AUDIT are reported and never decide', () => {
    const dry = { ...deny, dryRun: true };
    const audit = httpPolicyOf({ name: 'audit', action: 'audit', ...all });
    const decision = decide([dry, audit]);
    assert.equal(decision.verdict, 'allow');
    assert.deepEqual(decision.dryRun, ['shop/deny']);
    assert.deepEqual(decision.audited, ['shop/audit']);
    assert.equal(decision.wouldBe, 'deny');
    const custom = customPolicyOf(providerOf(), { dryRun: true });
    assert.deepEqual([decide([custom]).verdict, decide([custom]).wouldBe], ['allow', 'ask']);
  });

  test('only a CUSTOM policy that asks of the token waits for it', () => {
    const withTest = (test: PolicyTest): HttpPolicy =>
      customPolicyOf(providerOf(), { rules: [ruleOf(test)] });
    const values = [{ kind: 'presence' }] as const;
    assert.equal(readsToken(customPolicyOf(providerOf())), false);
    assert.equal(readsToken(withTest({ attribute: 'request.host', not: false, values })), false);
    for (const attribute of ['request.auth.principal', 'request.auth.audiences'] as const) {
      assert.equal(readsToken(withTest({ attribute, not: true, values })), true);
    }
    const claim = { attribute: 'request.auth.claim', path: ['a'], not: false, values } as const;
    assert.equal(readsToken(withTest(claim)), true);
    const cel = (text: string): HttpPolicy =>
      withTest({ attribute: 'cel', not: false, values: [text] });
    assert.equal(readsToken(cel('request.auth.principal != ""')), true);
    assert.equal(readsToken(cel('request["auth"].principal != ""')), true);
    assert.equal(readsToken(cel('request.host == "auth0.test"')), false);
  });
});
