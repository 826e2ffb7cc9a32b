// PolicyWatch: asks for a re-check exactly of the pods whose connections could have another answer.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AuthorizationPolicy } from '../mesh/policy.ts';
import type { ResourceUpdate } from '../mesh/resource-update.ts';
import { emptySnapshot } from '../mesh/snapshot.ts';
import { PolicyWatch } from './policy-watch.ts';
import { workloadOf, workloadUid } from './test-support/world.ts';

const OWN = { name: 'own', uid: 'own', addresses: ['10.0.0.1'] };
const OTHER = { name: 'other', uid: 'other', addresses: ['10.0.0.3'] };
const FAR = { name: 'far', uid: 'far', addresses: ['10.0.0.2'] };
const PODS = [OWN, OTHER].map((pod) => ({ podUid: pod.uid, workloadUid: workloadUid(pod) }));
const POLICY: AuthorizationPolicy = {
  name: 'p',
  namespace: 'shop',
  scope: 'namespace',
  action: 'deny',
  rules: [],
  dryRun: false,
};
const SELECTIVE: AuthorizationPolicy = { ...POLICY, name: 's', scope: 'workload' };

function watching(): (...updates: ResourceUpdate[]) => string[] {
  const watch = new PolicyWatch();
  let snapshot = emptySnapshot.apply(
    [OWN, OTHER].map((pod) => ({ kind: 'workload', workload: workloadOf(pod) })),
  );
  watch.concerned(snapshot, PODS);
  return (...updates) => {
    snapshot = snapshot.apply(updates);
    return [...watch.concerned(snapshot, PODS)].toSorted();
  };
}

describe('a re-check concerns', () => {
  test('all pods of a namespace when its policy comes, changes or goes', () => {
    const concernedBy = watching();
    const both = ['other', 'own'];
    assert.deepEqual(concernedBy({ kind: 'policy', policy: POLICY }), both);
    assert.deepEqual(concernedBy({ kind: 'policy', policy: { ...POLICY, action: 'allow' } }), both);
    assert.deepEqual(concernedBy({ kind: 'policy-removed', name: 'shop/p' }), both);
    assert.deepEqual(concernedBy({ kind: 'policy', policy: { ...POLICY, scope: 'mesh' } }), both);
  });

  test('nobody when the policy is of another namespace, or selects nobody here', () => {
    const concernedBy = watching();
    assert.deepEqual(concernedBy({ kind: 'policy', policy: { ...POLICY, namespace: 'ops' } }), []);
    assert.deepEqual(concernedBy({ kind: 'policy', policy: SELECTIVE }), []);
    assert.deepEqual(concernedBy({ kind: 'policy-removed', name: 'shop/s' }), []);
  });

  test('one pod when its labels attach a policy, that policy changes, or it is taken off', () => {
    const concernedBy = watching();
    concernedBy({ kind: 'policy', policy: SELECTIVE });
    const labelled = workloadOf(OWN, { authorizationPolicies: ['shop/s'] });
    assert.deepEqual(concernedBy({ kind: 'workload', workload: labelled }), ['own']);
    assert.deepEqual(concernedBy({ kind: 'policy', policy: { ...SELECTIVE, rules: [] } }), ['own']);
    assert.deepEqual(concernedBy({ kind: 'policy-removed', name: 'shop/s' }), ['own']);
    assert.deepEqual(concernedBy({ kind: 'workload', workload: workloadOf(OWN) }), ['own']);
  });

  test('one pod when its workload goes, comes back, or names a policy nobody knows', () => {
    const concernedBy = watching();
    assert.deepEqual(concernedBy({ kind: 'address-removed', name: workloadUid(OWN) }), ['own']);
    assert.deepEqual(concernedBy({ kind: 'workload', workload: workloadOf(OWN) }), ['own']);
    const unknown = workloadOf(OWN, { authorizationPolicies: ['shop/nobody'] });
    assert.deepEqual(concernedBy({ kind: 'workload', workload: unknown }), ['own']);
  });

  test('nobody when something else changes, of the pod itself or of others', () => {
    const concernedBy = watching();
    assert.deepEqual(concernedBy({ kind: 'workload', workload: workloadOf(FAR) }), []);
    const unhealthy = workloadOf(OWN, { health: 'unhealthy' });
    assert.deepEqual(concernedBy({ kind: 'workload', workload: unhealthy }), []);
    assert.deepEqual(concernedBy({ kind: 'address-removed', name: workloadUid(FAR) }), []);
  });
});
