// What an informer promises, against a Kubernetes API in memory and a clock that stands still.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { silentLog } from '../log.ts';
import { ManualClock } from '../manual-clock.ts';
import { type InformerEvent, inform } from './informer.ts';
import { MemoryKube } from './memory.ts';
import type { ConfigMap } from './objects.ts';
import { AUTHORIZATION_POLICIES, CONFIG_MAPS } from './resources.ts';

type Setup = { kube: MemoryKube; clock: ManualClock };

function setup(): Setup {
  return { kube: new MemoryKube(), clock: new ManualClock() };
}

function follow({ kube, clock }: Setup, options = {}) {
  const informer = inform<ConfigMap>({ client: kube, clock, log: silentLog }, CONFIG_MAPS, options);
  const seen: string[] = [];
  informer.subscribe((event: InformerEvent<ConfigMap>) => {
    seen.push(`${event.type} ${event.object.metadata.name} ${event.object.data?.['v'] ?? ''}`);
  });
  return { informer, seen };
}

const map = (name: string, v: string): ConfigMap => ({
  metadata: { name, namespace: 'shop' },
  data: { v },
});

describe('inform()', () => {
  test('lists page by page, then follows changes', async () => {
    const parts = setup();
    for (let i = 0; i < 1203; i++) await parts.kube.create(CONFIG_MAPS, map(`m${i}`, '0'));
    const { informer, seen } = follow(parts);
    await informer.synced;
    assert.equal([...informer.items()].length, 1203);
    assert.equal(parts.kube.calls.filter((call) => call === 'list configmaps').length, 3);
    await parts.clock.advance(0);
    seen.length = 0;
    await parts.kube.patch(CONFIG_MAPS, 'm7', 'shop', { data: { v: '1' } });
    await parts.kube.delete(CONFIG_MAPS, 'm8', 'shop');
    assert.deepEqual(seen, ['modified m7 1', 'deleted m8 0']);
    assert.equal(informer.get('m7', 'shop')?.data?.['v'], '1');
    assert.equal(informer.get('m8', 'shop'), undefined);
    await informer.close();
  });

  test('after a clean end goes on from the last version without listing again', async () => {
    const parts = setup();
    const { informer, seen } = follow(parts);
    await informer.synced;
    await parts.clock.advance(2000);
    parts.kube.endWatches();
    await parts.kube.create(CONFIG_MAPS, map('a', '1'));
    await parts.clock.advance(2000);
    assert.deepEqual(seen, ['added a 1']);
    assert.equal(parts.kube.calls.filter((call) => call === 'list configmaps').length, 1);
    await informer.close();
  });

  test('outlives the API server, and tells what changed and vanished meanwhile', async () => {
    const parts = setup();
    for (const name of ['a', 'b', 'c']) await parts.kube.create(CONFIG_MAPS, map(name, '1'));
    const { informer, seen } = follow(parts);
    await informer.synced;
    await parts.clock.advance(0);
    seen.length = 0;
    parts.kube.breakDown();
    await parts.clock.advance(10 * 60_000);
    assert.deepEqual([...informer.items()].length, 3, 'nothing is forgotten while it is away');
    parts.kube.restore();
    await parts.kube.delete(CONFIG_MAPS, 'b', 'shop');
    await parts.kube.patch(CONFIG_MAPS, 'c', 'shop', { data: { v: '2' } });
    await parts.kube.create(CONFIG_MAPS, map('d', '1'));
    parts.kube.compact();
    await parts.clock.advance(60_000);
    assert.deepEqual(seen, ['deleted b 1', 'modified c 2', 'added d 1']);
    await informer.close();
  });

  test('an object made anew under its name is told as deleted and added', async () => {
    const parts = setup();
    await parts.kube.create(CONFIG_MAPS, map('a', '1'));
    const { informer, seen } = follow(parts);
    await informer.synced;
    await parts.clock.advance(0);
    parts.kube.breakDown();
    parts.kube.restore();
    await parts.kube.delete(CONFIG_MAPS, 'a', 'shop');
    await parts.kube.create(CONFIG_MAPS, map('a', '2'));
    parts.kube.compact();
    seen.length = 0;
    await parts.clock.advance(60_000);
    assert.deepEqual(seen, ['deleted a 1', 'added a 2']);
    await informer.close();
  });

  test('a silent watch is given up and started again', async () => {
    const parts = setup();
    const { informer } = follow(parts);
    await informer.synced;
    await parts.clock.advance(10 * 60_000);
    const watches = parts.kube.calls.filter((call) => call === 'watch configmaps').length;
    assert.ok(watches >= 4, `watched ${watches} times`);
    await informer.close();
  });

  test('an optional kind that the cluster does not have is an empty one until it appears', async () => {
    const { kube, clock } = setup();
    const { KubeError } = await import('./client.ts');
    kube.breakDown(new KubeError(404, 'NotFound', 'the server could not find the resource'));
    const informer = inform({ client: kube, clock, log: silentLog }, AUTHORIZATION_POLICIES, {
      optional: true,
    });
    await informer.synced;
    assert.deepEqual([...informer.items()], []);
    kube.restore();
    await kube.create(AUTHORIZATION_POLICIES, { metadata: { name: 'p', namespace: 'shop' } });
    await clock.advance(60_000);
    assert.equal([...informer.items()].length, 1);
    await informer.close();
  });

  test('a listener that throws costs nobody else the event', async () => {
    const parts = setup();
    const informer = inform<ConfigMap>(
      { client: parts.kube, clock: parts.clock, log: silentLog },
      CONFIG_MAPS,
    );
    informer.subscribe(() => {
      throw new Error('broken');
    });
    const seen: string[] = [];
    const unsubscribe = informer.subscribe(({ object }) => seen.push(object.metadata.name ?? ''));
    await informer.synced;
    await parts.clock.advance(0);
    await parts.kube.create(CONFIG_MAPS, map('a', '1'));
    unsubscribe();
    await parts.kube.create(CONFIG_MAPS, map('b', '1'));
    assert.deepEqual(seen, ['a']);
    await informer.close();
  });
});
