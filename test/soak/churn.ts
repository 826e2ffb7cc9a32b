// What changes in the cluster during a soak, one thing at a time and never the same order twice in a row: pods come and go,
// policies change, agents are replaced. Called by soak.ts. Invariant: nothing here may cost a connection: pods serve on
// until everybody knows that they leave, and every policy lets the load through.

import type { KubeObject, Pod } from '../../runtime/kubernetes/objects.ts';
import {
  AUTHORIZATION_POLICIES,
  DAEMON_SETS,
  DEPLOYMENTS,
  PEER_AUTHENTICATIONS,
  PODS,
  type Resource,
} from '../../runtime/kubernetes/resources.ts';
import { REDIRECTION } from '../support/enrolled.ts';
import type { Sandbox } from '../support/sandbox.ts';
import { waitFor } from '../support/wait-for.ts';

const SYSTEM = 'ambit-system';
const AGENTS = 'app.kubernetes.io/name=ambit-node-agent';

export type Change = { readonly name: string; readonly run: () => Promise<void> };

export function changesOf(
  sandbox: Sandbox,
  namespaces: readonly string[],
  random: () => number,
): Change[] {
  const anywhere = (): string => namespaces[Math.floor(random() * namespaces.length)] ?? '';
  return [
    { name: 'an echo is replaced', run: () => replaceEcho(sandbox, anywhere(), random) },
    { name: 'an echo is replaced', run: () => replaceEcho(sandbox, anywhere(), random) },
    { name: 'echoes are scaled up and down', run: () => scale(sandbox, anywhere()) },
    { name: 'a policy comes and goes', run: () => togglePolicy(sandbox, anywhere()) },
    { name: 'strict mutual TLS comes and goes', run: () => toggleStrict(sandbox, anywhere()) },
    { name: 'the agents are replaced in turn', run: () => restartAgents(sandbox) },
  ];
}

async function replaceEcho(
  { client }: Sandbox,
  namespace: string,
  random: () => number,
): Promise<void> {
  const { items } = await client.list<Pod>(PODS, { namespace, labelSelector: 'app=echo' });
  const pod = items[Math.floor(random() * items.length)];
  const { name = '', uid } = pod?.metadata ?? {};
  await client.delete(PODS, name, namespace);
  await settled(client, namespace, { without: uid });
}

async function scale({ client }: Sandbox, namespace: string): Promise<void> {
  for (const replicas of [4, 2]) {
    await client.patch(DEPLOYMENTS, 'echo', namespace, { spec: { replicas } });
    await settled(client, namespace, { replicas });
  }
}

/** Every echo that is wanted is ready and in the mesh, and no other is left. */
async function settled(
  client: Sandbox['client'],
  namespace: string,
  { replicas = 2, without }: { readonly replicas?: number; readonly without?: string | undefined },
): Promise<void> {
  await waitFor<Pod>(
    client,
    PODS,
    { namespace, labelSelector: 'app=echo', timeoutMs: 120_000 },
    (pods) =>
      pods.length === replicas &&
      pods.every((pod) => pod.metadata.uid !== without && isInMesh(pod)),
  );
}

function isInMesh({ metadata, status }: Pod): boolean {
  const ready = status?.conditions?.some(
    ({ type, status: is }) => type === 'Ready' && is === 'True',
  );
  return ready === true && metadata.annotations?.[REDIRECTION] === 'enabled';
}

/** The load's own account may connect, and nobody else: what the mesh knows of identities must hold all the time. */
async function togglePolicy(sandbox: Sandbox, namespace: string): Promise<void> {
  await toggle(sandbox, AUTHORIZATION_POLICIES, namespace, {
    selector: { matchLabels: { app: 'echo' } },
    action: 'ALLOW',
    rules: [{ from: [{ source: { principals: ['*/sa/default'] } }] }],
  });
}

async function toggleStrict(sandbox: Sandbox, namespace: string): Promise<void> {
  await toggle(sandbox, PEER_AUTHENTICATIONS, namespace, { mtls: { mode: 'STRICT' } });
}

async function toggle(
  { client }: Sandbox,
  resource: Resource,
  namespace: string,
  spec: object,
): Promise<void> {
  if ((await client.get(resource, 'soak', namespace)) !== undefined) {
    await client.delete(resource, 'soak', namespace);
  } else {
    const object = { metadata: { name: 'soak', namespace }, spec };
    await client.create<KubeObject>(resource, object as KubeObject);
  }
}

/** What `kubectl rollout restart` does. */
async function restartAgents(sandbox: Sandbox): Promise<void> {
  const { client } = sandbox;
  const agents = { namespace: SYSTEM, labelSelector: AGENTS };
  const old = new Set(
    (await client.list<Pod>(PODS, agents)).items.map(({ metadata }) => metadata.uid),
  );
  await client.patch(DAEMON_SETS, 'ambit-node-agent', SYSTEM, {
    spec: {
      template: {
        metadata: {
          annotations: { 'kubectl.kubernetes.io/restartedAt': new Date().toISOString() },
        },
      },
    },
  });
  await waitFor<Pod>(
    client,
    PODS,
    { ...agents, timeoutMs: 180_000 },
    (pods) => pods.length === old.size && pods.every(({ metadata }) => !old.has(metadata.uid)),
  );
  await sandbox.rolledOut(SYSTEM);
}
