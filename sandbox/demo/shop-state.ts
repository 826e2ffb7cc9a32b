// What the shop is and what its customers have seen, read from the cluster: pods with their restarts, and the load
// generator's counts. Two such states tell whether anything was lost in between.

import type { KubeClient } from '../../runtime/kubernetes/client.ts';
import type { Deployment, KubeObject, Pod } from '../../runtime/kubernetes/objects.ts';
import { DAEMON_SETS, DEPLOYMENTS, PODS } from '../../runtime/kubernetes/resources.ts';
import type { Tally } from '../apps/load/tally.ts';

export type ShopState = {
  /** Pod UID -> its restarts. */
  readonly pods: ReadonlyMap<string, number>;
  readonly tally: Tally;
};

const STATS_PORT = 8081;
const POLL_MS = 300;

export async function readShop(client: KubeClient, namespace: string): Promise<ShopState> {
  const { items } = await client.list<Pod>(PODS, { namespace });
  const pods = new Map(
    items.map((pod) => [
      pod.metadata.uid ?? '',
      (pod.status?.containerStatuses ?? []).reduce(
        (sum, { restartCount }) => sum + restartCount,
        0,
      ),
    ]),
  );
  const load = items.find(({ metadata }) => metadata.labels?.['app'] === 'load')?.metadata.name;
  if (load === undefined) throw new Error(`There is no load generator in namespace ${namespace}`);
  return { pods, tally: await readTally(client, namespace, load) };
}

/** In words, what got worse; empty when nothing did. */
export function losses(before: ShopState, after: ShopState): string[] {
  const lost: string[] = [];
  for (const [uid, restarts] of before.pods) {
    const now = after.pods.get(uid);
    if (now === undefined) lost.push(`pod ${uid} was replaced`);
    else if (now > restarts) lost.push(`pod ${uid} was restarted`);
  }
  const compare = (what: string, from: number, to: number): void => {
    if (to > from) lost.push(`${to - from} ${what}`);
  };
  const [a, b] = [before.tally, after.tally];
  compare('requests failed', a.requests.failed, b.requests.failed);
  compare('connections dropped', a.connections.dropped, b.connections.dropped);
  compare('connections refused', a.connections.refused, b.connections.refused);
  compare('messages came back wrong', a.messages.wrong, b.messages.wrong);
  if (lost.length > 0) lost.push(...b.faults);
  if (b.requests.ok <= a.requests.ok) lost.push('no request was answered since');
  if (b.messages.echoed <= a.messages.echoed) lost.push('no message was echoed since');
  return lost;
}

export async function podIps(client: KubeClient, namespace: string): Promise<ReadonlySet<string>> {
  const { items } = await client.list<Pod>(PODS, { namespace });
  return new Set(items.flatMap(({ status }) => (status?.podIPs ?? []).map(({ ip }) => ip)));
}

type Note = (text: string) => void;

export function waitForDeployments(
  client: KubeClient,
  namespace: string,
  note: Note,
  signal: AbortSignal,
): Promise<void> {
  return until(signal, note, async () => {
    const { items } = await client.list<Deployment>(DEPLOYMENTS, { namespace }, signal);
    return items.map(({ metadata, spec, status }) => ({
      name: `${namespace}/${metadata.name}`,
      ready: status?.readyReplicas ?? 0,
      wanted: spec?.replicas ?? 1,
    }));
  });
}

export function waitForDaemonSets(
  client: KubeClient,
  namespace: string,
  note: Note,
  signal: AbortSignal,
): Promise<void> {
  type Counted = KubeObject & {
    status?: { numberReady?: number; desiredNumberScheduled?: number };
  };
  return until(signal, note, async () => {
    const { items } = await client.list<Counted>(DAEMON_SETS, { namespace }, signal);
    return items.map(({ metadata, status }) => ({
      name: `${namespace}/${metadata.name}`,
      ready: status?.numberReady ?? 0,
      wanted: status?.desiredNumberScheduled ?? 1,
    }));
  });
}

type Progress = { readonly name: string; readonly ready: number; readonly wanted: number };

/** @throws Error naming what was not ready when `signal` aborted */
async function until(
  signal: AbortSignal,
  note: Note,
  look: () => Promise<readonly Progress[]>,
): Promise<void> {
  let waiting: readonly Progress[] = [];
  while (!signal.aborted) {
    const seen = await look();
    waiting = seen.filter(({ ready, wanted }) => ready < Math.max(1, wanted));
    if (seen.length > 0 && waiting.length === 0) return;
    note(waiting.map(({ name, ready, wanted }) => `${name} ${ready}/${wanted}`).join(', '));
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const names = waiting
    .map(({ name, ready, wanted }) => `${name} (${ready}/${wanted} ready)`)
    .join(', ');
  throw new Error(`Not ready in time: ${names}. See why: kubectl describe pods -A`);
}

async function readTally(client: KubeClient, namespace: string, pod: string): Promise<Tally> {
  const stream = await client.portForward(namespace, pod, STATS_PORT);
  stream.write('GET /stats HTTP/1.0\r\n\r\n');
  let text = '';
  for await (const chunk of stream as AsyncIterable<Buffer>) text += chunk.toString('utf8');
  stream.destroy();
  return JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)) as Tally;
}
