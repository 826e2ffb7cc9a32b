import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from './address.ts';
import { authorize } from './authorize.ts';
import { describeMiss, explainAuthorization } from './explain-authorization.ts';
import type { AuthorizationPolicy, PolicyMatch } from './policy.ts';
import type { Request } from './policy-match.ts';
import { ANY_IDENTITY, ANY_IP, ANY_POLICY, matchOf, policyOf } from './test-arbitraries.ts';

const REQUEST: fc.Arbitrary<Request> = fc.record({
  peer: fc.option(ANY_IDENTITY, { nil: undefined }),
  source: fc.record({ ip: ANY_IP, port: fc.constant(40_000) }),
  destination: fc.record({ ip: ANY_IP, port: fc.constantFrom(80, 443, 8080) }),
});
const request = (parts: Partial<Request> = {}): Request => ({
  peer: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' },
  source: { ip: parseIp('10.0.0.1'), port: 40_000 },
  destination: { ip: parseIp('10.0.0.2'), port: 8080 },
  ...parts,
});
const PLAINTEXT = request({ peer: undefined });

function policy(
  match: Partial<PolicyMatch>,
  parts: Partial<AuthorizationPolicy> = {},
): AuthorizationPolicy {
  return policyOf({ name: 'p', rules: [{ clauses: [{ matches: [matchOf(match)] }] }], ...parts });
}

test('an explanation has the very decision, and every policy once', () => {
  const unknown = fc.subarray(['shop/lost']);
  fc.assert(
    fc.property(
      fc.array(ANY_POLICY, { maxLength: 4 }),
      REQUEST,
      unknown,
      (policies, asked, lost) => {
        const { decision, policies: explained } = explainAuthorization(policies, asked, lost);
        assert.deepEqual(decision, authorize(policies, asked, lost));
        assert.equal(explained.length, policies.length);
        for (const one of explained) {
          assert.equal(
            one.matched,
            one.rules.some(({ matched }) => matched),
          );
          assert.equal(one.change !== undefined, one.decides && decision.verdict === 'deny');
        }
        if (decision.verdict === 'deny') {
          const named = explained.filter(({ decides }) => decides).length;
          assert.ok(named > 0 || decision.basis === 'policy-unknown');
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test('a rule did not match because of what its misses say: without those fields its alternatives match', () => {
  let freed = 0;
  fc.assert(
    fc.property(ANY_POLICY, REQUEST, (one, asked) => {
      const [explained] = explainAuthorization([one], asked).policies;
      for (const [index, rule] of (explained?.rules ?? []).entries()) {
        const failed = rule.matched ? undefined : one.rules[index]?.clauses[rule.clause];
        if (rule.matched || failed === undefined) continue;
        assert.equal(rule.misses.length, failed.matches.length);
        for (const [at, { field }] of rule.misses.entries()) {
          const match = failed.matches[at];
          if (match === undefined || field === 'empty') continue;
          // alone it fails, and what came before it did not
          const alone = policyOf({
            name: 'alone',
            rules: [{ clauses: [{ matches: [matchOf({ [field]: match[field] })] }] }],
          });
          assert.equal(authorize([alone], asked).verdict, 'allow', field);
          freed++;
        }
      }
    }),
    { numRuns: 2000 },
  );
  assert.ok(freed > 100, `too few misses: ${freed}`);
});

describe('what would have to change', () => {
  const change = (policies: AuthorizationPolicy[], asked: Request): string | undefined =>
    explainAuthorization(policies, asked).policies.find(({ decides }) => decides)?.change;

  test('for an ALLOW that did not match: the first field that failed, with both sides', () => {
    const allow = policy(
      { principals: [{ kind: 'exact', value: 'cluster.local/ns/ops/sa/admin' }] },
      { action: 'allow' },
    );
    assert.equal(
      change([allow], request()),
      "For shop/p to allow it, rule 0: the caller's principal must be cluster.local/ns/ops/sa/admin, but is cluster.local/ns/shop/sa/web",
    );
    assert.match(change([allow], PLAINTEXT) ?? '', /but is none \(plain text\)/);
  });

  test('for an ALLOW without rules: that it has none', () => {
    assert.match(change([policyOf({ name: 'p', action: 'allow' })], request()) ?? '', /no rule/);
  });

  test('for a DENY: which rule, and whom it matched', () => {
    assert.equal(
      change([policy({ destinationPorts: [8080] })], request()),
      'Rule 0 of shop/p must no longer match cluster.local/ns/shop/sa/web from 10.0.0.1 to port 8080',
    );
  });

  test('for strict mTLS: to use mutual TLS, whatever the policy behind it is called', () => {
    for (const name of ['istio_converted_static_strict', 'converted_peer_authentication_a']) {
      const strict = policy({ notPrincipals: [{ kind: 'presence' }] }, { name });
      assert.match(change([strict], PLAINTEXT) ?? '', /mutual TLS.*PeerAuthentication/);
    }
  });

  test('what does not decide needs no change', () => {
    const { policies } = explainAuthorization(
      [policy({ destinationPorts: [1] }), policy({ destinationPorts: [8080] }, { dryRun: true })],
      request(),
    );
    assert.deepEqual(
      policies.map(({ matched, enforced, change }) => [matched, enforced, change]),
      [
        [false, true, undefined],
        [true, false, undefined],
      ],
    );
  });
});

describe('a miss in words', () => {
  const cases: [Partial<PolicyMatch>, string][] = [
    [{ namespaces: [{ kind: 'prefix', value: 'op' }] }, 'namespace must be op*, but is shop'],
    [{ notNamespaces: [{ kind: 'presence' }] }, 'namespace must not be *, but is shop'],
    [{ principals: [{ kind: 'suffix', value: '/sa/api' }] }, 'principal must be */sa/api, but is '],
    [
      { serviceAccounts: [{ namespace: 'shop', serviceAccount: 'api' }] },
      'service account must be shop/api, but is shop/web',
    ],
    [
      { notServiceAccounts: [{ namespace: 'shop', serviceAccount: 'web' }] },
      'service account must not be shop/web, but is shop/web',
    ],
    [
      { sourceIps: [{ ip: parseIp('10.1.0.0'), prefixLength: 16 }] },
      "caller's address must be 10.1.0.0/16, but is 10.0.0.1",
    ],
    [
      { notDestinationIps: [{ ip: parseIp('10.0.0.0'), prefixLength: 8 }] },
      "destination's address must not be 10.0.0.0/8, but is 10.0.0.2",
    ],
    [{ destinationPorts: [80, 443] }, 'port must be 80 or 443, but is 8080'],
    [{ notDestinationPorts: [8080] }, 'port must not be 8080, but is 8080'],
    [{}, 'only a waypoint can evaluate'],
  ];
  for (const [match, words] of cases) {
    test(words, () => {
      const [explained] = explainAuthorization([policy(match)], request()).policies;
      const [rule] = explained?.rules ?? [];
      const [miss] = rule?.matched === false ? rule.misses : [];
      assert.ok(miss !== undefined && describeMiss(miss).includes(words), JSON.stringify(miss));
    });
  }
});
