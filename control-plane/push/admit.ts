// May this caller receive discovery, and for which node? A decision on plain values; serve.ts asks it with the outcome
// of the token review before each upgrade.

import type { TokenAnswer } from '../../runtime/kubernetes/token-review.ts';
import type { Admission } from './serve.ts';

export type AdmitSettings = {
  /** `namespace/account` of those that may connect. */
  readonly agentAccounts: readonly string[];
};

/** `nodeOf` tells the node of a pod by namespace, name and UID, for API servers whose tokens do not name it. */
export function decideAdmission(
  answer: TokenAnswer,
  nodeOf: (namespace: string, pod: string, uid: string) => string | undefined,
  settings: AdmitSettings,
): Admission {
  if (answer.kind === 'refused') {
    return { kind: 'refused', status: 401, reason: `Cannot tell who connects: ${answer.reason}` };
  }
  const { namespace, serviceAccount, pod, node } = answer.caller;
  const account = `${namespace}/${serviceAccount}`;
  if (!settings.agentAccounts.includes(account)) {
    return {
      kind: 'refused',
      status: 403,
      reason: `${account} is not the account of a node agent`,
    };
  }
  if (pod === undefined) {
    return {
      kind: 'refused',
      status: 403,
      reason: `The token of ${account} is not bound to a pod`,
    };
  }
  const place = node ?? nodeOf(namespace, pod.name, pod.uid);
  if (place === undefined || place === '') {
    const reason = `The node of pod ${namespace}/${pod.name} is not known yet: try again`;
    return { kind: 'refused', status: 503, reason };
  }
  return { kind: 'admitted', agent: { node: place, pod: pod.name } };
}
