// PolicyWatch: asks for a re-check exactly when an open connection's answer could be another.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuthorizationPolicy } from '../mesh/policy.ts';
import { emptySnapshot } from '../mesh/snapshot.ts';
import { PolicyWatch } from './policy-watch.ts';
import { workloadOf, workloadUid } from './test-support/world.ts';

const OWN = { name: 'own', uid: 'own', addresses: ['10.0.0.1'] };
const FAR = { name: 'far', uid: 'far', addresses: ['10.0.0.2'] };
const POLICY: AuthorizationPolicy = {
  name: 'p',
  namespace: 'shop',
  scope: 'namespace',
  action: 'deny',
  rules: [],
  dryRun: false,
};

test('a new, changed or removed policy and a changed own workload count; others do not', () => {
  const watch = new PolicyWatch();
  const own = [workloadUid(OWN)];
  let snapshot = emptySnapshot.apply([{ kind: 'workload', workload: workloadOf(OWN) }]);
  watch.changed(snapshot, own);
  const changedBy = (update: Parameters<typeof snapshot.apply>[0][number]): boolean => {
    snapshot = snapshot.apply([update]);
    return watch.changed(snapshot, own);
  };
  assert.equal(changedBy({ kind: 'workload', workload: workloadOf(FAR) }), false);
  assert.equal(changedBy({ kind: 'policy', policy: POLICY }), true);
  assert.equal(changedBy({ kind: 'policy', policy: { ...POLICY, action: 'allow' } }), true);
  assert.equal(changedBy({ kind: 'policy-removed', name: 'shop/p' }), true);
  const labelled = workloadOf(OWN, { authorizationPolicies: ['shop/p'] });
  assert.equal(changedBy({ kind: 'workload', workload: labelled }), true);
  assert.equal(changedBy({ kind: 'address-removed', name: workloadUid(FAR) }), false);
});
