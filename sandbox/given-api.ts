// A given API server as the rest of a sandbox sees it: brought into the sandbox's network at the address where one of its
// own would be, and led out again to the kubelets. Called by cluster.ts. Invariant: TLS is end to end, here are only
// bytes; of what the sandbox added to the server, its nodes are taken away again when it ends.

import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import type { Clock } from '../runtime/clock.ts';
import { type KubeClient, KubeError } from '../runtime/kubernetes/client.ts';
import type { ConfigMap, EndpointSlice, Pod } from '../runtime/kubernetes/objects.ts';
import {
  CONFIG_MAPS,
  ENDPOINT_SLICES,
  LEASES,
  NODES,
  PODS,
} from '../runtime/kubernetes/resources.ts';
import type { Log } from '../runtime/log.ts';
import { type ClusterApi, connectInside, insideUrl } from './cluster-api.ts';
import { KUBELET_PORT } from './kubelet/kubelet.ts';
import type { GivenApi } from './launch/inner.ts';
import { openPassage, type Passage } from './launch/passage.ts';
import type { ClusterNetwork } from './network/network.ts';

/** The machine's own; the outer process listens there for each kubelet. */
const KUBELET_HOST = '127.0.0.1';
/** The name that every API server's certificate has, because pods use it. */
const NAME_FOR_PODS = 'kubernetes.default.svc';

type Parts = { readonly clock: Clock; readonly log: Log; readonly network: ClusterNetwork };

/** @throws Error that says why the server cannot be used */
export async function useGivenApi(parts: Parts, given: GivenApi): Promise<ClusterApi> {
  const { network, log } = parts;
  const passages: Passage[] = [];
  const close = async (): Promise<void> => {
    for (const passage of passages) await passage.close();
  };
  try {
    passages.push(await openPassage(network.apiServer, { path: given.socketPath }));
    const client = await connectInside(network, given.kubeconfigPath, ({ hostname }) =>
      hostname.replace(/^\[|\]$/g, ''),
    );
    if (network.mode === 'loopback') await takesLoopback(client, network.apiServer.host);
    const caPem = await readCa(client, given.kubeconfigPath);
    const nodes = new Set<string>();
    return {
      client,
      kubeconfigPath: given.kubeconfigPath,
      caPem,
      async kubeletSettings(node, index) {
        const outlet = given.kubelets[index];
        if (outlet === undefined) throw new RangeError(`No way out for node ${node.name}`);
        const [host = ''] = node.addresses;
        passages.push(await openPassage({ path: outlet.socketPath }, { host, port: KUBELET_PORT }));
        nodes.add(node.name);
        return {
          published: { address: KUBELET_HOST, port: outlet.port },
          apiServerUrl: insideUrl(network),
          apiServerName: NAME_FOR_PODS,
          apiServerEndpoint: network.apiServer,
        };
      },
      async leaving() {
        const cordon = { spec: { unschedulable: true } };
        await eachLogged(log, nodes, (name) => client.patch(NODES, name, undefined, cordon));
      },
      nodeEnded: (name) => eachLogged(log, [name], () => removeNode(client, name)),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** @throws Error when Services could never have endpoints: Kubernetes' own API server takes none of 127.0.0.0/8 */
async function takesLoopback(client: KubeClient, address: string): Promise<void> {
  const metadata = { namespace: 'kube-system', name: 'ambit-sandbox-probe' };
  try {
    await client.create<EndpointSlice>(ENDPOINT_SLICES, {
      metadata,
      addressType: 'IPv4',
      endpoints: [{ addresses: [address] }],
      ports: [],
    });
  } catch (cause) {
    const status = cause instanceof KubeError ? cause.status : 0;
    // left by one that died right here: it was taken then
    if (status !== 409) {
      if (status !== 422) throw cause;
      throw new Error(
        'Cannot use this API server in loopback mode: it refuses endpoints in 127.0.0.0/8; use "--network netns", on a machine that allows network namespaces',
        { cause },
      );
    }
  }
  await client.delete(ENDPOINT_SLICES, metadata.name, metadata.namespace);
}

/** As the server publishes it to its pods, else as the kubeconfig has it. @throws KubeError, the first one there is */
async function readCa(client: KubeClient, kubeconfigPath: string): Promise<string | undefined> {
  const published = await client.get<ConfigMap>(CONFIG_MAPS, 'kube-root-ca.crt', 'kube-system');
  const config = parse(await readFile(kubeconfigPath, 'utf8')) as {
    clusters: readonly { cluster: { 'certificate-authority-data'?: string } }[];
  };
  const own = config.clusters[0]?.cluster['certificate-authority-data'];
  return (
    published?.data?.['ca.crt'] ??
    (own === undefined ? undefined : Buffer.from(own, 'base64').toString())
  );
}

/** Its pods first are nobody's, then gone: nothing is left that waits for a kubelet which never comes back. */
async function removeNode(client: KubeClient, name: string): Promise<void> {
  await client.delete(NODES, name);
  const { items } = await client.list<Pod>(PODS, { fieldSelector: `spec.nodeName=${name}` });
  const gone = items.map(({ metadata }) =>
    client.delete(PODS, metadata.name ?? '', metadata.namespace, { gracePeriodSeconds: 0 }),
  );
  await Promise.allSettled([...gone, client.delete(LEASES, name, 'kube-node-lease')]);
}

/** The server may be gone already: the sandbox ends nevertheless. */
async function eachLogged(
  log: Log,
  names: Iterable<string>,
  work: (name: string) => Promise<unknown>,
): Promise<void> {
  for (const node of names) {
    await work(node).catch((error: unknown) => {
      log.warn('Cannot take the node away from the API server', { node, error });
    });
  }
}
