// Kubelets without processes, for tests of the API server and the controllers alone: nodes that are ready, pods that run
// as soon as they are bound and turn ready unless their image says `broken`, and that end when they are deleted.

import { systemClock } from '../../runtime/clock.ts';
import { type KubeClient, KubeError } from '../../runtime/kubernetes/client.ts';
import { inform } from '../../runtime/kubernetes/informer.ts';
import { NODES, PODS } from '../../runtime/kubernetes/resources.ts';
import { silentLog } from '../../runtime/log.ts';
import type { KubeObject, Pod } from '../../sandbox/controllers/objects.ts';
import { timestamp } from '../../sandbox/controllers/status.ts';

export async function startFakeKubelets(
  client: KubeClient,
  nodes: readonly string[],
): Promise<{ close(): Promise<void> }> {
  for (const name of nodes) await addNode(client, name);
  let addresses = 1;
  const working = new Set<Promise<void>>();
  const informer = inform<Pod>({ client, clock: systemClock, log: silentLog }, PODS);
  informer.subscribe(({ type, object }) => {
    if (type === 'deleted' || !nodes.includes(object.spec?.nodeName ?? '')) return;
    const work = tend(client, object, `10.9.0.${addresses++ % 250}`).finally(() => {
      working.delete(work);
    });
    working.add(work);
  });
  return {
    async close() {
      await informer.close();
      await Promise.all(working);
    },
  };
}

async function addNode(client: KubeClient, name: string): Promise<void> {
  const labels = { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' };
  const node = await client.create<KubeObject>(NODES, { metadata: { name, labels } });
  const now = timestamp(Date.now());
  const ready = { type: 'Ready', status: 'True', lastHeartbeatTime: now, lastTransitionTime: now };
  const status = { conditions: [ready], allocatable: { pods: '110' } };
  await client.patch(NODES, node.metadata.name, undefined, { status }, { subresource: 'status' });
}

async function tend(client: KubeClient, pod: Pod, ip: string): Promise<void> {
  const { name, namespace, deletionTimestamp } = pod.metadata;
  try {
    if (deletionTimestamp !== undefined) {
      await client.delete(PODS, name, namespace, { gracePeriodSeconds: 0 });
    } else if (pod.status?.phase !== 'Running') {
      const ready = !JSON.stringify(pod.spec?.containers).includes('broken');
      const now = timestamp(Date.now());
      const conditions = [
        { type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: now },
      ];
      const status = { phase: 'Running', podIP: ip, podIPs: [{ ip }], startTime: now, conditions };
      await client.patch(PODS, name, namespace, { status }, { subresource: 'status' });
    }
  } catch (error) {
    // gone meanwhile, or changed: the next event brings it back here
    if (!(error instanceof KubeError) || ![404, 409].includes(error.status)) throw error;
  }
}
