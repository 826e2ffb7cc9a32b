// Who is let in to discovery, and as what: by the token and by Kubernetes alone, whatever the client says of itself.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Caller } from '../../runtime/kubernetes/token-review.ts';
import { decideAdmission, type KnownPod } from './admit.ts';

const SETTINGS = { agentAccounts: ['ambit-system/ambit-node-agent'] };
const AGENT: Caller = {
  namespace: 'ambit-system',
  serviceAccount: 'ambit-node-agent',
  pod: { name: 'agent-1', uid: 'u1' },
  node: 'n1',
};
const WAYPOINT: Caller = {
  namespace: 'shop',
  serviceAccount: 'front',
  pod: { name: 'front-1', uid: 'u7' },
  node: 'n1',
};
const LABELS = {
  'gateway.networking.k8s.io/gateway-name': 'front',
  'ambit-mesh.io/managed': 'waypoint',
};

function outcome(caller: Caller, labels: Record<string, string> = LABELS): string {
  const pods: Readonly<Record<string, KnownPod>> = {
    'ambit-system/agent-1/u1': { node: 'n9', labels: {} },
    'shop/front-1/u7': { node: 'n3', labels },
  };
  const admission = decideAdmission(
    { kind: 'caller', caller },
    (namespace, pod, uid) => pods[`${namespace}/${pod}/${uid}`],
    SETTINGS,
  );
  if (admission.kind === 'refused') return `${admission.status} ${admission.reason}`;
  const { proxy } = admission;
  return proxy.kind === 'agent'
    ? `agent ${proxy.pod} on ${proxy.node}`
    : `waypoint ${proxy.pod} of ${proxy.namespace}/${proxy.gateway}`;
}

describe('decideAdmission() of node agents', () => {
  const agent = (changes: Partial<Caller>): string => outcome({ ...AGENT, ...changes });

  test('the node is the one its token names', () => {
    assert.equal(agent({}), 'agent agent-1 on n1');
  });

  test('of a token without a node it is the node of that very pod', () => {
    assert.equal(agent({ node: undefined }), 'agent agent-1 on n9');
    const made = { name: 'agent-1', uid: 'u2' };
    assert.match(agent({ node: undefined, pod: made }), /^503 The node of pod .*agent-1 is not/);
    assert.match(agent({ node: '' }), /^503 /);
  });

  test('an account that is not the agent’s is refused, in its namespace and by its name in another', () => {
    assert.match(agent({ serviceAccount: 'web' }), /^403 ambit-system\/web is neither/);
    assert.match(agent({ namespace: 'shop' }), /^403 shop\/ambit-node-agent is neither/);
    assert.match(agent({ serviceAccount: 'ambit-node-agent-x' }), /^403 /);
  });

  test('a token that is bound to no pod is refused: it could be anywhere', () => {
    assert.match(agent({ pod: undefined }), /^403 .*not bound to a pod/);
  });

  test('what Kubernetes does not vouch for is refused with its reason', () => {
    const answer = { kind: 'refused', reason: 'token has expired' } as const;
    assert.deepEqual(
      decideAdmission(answer, () => undefined, SETTINGS),
      { kind: 'refused', status: 401, reason: 'Cannot tell who connects: token has expired' },
    );
  });
});

describe('decideAdmission() of waypoints', () => {
  test('a pod we deployed for a Gateway is let in as its waypoint, ingress too', () => {
    assert.equal(outcome(WAYPOINT), 'waypoint front-1 of shop/front');
    const ingress = { ...LABELS, 'ambit-mesh.io/managed': 'ingress' };
    assert.equal(outcome(WAYPOINT, ingress), 'waypoint front-1 of shop/front');
  });

  test('one label alone, or another word, does not make a waypoint', () => {
    for (const [key, value] of Object.entries(LABELS)) {
      assert.match(outcome(WAYPOINT, { [key]: value }), /^403 .*is not one of a Gateway/);
    }
    const other = { ...LABELS, 'ambit-mesh.io/managed': 'yes' };
    assert.match(outcome(WAYPOINT, other), /^403 /);
  });

  test('an account of another name is refused, whatever its pod is labelled', () => {
    assert.match(outcome({ ...WAYPOINT, serviceAccount: 'web' }), /^403 .*of Gateway shop\/front/);
  });

  test('a token of an earlier pod of the name, or of none, is refused', () => {
    const earlier = { name: 'front-1', uid: 'u6' };
    assert.match(outcome({ ...WAYPOINT, pod: earlier }), /^403 .*there is no pod shop\/front-1/);
    assert.match(outcome({ ...WAYPOINT, pod: undefined }), /^403 .*not bound to a pod/);
  });
});
