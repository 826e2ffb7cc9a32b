// The certificates of a kubelet's server when nobody gave it any: one of its own making, and the cluster's client CA as
// every API server publishes it. Called by server.ts, for a sandbox of kubelets under somebody else's API server.

import type { Clock } from '../../../runtime/clock.ts';
import type { KubeClient } from '../../../runtime/kubernetes/client.ts';
import type { ConfigMap } from '../../../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS } from '../../../runtime/kubernetes/resources.ts';
import type { Log } from '../../../runtime/log.ts';
import { createAuthority } from '../../apiserver/auth/certificates.ts';

export type Serving = {
  readonly certPem: string;
  readonly keyPem: string;
  /** Signed the API server's client certificate; undefined: every caller is refused. */
  readonly clientCaPem: string | undefined;
};

const PUBLISHED = { namespace: 'kube-system', name: 'extension-apiserver-authentication' } as const;

export async function ownServing(
  parts: { readonly client: KubeClient; readonly clock: Clock; readonly log: Log },
  settings: { readonly nodeName: string; readonly hosts: readonly string[] },
): Promise<Serving> {
  const { nodeName, hosts } = settings;
  const authority = await createAuthority(parts.clock.now());
  const own = await authority.issue({
    commonName: `system:node:${nodeName}`,
    organizations: ['system:nodes'],
    hosts: [nodeName, ...hosts],
  });
  const found = await parts.client
    .get<ConfigMap>(CONFIG_MAPS, PUBLISHED.name, PUBLISHED.namespace)
    .catch((error: unknown) => {
      parts.log.warn('Cannot read the client CA of the cluster', { error });
      return undefined;
    });
  const clientCaPem = found?.data?.['client-ca-file'];
  if (clientCaPem === undefined) {
    parts.log.warn(
      'The kubelet refuses every caller: no logs, exec and port-forward, because the cluster publishes no client CA',
      { configMap: `${PUBLISHED.namespace}/${PUBLISHED.name}` },
    );
  }
  return { ...own, clientCaPem };
}
