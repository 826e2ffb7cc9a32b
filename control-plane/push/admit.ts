// May this caller receive discovery, and as what? A decision on plain values; serve.ts asks it with the outcome of the token
// review before each upgrade. Who connects is told by the token and by Kubernetes, never by the caller.
//
// A node agent is known by its ServiceAccount. A waypoint runs in its users' namespaces under an account of its own: it is
// known by its pod, which we labelled when we deployed it for a Gateway, and whose account has the Gateway's name.

import type { Caller, TokenAnswer } from '../../runtime/kubernetes/token-review.ts';
import { gatewayOfPod } from '../deploy/gateway-kind.ts';
import type { Admission } from './serve.ts';

export type AdmitSettings = {
  /** `namespace/account` of the node agents. */
  readonly agentAccounts: readonly string[];
};

export type KnownPod = {
  readonly node: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
};
/** The pod of this name if it has this UID; undefined: it is gone, or not heard of yet. */
export type FindPod = (namespace: string, name: string, uid: string) => KnownPod | undefined;

export function decideAdmission(
  answer: TokenAnswer,
  findPod: FindPod,
  settings: AdmitSettings,
): Admission {
  if (answer.kind === 'refused') {
    return { kind: 'refused', status: 401, reason: `Cannot tell who connects: ${answer.reason}` };
  }
  const { caller } = answer;
  const account = `${caller.namespace}/${caller.serviceAccount}`;
  return settings.agentAccounts.includes(account)
    ? agentAdmission(caller, account, findPod)
    : waypointAdmission(caller, account, findPod);
}

function agentAdmission(
  { namespace, pod, node }: Caller,
  account: string,
  findPod: FindPod,
): Admission {
  if (pod === undefined) return refused(403, `The token of ${account} is not bound to a pod`);
  // API servers before 1.30 do not name the node in the token
  const place = node ?? findPod(namespace, pod.name, pod.uid)?.node;
  if (place === undefined || place === '') {
    return refused(503, `The node of pod ${namespace}/${pod.name} is not known yet: try again`);
  }
  return { kind: 'admitted', proxy: { kind: 'agent', node: place, pod: pod.name } };
}

function waypointAdmission(
  { namespace, serviceAccount, pod }: Caller,
  account: string,
  findPod: FindPod,
): Admission {
  const neither = `${account} is neither the account of a node agent nor of a waypoint`;
  if (pod === undefined) return refused(403, `${neither}: its token is not bound to a pod`);
  const known = findPod(namespace, pod.name, pod.uid);
  if (known === undefined) {
    return refused(403, `${neither}: there is no pod ${namespace}/${pod.name}, or not yet`);
  }
  const gateway = gatewayOfPod({ metadata: { labels: known.labels } });
  if (gateway === undefined) {
    return refused(403, `${neither}: pod ${namespace}/${pod.name} is not one of a Gateway`);
  }
  if (gateway !== serviceAccount) {
    return refused(403, `${neither}: its pod is of Gateway ${namespace}/${gateway}`);
  }
  return { kind: 'admitted', proxy: { kind: 'waypoint', namespace, gateway, pod: pod.name } };
}

function refused(status: 403 | 503, reason: string): Admission {
  return { kind: 'refused', status, reason };
}
