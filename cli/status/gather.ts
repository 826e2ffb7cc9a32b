// Asks the cluster for everything `ambit status` shows: Deployments and agents from the API server, the mesh's own view
// from the control plane, traffic from each agent's metrics. What does not answer becomes a problem, never a crash.

import type { KubeClient } from '../../runtime/kubernetes/client.ts';
import type { Deployment, Node, Pod } from '../../runtime/kubernetes/objects.ts';
import { DEPLOYMENTS, NODES, PODS } from '../../runtime/kubernetes/resources.ts';
import { VERSION } from '../../runtime/version.ts';
import type { ControlPlaneStatus, Problem } from '../../wire/status.ts';
import { getThroughPod } from '../cluster/pod-http.ts';
import { readSamples } from './exposition.ts';
import type { AgentRow, Findings, Replicas, Traffic } from './report.ts';

const NAMESPACE = 'ambit-system';
const ADMIN_PORT = 15000;
const METRICS_PORT = 15020;
const OPENED = 'istio_tcp_connections_opened_total';
// Port-forwards at once: each is a connection through the API server, which others use too.
const PARALLEL_FORWARDS = 8;

export async function gatherFindings(client: KubeClient): Promise<Findings> {
  const [controlPlane, ca, controlPlanePods, agentPods, nodes] = await Promise.all([
    replicasOf(client, 'ambit-control-plane'),
    replicasOf(client, 'ambit-ca'),
    readyFirst(client, 'ambit-control-plane'),
    readyFirst(client, 'ambit-node-agent'),
    client.list<Node>(NODES),
  ]);
  const problems: Problem[] = [];
  const views = await eachPod(controlPlanePods.filter(isReady), problems, async (name) => {
    const text = await getThroughPod(client, {
      namespace: NAMESPACE,
      pod: name,
      port: ADMIN_PORT,
      path: '/status',
    });
    return JSON.parse(text) as ControlPlaneStatus;
  });
  const traffic = await eachPod(agentPods.filter(isReady), problems, async (name) =>
    readTraffic(
      await getThroughPod(client, {
        namespace: NAMESPACE,
        pod: name,
        port: METRICS_PORT,
        path: '/metrics',
      }),
    ),
  );
  const view = views.find((candidate) => candidate.leader) ?? views[0];
  return {
    cliVersion: VERSION,
    controlPlaneVersion: view?.version,
    controlPlane,
    ca,
    rootNotAfter: view?.rootNotAfter,
    rotation: view?.rotation,
    nodes: nodes.items.map((node) => node.metadata.name ?? '').sort(),
    agents: agentPods
      .map((pod) => agentRow(pod, views))
      .sort((a, b) => a.node.localeCompare(b.node)),
    namespaces: view?.namespaces ?? [],
    workloads: view?.workloads ?? [],
    waypoints: view?.waypoints ?? [],
    traffic: traffic.length === 0 ? undefined : traffic.reduce(addTraffic),
    problems: [...problems, ...(view?.problems ?? [])],
  };
}

async function replicasOf(client: KubeClient, name: string): Promise<Replicas | undefined> {
  const deployment = await client.get<Deployment>(DEPLOYMENTS, name, NAMESPACE);
  if (deployment === undefined) return undefined;
  return { ready: deployment.status?.readyReplicas ?? 0, wanted: deployment.spec?.replicas ?? 1 };
}

async function readyFirst(client: KubeClient, app: string): Promise<Pod[]> {
  const { items } = await client.list<Pod>(PODS, {
    namespace: NAMESPACE,
    labelSelector: `app.kubernetes.io/name=${app}`,
  });
  const alive = items.filter((pod) => pod.metadata.deletionTimestamp === undefined);
  return alive.sort((a, b) => Number(isReady(b)) - Number(isReady(a)));
}

function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false;
}

function agentRow(pod: Pod, views: readonly ControlPlaneStatus[]): AgentRow {
  const node = pod.spec?.nodeName ?? '';
  const seen = views.flatMap((view) => view.agents).find((agent) => agent.node === node);
  return {
    node,
    pod: pod.metadata.name ?? '',
    version: seen?.version ?? '',
    ready: isReady(pod),
    connected: seen !== undefined,
    inSync: seen?.inSync ?? false,
    ...(seen?.trust === undefined ? {} : { trust: seen.trust }),
  };
}

/** Asks each pod, a few at a time; one that does not answer is a problem and is left out of the answer. */
async function eachPod<T>(
  pods: readonly Pod[],
  problems: Problem[],
  ask: (name: string) => Promise<T>,
): Promise<T[]> {
  const answers: T[] = [];
  const queue = pods.map((pod) => pod.metadata.name ?? '');
  const worker = async (): Promise<void> => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      try {
        answers.push(await ask(name));
      } catch (error) {
        problems.push({
          object: `Pod ${NAMESPACE}/${name}`,
          reason: 'NoAnswer',
          message: `Cannot ask ${name} for its state: ${error instanceof Error ? error.message : String(error)}`,
          remedy: `Try the same by hand: kubectl -n ${NAMESPACE} port-forward ${name} 15000`,
        });
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_FORWARDS }, worker));
  return answers;
}

function readTraffic(text: string): Traffic {
  let [mtls, plaintext] = [0, 0];
  for (const { labels, value } of readSamples(text, new Set([OPENED]))) {
    // the agent of the destination counts each once; what no workload sent (a kubelet's probe) is no traffic of the mesh
    if (labels['reporter'] !== 'destination' || labels['source_workload'] === 'unknown') continue;
    if (labels['connection_security_policy'] === 'mutual_tls') mtls += value;
    else plaintext += value;
  }
  return { mtls, plaintext };
}

function addTraffic(a: Traffic, b: Traffic): Traffic {
  return { mtls: a.mtls + b.mtls, plaintext: a.plaintext + b.plaintext };
}
