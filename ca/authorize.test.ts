// The decision table of certificate requests: each row is one way to be allowed or refused.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIdentity } from '../mesh/identity.ts';
import type { Caller } from '../runtime/kubernetes/token-review.ts';
import { type ClusterView, decideIssue, type PodFacts, type RefusalReason } from './authorize.ts';

const SETTINGS = {
  trustDomain: 'cluster.local',
  trustedNodeAccounts: ['ambit-system/ambit-node-agent'],
};
const AGENT: Caller = {
  namespace: 'ambit-system',
  serviceAccount: 'ambit-node-agent',
  pod: { name: 'agent-1', uid: 'u1' },
  node: 'n1',
};
const AGENT_POD: PodFacts = { uid: 'u1', node: 'n1', serviceAccount: 'ambit-node-agent' };
const WEB = 'spiffe://cluster.local/ns/shop/sa/web';

function view(pod: PodFacts | undefined = AGENT_POD): ClusterView {
  return {
    pod: (namespace, name) => (`${namespace}/${name}` === 'ambit-system/agent-1' ? pod : undefined),
    runsOn: (node, namespace, account) => `${node}/${namespace}/${account}` === 'n1/shop/web',
  };
}

type Case = {
  name: string;
  caller?: Caller;
  requested?: string;
  pod?: PodFacts;
  result: RefusalReason | string;
};

const CASES: Case[] = [
  {
    name: 'anybody may have its own identity',
    caller: { namespace: 'shop', serviceAccount: 'web', pod: undefined, node: undefined },
    result: WEB,
  },
  {
    name: 'anybody may name its own identity',
    caller: { namespace: 'shop', serviceAccount: 'web', pod: undefined, node: undefined },
    requested: WEB,
    result: WEB,
  },
  { name: 'a trusted agent may ask for a pod of its node', requested: WEB, result: WEB },
  {
    name: 'not for an identity without a pod on its node',
    requested: 'spiffe://cluster.local/ns/shop/sa/cart',
    result: 'NoSuchPodOnNode',
  },
  {
    name: 'not for another trust domain',
    requested: 'spiffe://elsewhere/ns/shop/sa/web',
    result: 'WrongTrustDomain',
  },
  {
    name: 'nobody else may ask for an identity that is not its own',
    caller: { ...AGENT, serviceAccount: 'default' },
    requested: WEB,
    result: 'NotTrustedNodeAccount',
  },
  {
    name: 'a token that is not bound to a pod does not prove a node',
    caller: { ...AGENT, pod: undefined },
    requested: WEB,
    result: 'TokenNotBoundToPod',
  },
  {
    name: 'the agent pod must be known',
    caller: { ...AGENT, pod: { name: 'agent-9', uid: 'u1' } },
    requested: WEB,
    result: 'CallerPodUnknown',
  },
  {
    name: 'the token of a pod that was replaced under its name is refused',
    pod: { ...AGENT_POD, uid: 'u2' },
    requested: WEB,
    result: 'CallerPodReplaced',
  },
  {
    name: 'the agent pod must run as the account of the token',
    pod: { ...AGENT_POD, serviceAccount: 'other' },
    requested: WEB,
    result: 'CallerAccountMismatch',
  },
  {
    name: 'the node of the token must be the node of the pod',
    caller: { ...AGENT, node: 'n2' },
    requested: WEB,
    result: 'CallerNodeMismatch',
  },
  {
    name: 'a token without a node is placed by its pod',
    caller: { ...AGENT, node: undefined },
    requested: WEB,
    result: WEB,
  },
  {
    name: 'an agent on another node cannot have the identity',
    caller: { ...AGENT, node: 'n2' },
    pod: { ...AGENT_POD, node: 'n2' },
    requested: WEB,
    result: 'NoSuchPodOnNode',
  },
];

describe('decideIssue()', () => {
  for (const { name, caller = AGENT, requested, pod, result } of CASES) {
    test(name, () => {
      const identity = requested === undefined ? undefined : parseIdentity(requested);
      const decision = decideIssue(caller, identity, view(pod), SETTINGS);
      if (decision.kind === 'allowed') assert.deepEqual(decision.identity, parseIdentity(result));
      else {
        assert.equal(decision.reason, result);
        assert.match(decision.message, /^Cannot issue a certificate for spiffe:\S+ to \S+: /);
      }
    });
  }
});
