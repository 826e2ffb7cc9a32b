// Ten thousand policies with ten rules each: a request is judged by those of its own service only, however many there are.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authorizeRequest } from './authorize-request.ts';
import type { HttpPolicy, PolicyTest } from './http-policy.ts';
import { emptySnapshot } from './snapshot.ts';
import { factsOf, ruleOf } from './test-http-policies.ts';

const POLICIES = 10_000;
const RULES = 10;
const DECISIONS = 2000;
// tens of times what it takes here: a search over all policies would take thousands of times as long
const MAX_US = 500;

test('a decision looks at the policies of its place only', () => {
  const rule = (service: number, index: number): HttpPolicy['rules'][number] => {
    const path: PolicyTest = {
      attribute: 'request.path',
      not: false,
      values: [{ kind: 'prefix', value: `/${service}/${index}/` }],
    };
    return ruleOf(path);
  };
  const snapshot = emptySnapshot.apply(
    Array.from({ length: POLICIES }, (_, i) => ({
      kind: 'http-policy' as const,
      policy: {
        namespace: 'shop',
        name: `p${i}`,
        targets: [{ kind: 'service' as const, service: `shop/s${i}.test` }],
        action: 'allow' as const,
        rules: Array.from({ length: RULES }, (_unused, index) => rule(i, index)),
        dryRun: false,
      },
    })),
  );
  const facts = factsOf({ request: { path: '/7/9/x' } });
  const place = (i: number) => ({
    gateway: 'shop/waypoint',
    gatewayClass: 'ambit-waypoint',
    service: `shop/s${i}.test`,
  });
  assert.equal(snapshot.httpPoliciesAt(place(7)).length, 1);
  const began = performance.now();
  for (let i = 0; i < DECISIONS; i++) {
    const policies = snapshot.httpPoliciesAt(place(i % 10));
    const { verdict } = authorizeRequest(policies, facts, { evaluate: () => undefined });
    assert.equal(verdict, i % 10 === 7 ? 'allow' : 'deny');
  }
  const us = ((performance.now() - began) * 1000) / DECISIONS;
  assert.ok(us < MAX_US, `${us.toFixed(1)} us a decision`);
});
