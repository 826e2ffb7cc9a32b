// The kubelet of one node: the composition root of this folder, started by the sandbox once a node. It follows the pods
// bound to its node and gives each one journey (pod.ts). Invariant: after close() no process of the node's pods runs.

import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../runtime/clock.ts';
import { entryPath } from '../../runtime/entry.ts';
import type { KubeClient } from '../../runtime/kubernetes/client.ts';
import { inform } from '../../runtime/kubernetes/informer.ts';
import type { Service } from '../../runtime/kubernetes/objects.ts';
import { PODS, SERVICES } from '../../runtime/kubernetes/resources.ts';
import type { Log } from '../../runtime/log.ts';
import type { NetworkMode, NodeNetwork } from '../network/network.ts';
import type { Isolation } from './container/container-start.ts';
import { endStrays } from './container/processes.ts';
import { KUBERNETES_RESTARTS, type RestartSettings } from './container/restart-delay.ts';
import { recordEvents } from './events.ts';
import {
  type NodeParts,
  type NodeSettings,
  nodeRunDirectory,
  podNetnsDirectory,
} from './node-parts.ts';
import { registerNode } from './node-registration.ts';
import { NriRuntime } from './nri/runtime.ts';
import { PodSet } from './pod/pod-set.ts';
import type { Pod } from './pod/pod-spec.ts';
import { writeStatuses } from './pod/status-writer.ts';
import { type ServerSettings, startServer } from './server/server.ts';
import { startServiceProxy } from './service-proxy.ts';
import { findTools } from './tools.ts';

export type KubeletParts = {
  readonly client: KubeClient;
  readonly network: NodeNetwork;
  readonly clock: Clock;
  readonly log: Log;
};

export type KubeletSettings = {
  readonly nodeName: string;
  /** This node's own directory: logs, volumes, what stands for its /run. */
  readonly nodeDir: string;
  readonly mode: NetworkMode;
  /** On top of hostname, os and arch, e.g. topology.kubernetes.io/zone. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Certificates of the kubelet's own server; without them one is made that trusts the cluster's client CA. */
  readonly serving?: ServerSettings['serving'];
  /** 10250 as on every node; another where several nodes share one address. */
  readonly port?: number;
  /** Where the API server reaches the kubelet, if not at the node's own address. */
  readonly published?: { readonly address: string; readonly port: number };
  /** Where pods reach the API server in loopback mode. */
  readonly apiServerUrl?: string;
  /** Of the API server's certificate, when that does not have the host of `apiServerUrl`. */
  readonly apiServerName?: string;
  /** Stands for the endpoints of Service `kubernetes`: those of a given API server are not in the sandbox's network. */
  readonly apiServerEndpoint?: { readonly host: string; readonly port: number };
  readonly restarts?: RestartSettings;
  readonly refreshMs?: number;
  readonly maxLogBytes?: number;
  /** How long an NRI plugin may take for an answer, ms. */
  readonly nriTimeoutMs?: number;
};

/** Kubernetes' own port. */
export const KUBELET_PORT = 10_250;
// Kubernetes rotates at 10 MiB; half of it keeps `kubectl logs`, which reads both files, as cheap
const MAX_LOG_BYTES = 5 * 1024 * 1024;
// Kubernetes looks about once a minute; a sandbox has a person waiting
const REFRESH_MS = 10_000;

export type Kubelet = {
  /** The pods' journeys end within their grace period, but no later than the sandbox wants. */
  close(): Promise<void>;
};

export async function startKubelet(
  parts: KubeletParts,
  settings: KubeletSettings,
): Promise<Kubelet> {
  const { client, network, clock } = parts;
  const { nodeName, nodeDir } = settings;
  const log = parts.log.child({ node: nodeName });
  const isolation = isolationOf(settings.mode);
  await mkdir(podNetnsDirectory(nodeDir), { recursive: true });
  const strays = endStrays(nodeDir);
  if (strays > 0) log.warn('Ended processes that an earlier sandbox left behind', { strays });

  const open: { close(): Promise<void> }[] = [];
  const close = async (): Promise<void> => {
    for (const part of open.reverse()) await part.close();
    open.length = 0;
    endStrays(nodeDir);
  };
  const keep = <T extends { close(): Promise<void> }>(part: T): T => {
    open.push(part);
    return part;
  };
  try {
    const services = keep(inform<Service>({ client, clock, log }, SERVICES));
    const events = keep(recordEvents({ client, clock, log }, { nodeName }));
    const statuses = keep(writeStatuses({ client, clock, log }));
    const nri = keep(
      await NriRuntime.listen(
        { clock, log },
        join(nodeRunDirectory(nodeDir), 'nri', 'nri.sock'),
        settings.nriTimeoutMs,
      ),
    );
    const capacity = { cpu: availableParallelism(), memoryBytes: totalmem() };
    const node: NodeParts = {
      client,
      network,
      clock,
      log,
      events,
      services: () => services.items(),
      isolation,
      nri,
    };
    const pods = keep(new PodSet({ ...node, statuses }, podSettings(settings, capacity)));
    const port = settings.port ?? KUBELET_PORT;
    const { addresses, podCidrs } = network;
    const { labels = {} } = settings;
    const published = settings.published === undefined ? [] : [settings.published.address];
    keep(
      await startServer(
        { client, network, clock, log, pods },
        { port, nodeName, serving: settings.serving, hosts: [...addresses, ...published] },
      ),
    );
    keep(
      startServiceProxy(
        { client, network, clock, log },
        { nodeName, apiServer: settings.apiServerEndpoint },
      ),
    );
    keep(
      await registerNode(
        { client, clock, log },
        {
          nodeName,
          addresses,
          podCidrs,
          labels,
          kubeletPort: port,
          published: settings.published,
          capacity,
        },
      ),
    );
    await services.synced;
    const bound = keep(
      inform<Pod>({ client, clock, log }, PODS, { fieldSelector: `spec.nodeName=${nodeName}` }),
    );
    bound.subscribe((event) => {
      if (event.type === 'deleted') pods.gone(event.object);
      else pods.seen(event.object);
    });
    return { close };
  } catch (error) {
    await close();
    throw error;
  }
}

function isolationOf(mode: NetworkMode): Isolation {
  if (mode === 'loopback') return { mode, execPath: process.execPath };
  return { mode, tools: findTools(), isRoot: mayBecomeOthers() };
}

/** Only the machine's root may become any user; a user namespace of an ordinary user has but one. */
function mayBecomeOthers(): boolean {
  if (process.geteuid?.() !== 0) return false;
  return /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'utf8'));
}

function podSettings(
  settings: KubeletSettings,
  capacity: { readonly cpu: number; readonly memoryBytes: number },
): NodeSettings {
  return {
    nodeName: settings.nodeName,
    nodeDir: settings.nodeDir,
    images: { entry: entryPath, execPath: process.execPath },
    restarts: settings.restarts ?? KUBERNETES_RESTARTS,
    maxLogBytes: settings.maxLogBytes ?? MAX_LOG_BYTES,
    refreshMs: settings.refreshMs ?? REFRESH_MS,
    capacity,
    apiServerUrl: settings.apiServerUrl,
    apiServerName: settings.apiServerName,
  };
}
