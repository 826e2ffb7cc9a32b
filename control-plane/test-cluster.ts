// What a cluster in memory holds and answers for a whole control plane, and waiting for what its agents come to know. Used by
// tests of the whole control plane.

import type { Snapshot } from '../mesh/snapshot.ts';
import type { DiscoveryClient } from '../runtime/discovery-client.ts';
import type { Pod, TokenReview } from '../runtime/kubernetes/objects.ts';

export function pod(name: string, node: string, annotations: Record<string, string> = {}): Pod {
  return {
    metadata: { namespace: 'shop', name, uid: `uid-${name}`, annotations },
    spec: { nodeName: node, serviceAccountName: 'web', containers: [] },
    status: {
      phase: 'Running',
      podIP: `10.0.0.${name.length}`,
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
}

/** Tokens are `account@node`. */
export function review({ spec }: TokenReview): TokenReview['status'] {
  const [account = '', node = ''] = spec.token.split('@');
  if (account === 'expired') return { authenticated: false, error: 'token has expired' };
  return {
    authenticated: true,
    audiences: ['ambit-ca'],
    user: {
      username: `system:serviceaccount:ambit-system:${account}`,
      extra: {
        'authentication.kubernetes.io/pod-name': [`agent-${node}`],
        'authentication.kubernetes.io/pod-uid': ['u'],
        'authentication.kubernetes.io/node-name': [node],
      },
    },
  };
}

/** The first snapshot, present or coming, of which `isRight` holds. */
export function until(
  client: DiscoveryClient,
  isRight: (snapshot: Snapshot) => boolean,
): Promise<Snapshot> {
  return new Promise((resolve) => {
    if (isRight(client.snapshot())) resolve(client.snapshot());
    const unsubscribe = client.subscribe((snapshot) => {
      if (!isRight(snapshot)) return;
      unsubscribe();
      resolve(snapshot);
    });
  });
}
