import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { authorizeRequest } from './authorize-request.ts';
import { describeTestMiss, explainRequest } from './explain-request.ts';
import type { PolicyTest } from './http-policy.ts';
import {
  ANY_FACTS,
  ANY_HTTP_POLICY,
  customPolicyOf,
  factsOf,
  httpPolicyOf,
  ruleOf,
} from './test-http-policies.ts';

const evaluate = (text: string): boolean | undefined =>
  text === 'broken' ? undefined : text === 'yes';
const PARTS = { evaluate };

test('an explanation has the very decision, and every policy in the order it is considered', () => {
  fc.assert(
    fc.property(fc.array(ANY_HTTP_POLICY, { maxLength: 5 }), ANY_FACTS, (policies, facts) => {
      const explanation = explainRequest(policies, facts, PARTS);
      const decision = authorizeRequest(policies, facts, PARTS);
      assert.deepEqual(explanation.decision, decision);
      assert.equal(explanation.policies.length, policies.length);
      for (const { matched, rules, decides, change } of explanation.policies) {
        assert.equal(
          matched,
          rules.some((rule) => rule.matched),
        );
        if (change !== undefined) assert.ok(decides && decision.verdict === 'deny');
        for (const rule of rules) if (!rule.matched) assert.ok(rule.misses.length > 0);
      }
      const order = explanation.policies.map(({ enforced, action }) =>
        enforced ? ['custom', 'deny', 'allow'].indexOf(action) : 3,
      );
      assert.deepEqual(
        order,
        order.toSorted((a, b) => a - b),
      );
    }),
    { numRuns: 1000 },
  );
});

describe('what would have to change', () => {
  const get: PolicyTest = {
    attribute: 'request.method',
    not: false,
    values: [{ kind: 'exact', value: 'GET' }],
  };
  const changeOf = (...args: Parameters<typeof explainRequest>): string | undefined =>
    explainRequest(...args).policies[0]?.change;

  test('a denied request is told which rule of which policy matches it', () => {
    const policy = httpPolicyOf({ name: 'readonly', rules: [ruleOf({ ...get, not: true })] });
    const facts = factsOf({ request: { method: 'POST' } });
    assert.equal(
      changeOf([policy], facts, PARTS),
      'Rule 0 of shop/readonly must no longer match POST /a from cluster.local/ns/shop/sa/web',
    );
  });

  test('a request that no ALLOW matches is told what each rule asks', () => {
    const policy = httpPolicyOf({
      action: 'allow',
      rules: [
        ruleOf(get),
        ruleOf({
          attribute: 'request.auth.claim',
          path: ['realm', 'roles'],
          not: false,
          values: [{ kind: 'prefix', value: 'admin' }],
        }),
      ],
    });
    const facts = factsOf({ request: { method: 'POST' } });
    assert.equal(
      changeOf([policy], facts, PARTS),
      'For shop/p to allow it, rule 0: request.method must be GET, but is POST; or rule 1: request.auth.claims[realm][roles] must be admin*, but is none (no valid token)',
    );
    assert.match(changeOf([httpPolicyOf({ action: 'allow' })], facts, PARTS) ?? '', /no rule/);
    const custom = customPolicyOf({ name: 'gone', why: 'no such key' });
    assert.match(changeOf([custom], facts, PARTS) ?? '', /Provider gone of shop\/p/);
  });

  test('a miss is said in the words of the policy and of the request', () => {
    const miss = (test: PolicyTest, facts = factsOf()): string => {
      const policy = httpPolicyOf({ action: 'allow', rules: [ruleOf(test)] });
      const rule = explainRequest([policy], facts, PARTS).policies[0]?.rules[0];
      assert.ok(rule !== undefined && !rule.matched);
      return rule.misses.map(describeTestMiss).join();
    };
    const values = [{ kind: 'suffix', value: 'x' }] as const;
    assert.equal(
      miss({ attribute: 'request.header', name: 'x-role', not: false, values }),
      'request.headers[x-role] must be *x, but is absent',
    );
    const twice = factsOf({
      request: {
        headers: [
          ['x-role', 'a'],
          ['x-role', 'x'],
        ],
      },
    });
    assert.equal(
      miss({ attribute: 'request.header', name: 'x-role', not: false, values }, twice),
      'request.headers[x-role] must be *x, but is "a" and "x"',
    );
    assert.equal(
      miss({ attribute: 'cel', not: false, values: ['request.path == "/b"'] }),
      'request.path == "/b" must hold',
    );
    assert.match(
      miss({ attribute: 'unreadable', why: 'new field' }),
      /cannot be read \(new field\)/,
    );
  });
});
