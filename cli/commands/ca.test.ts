// Watching a rotation: each step once, through an outage, to its end, its refusal or the patience of who watches.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryKube } from '../../runtime/kubernetes/memory.ts';
import { CONFIG_MAPS } from '../../runtime/kubernetes/resources.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { ROTATION_MAP, type RotationStatus } from '../../wire/rotation.ts';
import { renderTrust } from '../render/ca.ts';
import { plainStyle } from '../render/style.ts';
import { watchRotation } from './ca.ts';

const STEADY: RotationStatus = {
  phase: 'steady',
  since: '2030-01-01T00:00:00.000Z',
  request: '',
  roots: [{ fingerprint: 'a'.repeat(64), subject: 'CN=old', notAfter: '2031-01-01T00:00:00.000Z' }],
  signer: { root: 'a'.repeat(64), source: 'own', notAfter: '2031-01-01T00:00:00.000Z' },
  retiring: [],
  renewWithinMs: 0,
  bundle: 'x',
  agents: { all: 3, waiting: 0 },
  waitingFor: [],
};

async function setUp() {
  const client = new MemoryKube();
  const clock = new ManualClock();
  const metadata = { name: ROTATION_MAP, namespace: 'ambit-system' };
  const status = JSON.stringify(STEADY);
  await client.create(CONFIG_MAPS, { metadata, data: { status } } as never);
  const say = async (parts: Partial<RotationStatus>): Promise<void> => {
    const data = { status: JSON.stringify({ ...STEADY, ...parts }) };
    await client.patch(CONFIG_MAPS, ROTATION_MAP, 'ambit-system', { data });
    await clock.advance(1000);
  };
  const told: string[] = [];
  const watch = (timeoutMs = 0) =>
    watchRotation({ client, clock, tell: (line) => told.push(line) }, 'r1', timeoutMs);
  return { client, clock, say, told, watch };
}

describe('watchRotation()', () => {
  test('tells each step once and ends when the old root is gone, an outage notwithstanding', async () => {
    const { client, clock, say, told, watch } = await setUp();
    const watching = watch();
    await say({
      request: 'r1',
      phase: 'distributing',
      agents: { all: 3, waiting: 2 },
      waitingFor: ['n1 (a): has not taken the new root'],
    });
    client.breakDown();
    await clock.advance(5000);
    client.restore();
    await say({ request: 'r1', phase: 'renewing', agents: { all: 3, waiting: 0 } });
    await say({ request: 'r1' });
    assert.equal((await watching).phase, 'steady');
    assert.deepEqual(told, [
      'waiting for the CA to take the request',
      '1/2 distributing the new root: 1 of 3 believe it, waiting for n1 (a): has not taken the new root',
      'Kubernetes does not answer: the rotation goes on by itself, asking again',
      '2/2 renewing certificates under the new root: 3 of 3 are done',
    ]);
  });

  test('fails with the CA’s reason when it refuses', async () => {
    const { say, watch } = await setUp();
    const watching = watch();
    watching.catch(() => {});
    await say({ refused: { id: 'r1', message: 'a rotation is under way already' } });
    await assert.rejects(watching, /Cannot rotate the root: a rotation is under way already/);
  });

  test('stops watching when the time is up, and says that the rotation goes on', async () => {
    const { clock, watch } = await setUp();
    const watching = watch(10_000);
    watching.catch(() => {});
    await clock.advance(11_000);
    await assert.rejects(watching, /has not ended within 10 s.* ambit ca status/s);
  });

  test('fails when no CA is there to be asked', async () => {
    const { client, watch } = await setUp();
    await client.delete(CONFIG_MAPS, ROTATION_MAP, 'ambit-system');
    await assert.rejects(watch(), /See whether it runs: kubectl/);
  });
});

test('ambit ca status shows what each root is for', () => {
  const text = renderTrust(
    {
      ...STEADY,
      phase: 'renewing',
      retiring: ['a'.repeat(64)],
      signer: { ...STEADY.signer, root: 'b'.repeat(64) },
      roots: [...STEADY.roots, { ...STEADY.roots[0]!, fingerprint: 'b'.repeat(64) }],
    },
    plainStyle,
  );
  assert.match(text, /aaaaaaaaaaaaaaaa +leaving/);
  assert.match(text, /bbbbbbbbbbbbbbbb +signs/);
});
