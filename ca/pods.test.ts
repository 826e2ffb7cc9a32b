// What the CA knows of pods: identities by node, and who takes part in a rotation.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inform } from '../runtime/kubernetes/informer.ts';
import { MemoryKube } from '../runtime/kubernetes/memory.ts';
import type { Pod } from '../runtime/kubernetes/objects.ts';
import { PODS } from '../runtime/kubernetes/resources.ts';
import { silentLog } from '../runtime/log.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { viewPods } from './pods.ts';

function pod(
  name: string,
  parts: { phase?: string; ready?: boolean; account?: string; deleted?: boolean; node?: string },
): Pod {
  const {
    phase = 'Running',
    ready = true,
    account = 'agent',
    deleted = false,
    node = 'n1',
  } = parts;
  return {
    metadata: {
      name,
      namespace: 'system',
      uid: name,
      ...(deleted ? { deletionTimestamp: '2030-01-01T00:00:00Z' } : {}),
    },
    spec: { nodeName: node, serviceAccountName: account, containers: [] },
    status: {
      phase: phase as 'Running',
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  };
}

async function view(pods: readonly Pod[]) {
  const client = new MemoryKube();
  for (const one of pods) await client.create(PODS, one);
  const informer = inform<Pod>({ client, clock: new ManualClock(), log: silentLog }, PODS);
  await informer.synced;
  const seen = viewPods(informer);
  const close = (): Promise<void> => {
    seen.close();
    return informer.close();
  };
  return { client, seen, close };
}

describe('viewPods()', () => {
  test('who takes part in a rotation: what runs under the given accounts, ready or not', async () => {
    const { seen, close } = await view([
      pod('a', {}),
      pod('b', { ready: false }),
      pod('c', { deleted: true }),
      pod('d', { phase: 'Pending' }),
      pod('e', { phase: 'Failed' }),
      pod('f', { account: 'web' }),
    ]);
    const found = seen.running(['system/agent']);
    assert.deepEqual(
      found.toSorted((x, y) => x.pod.localeCompare(y.pod)),
      [
        { pod: 'a', node: 'n1', ready: true, leaving: false },
        { pod: 'b', node: 'n1', ready: false, leaving: false },
        { pod: 'c', node: 'n1', ready: true, leaving: true },
      ],
    );
    await close();
  });

  test('identities are counted once a node, and gone with their last pod', async () => {
    const { client, seen, close } = await view([
      pod('a', { account: 'web' }),
      pod('b', { account: 'web' }),
      pod('c', { account: 'web', node: 'n2' }),
      pod('d', { phase: 'Succeeded', account: 'job' }),
    ]);
    assert.equal(seen.identities(), 2);
    await client.delete(PODS, 'a', 'system');
    assert.ok(seen.runsOn('n1', 'system', 'web'));
    await client.delete(PODS, 'b', 'system');
    assert.ok(!seen.runsOn('n1', 'system', 'web'));
    assert.equal(seen.identities(), 1);
    await close();
  });
});
