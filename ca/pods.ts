// Which identities run on which node, kept up to date from an informer: what authorize.ts asks about the cluster.
// Invariant: the index holds exactly the informer's pods that have a node and have not ended.

import type { Informer } from '../runtime/kubernetes/informer.ts';
import type { Pod } from '../runtime/kubernetes/objects.ts';
import type { ClusterView } from './authorize.ts';
import type { Participant } from './rotate.ts';

export type PodView = ClusterView & {
  /** Pods of these accounts (`namespace/account`) that run; one that has not started holds no certificate yet. */
  running(accounts: readonly string[]): Participant[];
  /** Pairs of a node and an identity on it. */
  identities(): number;
  close(): void;
};

/** The view, and what ends its subscription. */
export function viewPods(pods: Informer<Pod>): PodView {
  const counts = new Map<string, number>();
  const count = (pod: Pod, by: 1 | -1): void => {
    if (!isPlaced(pod)) return;
    const key = keyOf(pod.spec.nodeName ?? '', pod.metadata.namespace ?? '', accountOf(pod));
    const next = (counts.get(key) ?? 0) + by;
    if (next === 0) counts.delete(key);
    else counts.set(key, next);
  };
  for (const pod of pods.items()) count(pod, 1);
  const unsubscribe = pods.subscribe(({ type, object, old }) => {
    if (type === 'deleted') count(object, -1);
    else {
      if (old !== undefined) count(old, -1);
      count(object, 1);
    }
  });
  return {
    pod(namespace, name) {
      const pod = pods.get(name, namespace);
      if (pod === undefined) return undefined;
      return {
        uid: pod.metadata.uid ?? '',
        node: pod.spec.nodeName ?? '',
        serviceAccount: accountOf(pod),
      };
    },
    runsOn: (node, namespace, account) => counts.has(keyOf(node, namespace, account)),
    running: (accounts) =>
      [...pods.items()].flatMap((pod) => {
        const { name = '', namespace = '' } = pod.metadata;
        if (pod.status?.phase !== 'Running') return [];
        if (!accounts.includes(`${namespace}/${accountOf(pod)}`)) return [];
        const ready = pod.status?.conditions?.some(
          ({ type, status }) => type === 'Ready' && status === 'True',
        );
        const leaving = pod.metadata.deletionTimestamp !== undefined;
        return [{ pod: name, node: pod.spec.nodeName ?? '', ready: ready ?? false, leaving }];
      }),
    identities: () => counts.size,
    close: unsubscribe,
  };
}

/** A pod that is being deleted still runs, and still needs its identity while it drains. */
function isPlaced(pod: Pod): boolean {
  const phase = pod.status?.phase;
  return (pod.spec.nodeName ?? '') !== '' && phase !== 'Succeeded' && phase !== 'Failed';
}

function accountOf(pod: Pod): string {
  return pod.spec.serviceAccountName ?? 'default';
}

function keyOf(node: string, namespace: string, account: string): string {
  return `${node}/${namespace}/${account}`;
}
