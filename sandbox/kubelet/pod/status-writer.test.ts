import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KubeError } from '../../../runtime/kubernetes/client.ts';
import { PODS } from '../../../runtime/kubernetes/resources.ts';
import { silentLog } from '../../../runtime/log.ts';
import { ManualClock } from '../../../runtime/manual-clock.ts';
import { MemoryKube } from '../test-support/memory-kube.ts';
import type { Pod } from './pod-spec.ts';
import { writeStatuses } from './status-writer.ts';

const POD = { namespace: 'demo', name: 'web', uid: 'u1' };

async function begin() {
  const clock = new ManualClock();
  const kube = new MemoryKube(() => clock.now());
  await kube.create<Pod>(PODS, { metadata: { ...POD }, spec: { containers: [] } });
  let writes = 0;
  const patch = kube.patch.bind(kube);
  kube.patch = ((...args: Parameters<typeof patch>) => {
    writes += 1;
    return patch(...args);
  }) as typeof kube.patch;
  const statuses = writeStatuses({ client: kube, clock, log: silentLog });
  return { clock, kube, statuses, writes: () => writes };
}

test('changes that come together are one write, and what is written is not written again', async () => {
  const { statuses, kube, writes } = await begin();
  for (let times = 0; times < 5; times++) statuses.changed(POD, () => ({ phase: 'Running' }));
  await statuses.settled(POD);
  statuses.changed(POD, () => ({ phase: 'Running' }));
  await statuses.settled(POD);
  assert.equal(writes(), 1);
  assert.equal((await kube.get<Pod>(PODS, 'web', 'demo'))?.status?.phase, 'Running');
  await statuses.close();
});

test('a write that fails is tried again with what is newest', async () => {
  const { statuses, kube, clock } = await begin();
  const working = kube.patch;
  const failed = Promise.withResolvers<void>();
  kube.patch = () => {
    failed.resolve();
    return Promise.reject(new KubeError(0, 'Unreachable', 'away'));
  };
  let phase: 'Pending' | 'Running' = 'Pending';
  statuses.changed(POD, () => ({ phase }));
  await failed.promise;
  phase = 'Running';
  kube.patch = working;
  const settled = statuses.settled(POD);
  while (clock.pending() === 0) await Promise.resolve();
  await clock.advance(60_000);
  await settled;
  assert.equal((await kube.get<Pod>(PODS, 'web', 'demo'))?.status?.phase, 'Running');
  await statuses.close();
});

test('a pod of the same name, made anew, is left alone', async () => {
  const { statuses, kube } = await begin();
  const old = { ...POD, uid: 'u0' };
  statuses.changed(old, () => ({ phase: 'Failed' }));
  await statuses.settled(old);
  assert.equal((await kube.get<Pod>(PODS, 'web', 'demo'))?.status, undefined);
  await statuses.close();
});
