// A whole small cluster in one process: network, API server, controllers, one kubelet a node. The sandbox's composition
// root, called by its inner process (inner.ts) and by end-to-end tests. Everything above the API server talks to it over
// HTTP only. Invariant: what was opened is closed in the opposite order, also when the start fails half way.

import { join } from 'node:path';
import type { Clock } from '../runtime/clock.ts';
import type { KubeClient } from '../runtime/kubernetes/client.ts';
import type { Log } from '../runtime/log.ts';
import type { ClusterApi } from './cluster-api.ts';
import { type Duty, runControllers } from './controllers/duty.ts';
import { useGivenApi } from './given-api.ts';
import { startKubelet } from './kubelet/kubelet.ts';
import { podNetnsDirectory } from './kubelet/node-parts.ts';
import { startNameFeed } from './kubelet/service-proxy.ts';
import type { GivenApi, OwnApi } from './launch/inner.ts';
import { openLoopbackNetwork } from './network/loopback/cluster.ts';
import { openNetnsNetwork } from './network/netns/cluster.ts';
import type { ClusterNetwork, NetworkMode } from './network/network.ts';
import { startOwnApi } from './own-api.ts';

export type ClusterSettings = {
  readonly name: string;
  readonly nodes: number;
  readonly network: NetworkMode;
  /** Private to this cluster; kubeconfigs, keys, logs and volumes go below it. */
  readonly stateDir: string;
  readonly api: OwnApi | GivenApi;
  readonly controllers: Duty;
};

export type Cluster = {
  readonly network: ClusterNetwork;
  readonly client: KubeClient;
  /** For people outside the cluster's network. */
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
    const api = keep(await openApi({ ...parts, network }, settings));
    const { client } = api;
    parts.progress('controllers');
    keep(
      runControllers(
        { client, clock: parts.clock, log: parts.log.child({ part: 'controllers' }) },
        { duty: settings.controllers, holder: `ambit-sandbox-${settings.name}`, caPem: api.caPem },
      ),
    );
    keep(
      startNameFeed({ client, network, clock: parts.clock, log: parts.log.child({ part: 'dns' }) }),
    );
    for (const [index, name] of nodeNames(settings).entries()) {
      parts.progress(name);
      keep(await startNode({ ...parts, network, api }, settings, { name, index }));
    }
    keep({ close: () => api.leaving() });
    return { network, client, kubeconfigPath: api.kubeconfigPath, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Under a given API server they must differ from the nodes of others. */
function nodeNames({ name, nodes, api }: ClusterSettings): string[] {
  const prefix = api.kind === 'given' ? `${name}-` : '';
  return Array.from({ length: nodes }, (_, index) => `${prefix}node-${index + 1}`);
}

function openApi(
  parts: ClusterParts & { readonly network: ClusterNetwork },
  { api, stateDir }: ClusterSettings,
): Promise<ClusterApi> {
  return api.kind === 'given' ? useGivenApi(parts, api) : startOwnApi(parts, { ...api, stateDir });
}

function openNetwork(parts: ClusterParts, settings: ClusterSettings): Promise<ClusterNetwork> {
  const log = parts.log.child({ part: 'network' });
  if (settings.network === 'netns') {
    const services = settings.api.kind === 'own' ? 'ours' : 'foreign';
    return openNetnsNetwork({ clock: parts.clock, log }, { services });
  }
  return openLoopbackNetwork(
    { clock: parts.clock, log },
    {
      directory: join(settings.stateDir, 'network'),
      podNetnsDirectory: (node) => podNetnsDirectory(nodeDirectory(settings, node)),
    },
  );
}

type NodeParts = ClusterParts & {
  readonly network: ClusterNetwork;
  readonly api: ClusterApi;
};

async function startNode(
  { network, api, clock, log }: NodeParts,
  settings: ClusterSettings,
  { name, index }: { readonly name: string; readonly index: number },
): Promise<{ close(): Promise<void> }> {
  const node = await network.addNode(name);
  try {
    const kubelet = await startKubelet(
      { client: api.client, network: node, clock, log: log.child({ part: 'kubelet' }) },
      {
        nodeName: name,
        nodeDir: nodeDirectory(settings, name),
        mode: network.mode,
        labels: {
          'topology.kubernetes.io/region': REGION,
          'topology.kubernetes.io/zone': zoneOf(index),
          [SANDBOX_LABEL]: settings.name,
        },
        ...(await api.kubeletSettings(node, index)),
      },
    );
    return {
      async close() {
        await kubelet.close();
        await api.nodeEnded(name);
        await node.close();
      },
    };
  } catch (error) {
    await node.close();
    throw error;
  }
}

/** On every node of a sandbox, for the nodeSelector of pods that must not land elsewhere. */
const SANDBOX_LABEL = 'ambit-mesh.io/sandbox';
const REGION = 'sandbox';

/** Two zones, taken in turn: enough for everything that prefers the near one. */
function zoneOf(index: number): string {
  return `${REGION}-${index % 2 === 0 ? 'a' : 'b'}`;
}

function nodeDirectory(settings: ClusterSettings, node: string): string {
  return join(settings.stateDir, 'nodes', node);
}
