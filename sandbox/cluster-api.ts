// The API server as the rest of a sandbox needs it: one of its own (own-api.ts) or a given one (given-api.ts). Chosen by
// cluster.ts; also what both have in common: the kubeconfig for this side of the sandbox's network.

import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { connectKubernetes, type KubeClient } from '../runtime/kubernetes/client.ts';
import type { KubeletSettings } from './kubelet/kubelet.ts';
import type { ClusterNetwork, NodeNetwork } from './network/network.ts';

export interface ClusterApi {
  readonly client: KubeClient;
  /** For people outside the sandbox's network. */
  readonly kubeconfigPath: string;
  /** undefined: not known. */
  readonly caPem: string | undefined;
  /** What of a kubelet depends on the API server it works for. */
  kubeletSettings(node: NodeNetwork, index: number): Promise<Partial<KubeletSettings>>;
  /** Called first of all when the sandbox ends, while all its nodes still work. */
  leaving(): Promise<void>;
  /** Called when a node's kubelet has ended. */
  nodeEnded(name: string): Promise<void>;
  close(): Promise<void>;
}

export function insideUrl({ apiServer }: Pick<ClusterNetwork, 'apiServer'>): string {
  return `https://${apiServer.host}:${apiServer.port}`;
}

type Kubeconfig = {
  readonly clusters: { cluster: Record<string, unknown> & { server: string } }[];
  readonly users: { user: Record<string, unknown> }[];
};

/** The same user, at the address that this process can reach; `serverName` is what the server's certificate says. */
export async function connectInside(
  network: Pick<ClusterNetwork, 'apiServer'>,
  kubeconfigPath: string,
  serverName?: (url: URL) => string,
): Promise<KubeClient> {
  const config = parse(await readFile(kubeconfigPath, 'utf8')) as Kubeconfig;
  for (const { cluster } of config.clusters) {
    const url = new URL(cluster.server);
    if (serverName !== undefined) cluster['tls-server-name'] ??= serverName(url);
    cluster.server = insideUrl(network) + url.pathname.replace(/\/$/, '');
  }
  for (const { user } of config.users) {
    const { tokenFile } = user;
    // the one form in which the client library reads a token anew for each request
    if (tokenFile !== undefined) {
      user['auth-provider'] = { name: 'tokenFile', config: { tokenFile } };
    }
  }
  const path = join(dirname(kubeconfigPath), 'kubeconfig.inside');
  await writeFile(path, stringify(config), { mode: 0o600 });
  return connectKubernetes({ kubeconfig: path });
}
