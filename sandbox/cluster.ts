// A whole small cluster in one process: network, API server, controllers, one kubelet a node. The sandbox's composition
// root, called by its inner process (inner.ts) and by end-to-end tests. Everything above the API server talks to it over
// HTTP only. Invariant: what was opened is closed in the opposite order, also when the start fails half way.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Clock } from '../runtime/clock.ts';
import { connectKubernetes, type KubeClient } from '../runtime/kubernetes/client.ts';
import type { Log } from '../runtime/log.ts';
import { type ApiServer, startApiServer } from './apiserver/start.ts';
import { startControllers } from './controllers/start.ts';
import { startKubelet } from './kubelet/kubelet.ts';
import { nodeRunDirectory } from './kubelet/node-parts.ts';
import { startNameFeed } from './kubelet/service-proxy.ts';
import { openLoopbackNetwork } from './network/loopback/cluster.ts';
import { openNetnsNetwork } from './network/netns/cluster.ts';
import type { ClusterNetwork, NetworkMode } from './network/network.ts';

export type ClusterSettings = {
  readonly nodes: number;
  readonly network: NetworkMode;
  /** Private to this cluster; kubeconfigs, keys, logs and volumes go below it. */
  readonly stateDir: string;
  /** Where the API server also listens for people outside the cluster's network. */
  readonly apiSocket: string;
  /** What people outside connect to; becomes the server of their kubeconfig. */
  readonly outside: { readonly host: string; readonly port: number };
};

export type Cluster = {
  readonly network: ClusterNetwork;
  readonly client: KubeClient;
  /** For people outside: its server is `settings.outside`. */
  readonly kubeconfigPath: string;
  close(): Promise<void>;
};

export type ClusterParts = {
  readonly clock: Clock;
  readonly log: Log;
  /** Told what is being started, for people who wait. */
  readonly progress: (what: string) => void;
};

export async function startCluster(
  parts: ClusterParts,
  settings: ClusterSettings,
): Promise<Cluster> {
  const open: { close(): Promise<void> }[] = [];
  const close = async (): Promise<void> => {
    for (const part of open.reverse()) await part.close();
    open.length = 0;
  };
  const keep = <T extends { close(): Promise<void> }>(part: T): T => {
    open.push(part);
    return part;
  };
  try {
    parts.progress('network');
    const network = keep(await openNetwork(parts, settings));
    parts.progress('API server');
    const api = keep(
      await startApiServer(
        { log: parts.log.child({ part: 'apiserver' }), clock: parts.clock },
        {
          listen: [network.apiServer, { path: settings.apiSocket }],
          advertise: [settings.outside, network.apiServer],
          endpoint: network.apiServer,
          serviceCidrs: [...network.serviceCidrs],
          stateDir: join(settings.stateDir, 'apiserver'),
        },
      ),
    );
    const client = await connectKubernetes({
      kubeconfig: await insideKubeconfig(api, network, settings.stateDir),
    });
    parts.progress('controllers');
    keep(
      startControllers(
        { client, clock: parts.clock, log: parts.log.child({ part: 'controllers' }) },
        { caPem: api.caPem },
      ),
    );
    keep(
      startNameFeed({ client, network, clock: parts.clock, log: parts.log.child({ part: 'dns' }) }),
    );
    for (const [index, name] of nodeNames(settings.nodes).entries()) {
      parts.progress(name);
      keep(await startNode({ ...parts, network, client, api }, settings, { name, index }));
    }
    return { network, client, kubeconfigPath: api.kubeconfigPath, close };
  } catch (error) {
    await close();
    throw error;
  }
}

export function nodeNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `node-${index + 1}`);
}

function openNetwork(parts: ClusterParts, settings: ClusterSettings): Promise<ClusterNetwork> {
  const log = parts.log.child({ part: 'network' });
  if (settings.network === 'netns') return openNetnsNetwork({ clock: parts.clock, log });
  return openLoopbackNetwork(
    { clock: parts.clock, log },
    {
      directory: join(settings.stateDir, 'network'),
      podNetnsDirectory: (node) => join(nodeRunDirectory(nodeDirectory(settings, node)), 'pods'),
    },
  );
}

type NodeParts = ClusterParts & {
  readonly network: ClusterNetwork;
  readonly client: KubeClient;
  readonly api: ApiServer;
};

async function startNode(
  { network, client, api, clock, log }: NodeParts,
  settings: ClusterSettings,
  { name, index }: { readonly name: string; readonly index: number },
): Promise<{ close(): Promise<void> }> {
  const node = await network.addNode(name);
  try {
    const { certPem, keyPem } = await api.issueCertificate({
      commonName: `system:node:${name}`,
      organizations: ['system:nodes'],
      hosts: [name, ...node.addresses],
    });
    const kubelet = await startKubelet(
      { client, network: node, clock, log: log.child({ part: 'kubelet' }) },
      {
        nodeName: name,
        nodeDir: nodeDirectory(settings, name),
        mode: network.mode,
        labels: {
          'topology.kubernetes.io/region': REGION,
          'topology.kubernetes.io/zone': zoneOf(index),
        },
        serving: { certPem, keyPem, clientCaPem: api.caPem },
        apiServerUrl: urlOf(network),
      },
    );
    return {
      async close() {
        await kubelet.close();
        await node.close();
      },
    };
  } catch (error) {
    await node.close();
    throw error;
  }
}

const REGION = 'sandbox';

/** Two zones, taken in turn: enough for everything that prefers the near one. */
function zoneOf(index: number): string {
  return `${REGION}-${index % 2 === 0 ? 'a' : 'b'}`;
}

function nodeDirectory(settings: ClusterSettings, node: string): string {
  return join(settings.stateDir, 'nodes', node);
}

function urlOf(network: ClusterNetwork): string {
  return `https://${network.apiServer.host}:${network.apiServer.port}`;
}

/** The same user, at the address that this process can reach. */
async function insideKubeconfig(
  api: ApiServer,
  network: ClusterNetwork,
  stateDir: string,
): Promise<string> {
  const config = parse(await readFile(api.kubeconfigPath, 'utf8')) as {
    clusters: { cluster: { server: string } }[];
  };
  for (const { cluster } of config.clusters) cluster.server = urlOf(network);
  const path = join(stateDir, 'apiserver', 'kubeconfig.inside');
  await writeFile(path, stringify(config), { mode: 0o600 });
  return path;
}
