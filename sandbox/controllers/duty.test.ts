import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../runtime/clock.ts';
import { elect } from '../../runtime/kubernetes/lease.ts';
import { MemoryKube } from '../../runtime/kubernetes/memory.ts';
import type { Lease } from '../../runtime/kubernetes/objects.ts';
import { LEASES } from '../../runtime/kubernetes/resources.ts';
import { type Fields, type Log, silentLog } from '../../runtime/log.ts';
import { type Duty, runControllers } from './duty.ts';

/** Controllers whose groups announce themselves here as they start. */
function start(client: MemoryKube, duty: Duty, caPem: string | null = 'PEM') {
  const waiting: { names: string; tell: () => void }[] = [];
  const started = new Set<string>();
  const log: Log = {
    ...silentLog,
    info(message: string, fields?: Fields) {
      if (message !== 'Controllers started') return;
      for (const name of (fields?.['controllers'] ?? []) as string[]) started.add(name);
      for (const { names, tell } of waiting) if (started.has(names)) tell();
    },
  };
  const running = runControllers(
    { client, clock: systemClock, log },
    { duty, holder: 'we', caPem: caPem ?? undefined },
  );
  return {
    started,
    until: (names: string) =>
      new Promise<void>((tell) => {
        waiting.push({ names, tell });
        if (started.has(names)) tell();
      }),
    [Symbol.asyncDispose]: () => running.close(),
  };
}

/** Somebody who holds the Lease until told to let go. */
async function hold(client: MemoryKube, name: string): Promise<() => Promise<void>> {
  const stop = new AbortController();
  const leading = Promise.withResolvers<void>();
  const parts = { client, clock: systemClock, log: silentLog };
  const work = async (signal: AbortSignal): Promise<void> => {
    leading.resolve();
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  };
  const settings = { namespace: 'kube-system', name, holder: 'they' };
  const holding = elect(parts, settings, work, stop.signal);
  await leading.promise;
  return async () => {
    stop.abort(new Error('let go'));
    await holding;
  };
}

async function holderOf(client: MemoryKube, name: string): Promise<string | undefined> {
  return (await client.get<Lease>(LEASES, name, 'kube-system'))?.spec?.holderIdentity;
}

test('auto: a group that somebody runs is left to them, and taken over when they let go', async () => {
  const client = new MemoryKube();
  const letGo = await hold(client, 'kube-scheduler');
  await using ours = start(client, 'auto');
  await ours.until('deployment-controller');
  assert.equal(ours.started.has('default-scheduler'), false);
  assert.equal(await holderOf(client, 'kube-scheduler'), 'they');
  await letGo();
  await ours.until('default-scheduler');
  assert.equal(await holderOf(client, 'kube-scheduler'), 'we');
});

test('all: they run whoever else does, and hold the Leases that are free', async () => {
  const client = new MemoryKube();
  const letGo = await hold(client, 'kube-controller-manager');
  {
    await using ours = start(client, 'all');
    await ours.until('default-scheduler');
    assert.ok(ours.started.has('deployment-controller'));
  }
  assert.equal(await holderOf(client, 'kube-controller-manager'), 'they');
  assert.equal(await holderOf(client, 'kube-scheduler'), '');
  await letGo();
});

test('none: nothing runs and no Lease is touched', async () => {
  const client = new MemoryKube();
  {
    await using _ours = start(client, 'none');
  }
  assert.deepEqual(client.calls, []);
});

test('a CA that is not known is published to nobody', async () => {
  const client = new MemoryKube();
  await using ours = start(client, 'all', null);
  await ours.until('default-scheduler');
  assert.equal(ours.started.has('serviceaccount-controller'), false);
});
