// The node agents of a cluster, found by node or pod, and asked at their admin doors. Called by the commands that look
// into agents: node, explain, authz.

import type { KubeClient } from '../../runtime/kubernetes/client.ts';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import { PODS } from '../../runtime/kubernetes/resources.ts';
import { CommandFailure } from '../exit.ts';
import { bytesThroughPod } from './pod-http.ts';

const NAMESPACE = 'ambit-system';
const ADMIN_PORT = 15000;

export type Agent = { readonly pod: string; readonly node: string };

/** Those that run, ready ones first: during a replacement a node has two. */
export async function listAgents(client: KubeClient): Promise<Agent[]> {
  const { items } = await client.list<Pod>(PODS, {
    namespace: NAMESPACE,
    labelSelector: 'app.kubernetes.io/name=ambit-node-agent',
  });
  return items
    .filter(({ metadata, status }) => {
      return metadata.deletionTimestamp === undefined && status?.phase === 'Running';
    })
    .sort((a, b) => Number(isReady(b)) - Number(isReady(a)))
    .map(({ metadata, spec }) => ({ pod: metadata.name ?? '', node: spec.nodeName ?? '' }));
}

/** The agent of a node, by the node's name or the agent's own pod. @throws CommandFailure when there is none */
export async function findAgent(client: KubeClient, name: string): Promise<Agent> {
  const agents = await listAgents(client);
  const pod = name.replace(/^pod\//, '').replace(/\.ambit-system$/, '');
  const found = agents.find((agent) => agent.node === name || agent.pod === pod);
  if (found !== undefined) return found;
  const known = agents.map(({ node }) => node).sort();
  throw new CommandFailure(
    known.length === 0
      ? 'No node agent runs in this cluster. See why: ambit check'
      : `No node agent runs on "${name}". Nodes with one: ${known.join(', ')}`,
  );
}

/** What the agent's admin door answers. @throws CommandFailure */
export async function askAgent(
  client: KubeClient,
  { pod, node }: Agent,
  path: string,
  method: 'GET' | 'POST' = 'GET',
): Promise<Buffer> {
  try {
    const at = { namespace: NAMESPACE, pod, port: ADMIN_PORT };
    return await bytesThroughPod(client, { ...at, path, method });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CommandFailure(
      `Cannot ask the node agent on ${node} for ${path}: ${why}. Try the same by hand: kubectl -n ${NAMESPACE} port-forward ${pod} ${ADMIN_PORT}`,
      { cause },
    );
  }
}

/** @throws CommandFailure also when the answer is not JSON */
export async function askAgentJson<T>(client: KubeClient, agent: Agent, path: string): Promise<T> {
  const text = (await askAgent(client, agent, path)).toString('utf8');
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new CommandFailure(`The node agent on ${agent.node} did not answer ${path} with JSON`, {
      cause,
    });
  }
}

function isReady({ status }: Pod): boolean {
  return status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') ?? false;
}
