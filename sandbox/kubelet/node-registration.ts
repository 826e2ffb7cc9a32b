// The node in the API server: its Node object, its conditions, and the Lease that says it is alive. Started by kubelet.ts.
// Nothing of it ends the kubelet: an API server that is away is told again at the next beat.

import { arch, release } from 'node:os';
import type { Clock } from '../../runtime/clock.ts';
import { type KubeClient, KubeError } from '../../runtime/kubernetes/client.ts';
import type { Condition, KubeObject, Lease } from '../../runtime/kubernetes/objects.ts';
import { LEASES, NODES } from '../../runtime/kubernetes/resources.ts';
import type { Log } from '../../runtime/log.ts';
import { rfc3339, rfc3339Micro } from './time.ts';

export type NodeFacts = {
  readonly nodeName: string;
  /** IPv4 first. */
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly kubeletPort: number;
  /** Where the API server is to look for the kubelet instead. */
  readonly published: { readonly address: string; readonly port: number } | undefined;
  readonly capacity: { readonly cpu: number; readonly memoryBytes: number };
};

type NodeStatus = Readonly<Record<string, unknown>> & { readonly conditions: readonly Condition[] };
type NodeObject = KubeObject & {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Partial<NodeStatus>;
};

// Kubernetes' own pace: a lease of 40 s renewed every 10 s, the Node itself every 5 min
const LEASE_SECONDS = 40;
const BEAT_MS = 10_000;
const BEATS_PER_STATUS = 30;
const LEASE_NAMESPACE = 'kube-node-lease';
// Kubernetes' default for one node
const MAX_PODS = 110;
const VERSION = 'v1.33.0';

/** Registers the node, then beats until closed. Rejects when the first registration fails. */
export async function registerNode(
  parts: { readonly client: KubeClient; readonly clock: Clock; readonly log: Log },
  facts: NodeFacts,
): Promise<{ close(): Promise<void> }> {
  const { client, clock, log } = parts;
  await putNode(client, facts, clock.now());
  const stop = new AbortController();

  async function beat(count: number): Promise<void> {
    await renewLease(client, facts.nodeName, clock.now());
    if (count % BEATS_PER_STATUS === 0) await putStatus(client, facts, clock.now());
  }
  async function beats(): Promise<void> {
    for (let count = 1; !stop.signal.aborted; count++) {
      await beat(count).catch((error: unknown) => {
        if (!stop.signal.aborted) log.warn('Cannot tell that the node is alive', { error });
      });
      await clock.sleep(BEAT_MS, stop.signal).catch(() => {});
    }
  }
  const beating = beats();
  return {
    async close() {
      stop.abort(new Error('The kubelet is closing'));
      await beating;
    },
  };
}

async function putNode(client: KubeClient, facts: NodeFacts, now: number): Promise<void> {
  const { nodeName, podCidrs } = facts;
  const labels = {
    'kubernetes.io/hostname': nodeName,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': goArch(),
    ...facts.labels,
  };
  const [podCIDR] = podCidrs;
  try {
    await client.create<NodeObject>(NODES, {
      metadata: { name: nodeName, labels },
      spec: podCIDR === undefined ? {} : { podCIDR, podCIDRs: podCidrs },
    });
  } catch (error) {
    if (!(error instanceof KubeError) || error.status !== 409) throw error;
    // left from an earlier start, or made by a person: taken over with our labels
    await client.patch<NodeObject>(NODES, nodeName, undefined, { metadata: { labels } });
  }
  await putStatus(client, facts, now);
}

async function putStatus(client: KubeClient, facts: NodeFacts, now: number): Promise<void> {
  const known = await client.get<NodeObject>(NODES, facts.nodeName);
  const status = statusOf(facts, known?.status?.conditions ?? [], now);
  // a strategic patch would merge addresses by type, and so keep one InternalIP of two
  await client.patch<NodeObject>(
    NODES,
    facts.nodeName,
    undefined,
    { status },
    { type: 'merge', subresource: 'status' },
  );
}

function statusOf(facts: NodeFacts, before: readonly Condition[], now: number): NodeStatus {
  const { cpu, memoryBytes } = facts.capacity;
  const resources = {
    cpu: String(cpu),
    memory: `${Math.floor(memoryBytes / 1024)}Ki`,
    pods: String(MAX_PODS),
    'ephemeral-storage': '10Gi',
  };
  return {
    capacity: resources,
    allocatable: resources,
    addresses: addressesOf(facts),
    daemonEndpoints: {
      kubeletEndpoint: { Port: facts.published?.port ?? facts.kubeletPort },
    },
    nodeInfo: {
      architecture: goArch(),
      operatingSystem: 'linux',
      kernelVersion: release(),
      osImage: 'Ambit sandbox',
      containerRuntimeVersion: 'sandbox://1.0.0',
      kubeletVersion: VERSION,
      kubeProxyVersion: VERSION,
      bootID: '',
      machineID: facts.nodeName,
      systemUUID: facts.nodeName,
    },
    conditions: conditionsOf(before, now),
  };
}

function addressesOf({ addresses, nodeName, published }: NodeFacts): object[] {
  // without a host name: API servers may prefer it, and this node's name leads nowhere
  if (published !== undefined) return [{ type: 'InternalIP', address: published.address }];
  return [
    ...addresses.map((address) => ({ type: 'InternalIP', address })),
    { type: 'Hostname', address: nodeName },
  ];
}

type NodeCondition = Condition & { readonly lastHeartbeatTime: string };

function conditionsOf(before: readonly Condition[], now: number): Condition[] {
  const at = rfc3339(now);
  const wanted = [
    ['MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'the sandbox sets no limit'],
    ['DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'the sandbox sets no limit'],
    ['PIDPressure', 'False', 'KubeletHasSufficientPID', 'the sandbox sets no limit'],
    ['Ready', 'True', 'KubeletReady', 'kubelet is posting ready status'],
  ] as const;
  const ours = wanted.map(([type, status, reason, message]): NodeCondition => {
    const old = before.find((condition) => condition.type === type);
    const since = old?.status === status ? old.lastTransitionTime : undefined;
    return {
      type,
      status,
      reason,
      message,
      lastTransitionTime: since ?? at,
      lastHeartbeatTime: at,
    };
  });
  const others = before.filter(({ type }) => !ours.some((own) => own.type === type));
  return [...ours, ...others];
}

async function renewLease(client: KubeClient, nodeName: string, now: number): Promise<void> {
  const spec = {
    holderIdentity: nodeName,
    leaseDurationSeconds: LEASE_SECONDS,
    renewTime: rfc3339Micro(now),
  };
  try {
    await client.patch<Lease>(LEASES, nodeName, LEASE_NAMESPACE, { spec });
  } catch (error) {
    if (!(error instanceof KubeError) || error.status !== 404) throw error;
    await client.create<Lease>(LEASES, {
      metadata: { name: nodeName, namespace: LEASE_NAMESPACE },
      spec,
    });
  }
}

function goArch(): string {
  const own = arch();
  return own === 'x64' ? 'amd64' : own;
}
