// May this caller have a certificate for this identity? A decision on plain values, made without I/O: app.ts asks it
// between authentication and issuing. A stolen node can thus impersonate only the pods that run on it.

import { formatIdentity, type Identity } from '../mesh/identity.ts';
import type { Caller } from '../runtime/kubernetes/token-review.ts';

export type PodFacts = {
  readonly uid: string;
  readonly node: string;
  readonly serviceAccount: string;
};

/** What the CA knows of the cluster at the moment of a decision. */
export interface ClusterView {
  pod(namespace: string, name: string): PodFacts | undefined;
  /** Whether a pod of that ServiceAccount, which has not ended, is on the node. */
  runsOn(node: string, namespace: string, serviceAccount: string): boolean;
}

export type RefusalReason =
  | 'WrongTrustDomain'
  | 'NotTrustedNodeAccount'
  | 'TokenNotBoundToPod'
  | 'CallerPodUnknown'
  | 'CallerPodReplaced'
  | 'CallerAccountMismatch'
  | 'CallerNodeMismatch'
  | 'NoSuchPodOnNode';

export type IssueDecision =
  | { readonly kind: 'allowed'; readonly identity: Identity }
  | { readonly kind: 'refused'; readonly reason: RefusalReason; readonly message: string };

export type AuthorizeSettings = {
  readonly trustDomain: string;
  readonly trustedNodeAccounts: readonly string[];
};

/** `requested` is the impersonated identity; undefined asks for the caller's own. */
export function decideIssue(
  caller: Caller,
  requested: Identity | undefined,
  cluster: ClusterView,
  settings: AuthorizeSettings,
): IssueDecision {
  const own: Identity = {
    trustDomain: settings.trustDomain,
    namespace: caller.namespace,
    serviceAccount: caller.serviceAccount,
  };
  if (requested === undefined) return { kind: 'allowed', identity: own };
  const refuse = (reason: RefusalReason, state: string): IssueDecision => ({
    kind: 'refused',
    reason,
    message: `Cannot issue a certificate for ${formatIdentity(requested)} to ${caller.namespace}/${caller.serviceAccount}: ${state}`,
  });
  if (requested.trustDomain !== settings.trustDomain) {
    return refuse('WrongTrustDomain', `this CA serves trust domain ${settings.trustDomain}`);
  }
  if (requested.namespace === own.namespace && requested.serviceAccount === own.serviceAccount) {
    return { kind: 'allowed', identity: own };
  }
  if (!settings.trustedNodeAccounts.includes(`${caller.namespace}/${caller.serviceAccount}`)) {
    return refuse('NotTrustedNodeAccount', 'it is not a trusted node account');
  }
  const node = nodeOf(caller, cluster, refuse);
  if (typeof node !== 'string') return node;
  if (!cluster.runsOn(node, requested.namespace, requested.serviceAccount)) {
    return refuse('NoSuchPodOnNode', `no running pod of that identity is on node ${node}`);
  }
  return { kind: 'allowed', identity: requested };
}

/** The caller's node, by the pod its token is bound to as the cluster knows it, not by the token's word alone. */
function nodeOf(
  caller: Caller,
  cluster: ClusterView,
  refuse: (reason: RefusalReason, state: string) => IssueDecision,
): string | IssueDecision {
  if (caller.pod === undefined) {
    return refuse('TokenNotBoundToPod', 'its token is not bound to a pod: use a projected token');
  }
  const place = `${caller.namespace}/${caller.pod.name}`;
  const pod = cluster.pod(caller.namespace, caller.pod.name);
  if (pod === undefined || pod.node === '') {
    return refuse('CallerPodUnknown', `its pod ${place} is not known or not on a node`);
  }
  if (pod.uid !== caller.pod.uid) {
    return refuse('CallerPodReplaced', `its token is of an earlier pod ${place}`);
  }
  if (pod.serviceAccount !== caller.serviceAccount) {
    return refuse('CallerAccountMismatch', `its pod ${place} runs as ${pod.serviceAccount}`);
  }
  if (caller.node !== undefined && caller.node !== pod.node) {
    return refuse(
      'CallerNodeMismatch',
      `its token is of node ${caller.node}, its pod on ${pod.node}`,
    );
  }
  return pod.node;
}
