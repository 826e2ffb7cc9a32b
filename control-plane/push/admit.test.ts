// Who is let in to discovery, and for which node: by the token alone, whatever the client says of itself.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Caller } from '../../runtime/kubernetes/token-review.ts';
import { decideAdmission } from './admit.ts';

const SETTINGS = { agentAccounts: ['ambit-system/ambit-node-agent'] };
const CALLER: Caller = {
  namespace: 'ambit-system',
  serviceAccount: 'ambit-node-agent',
  pod: { name: 'agent-1', uid: 'u1' },
  node: 'n1',
};

/** The only pod that is known is agent-1 with UID u1, on n9. */
function outcome(changes: Partial<Caller>): string {
  const admission = decideAdmission(
    { kind: 'caller', caller: { ...CALLER, ...changes } },
    (namespace, pod, uid) =>
      `${namespace}/${pod}/${uid}` === 'ambit-system/agent-1/u1' ? 'n9' : undefined,
    SETTINGS,
  );
  return admission.kind === 'admitted'
    ? `${admission.agent.pod} on ${admission.agent.node}`
    : `${admission.status} ${admission.reason}`;
}

describe('decideAdmission()', () => {
  test('the node is the one its token names', () => {
    assert.equal(outcome({}), 'agent-1 on n1');
  });

  test('of a token without a node it is the node of that very pod', () => {
    assert.equal(outcome({ node: undefined }), 'agent-1 on n9');
    const made = { name: 'agent-1', uid: 'u2' };
    assert.match(outcome({ node: undefined, pod: made }), /^503 The node of pod .*agent-1 is not/);
    assert.match(outcome({ node: '' }), /^503 /);
  });

  test('an account that is not the agent’s is refused, in its namespace and by its name in another', () => {
    assert.match(outcome({ serviceAccount: 'web' }), /^403 ambit-system\/web is not/);
    assert.match(outcome({ namespace: 'shop' }), /^403 shop\/ambit-node-agent is not/);
    assert.match(outcome({ serviceAccount: 'ambit-node-agent-x' }), /^403 /);
  });

  test('a token that is bound to no pod is refused: it could be anywhere', () => {
    assert.match(outcome({ pod: undefined }), /^403 .*not bound to a pod/);
  });

  test('what Kubernetes does not vouch for is refused with its reason', () => {
    const answer = { kind: 'refused', reason: 'token has expired' } as const;
    assert.deepEqual(
      decideAdmission(answer, () => 'n1', SETTINGS),
      { kind: 'refused', status: 401, reason: 'Cannot tell who connects: token has expired' },
    );
  });
});
