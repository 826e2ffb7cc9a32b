import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from './address.ts';
import { type Decision, LEFT_TO_DESTINATION } from './authorize.ts';
import { failureCodeOf } from './failures.ts';
import type { Intent } from './intent.ts';
import { admit, type Permit } from './permit.ts';

const INTENT: Intent = {
  kind: 'passthrough',
  destination: { ip: parseIp('10.0.0.1'), port: 80 },
  reason: 'unknown-destination',
};
const decision = (
  verdict: Decision['verdict'],
  basis: Decision['basis'] = 'denied-by-policy',
): Decision => ({
  ...LEFT_TO_DESTINATION,
  verdict,
  basis,
  policies: ['shop/p'],
  reason: 'explicitly denied by: shop/p',
});

function dial(permit: Permit<Intent>): string {
  return permit.kind;
}

describe('admit()', () => {
  test('a yes lets the very intent through', () => {
    const permit = admit(INTENT, decision('allow'));
    assert.equal(permit, INTENT);
    assert.equal(dial(permit), 'passthrough');
  });

  test('a no is a POLICY_DENIED that names the policy', () => {
    assert.throws(
      () => admit(INTENT, decision('deny')),
      (error: Error) =>
        failureCodeOf(error) === 'POLICY_DENIED' && error.message.includes('shop/p'),
    );
  });

  test('a no for want of a policy is a POLICY_UNKNOWN', () => {
    assert.throws(() => admit(INTENT, decision('deny', 'policy-unknown')), {
      code: 'POLICY_UNKNOWN',
    });
  });

  test('what was not admitted cannot be dialled: it does not compile', () => {
    // @ts-expect-error an Intent is no Permit
    dial(INTENT);
    // @ts-expect-error nor is a look-alike
    dial({ ...INTENT, proof: true });
  });
});
