// The root with any number of replicas: one for the cluster however many start, kept, published, followed, and never lost
// to a bad or missing Secret. Every replica is real but for Kubernetes, which is in memory.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KubeError } from '../runtime/kubernetes/client.ts';
import { MemoryKube } from '../runtime/kubernetes/memory.ts';
import type { ConfigMap, Secret } from '../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS, LEASES, SECRETS } from '../runtime/kubernetes/resources.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { splitPem } from '../runtime/trust.ts';
import { ROOT_MAP, ROTATION_MAP } from '../wire/rotation.ts';
import { makeRoot } from './signer.ts';
import { until } from './test-replicas.ts';
import { DAY_MS, NAMESPACE, published, replica, secretOf, statusOf } from './test-root.ts';

describe('replicas of the CA', () => {
  test('that start together use one root', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock();
    const three = ['a', 'b', 'c'].map((holder) => replica(client, clock, holder));
    await until(clock, () => three.every(({ root }) => root.current() !== undefined));
    assert.equal(new Set(three.map(({ rootsPem }) => rootsPem())).size, 1);
    assert.equal(three.filter(({ leadership }) => leadership.leads).length, 1);
    const secrets = await client.list<Secret>(SECRETS);
    assert.deepEqual(
      secrets.items.map(({ metadata, type }) => [metadata.namespace, metadata.name, type]),
      [[NAMESPACE, 'ambit-ca-root', 'kubernetes.io/tls']],
    );
    await until(clock, async () => (await published(client)) === three[0]?.rootsPem());
  });

  test('go on when the one that makes the root dies at any write of it', async () => {
    for (const dying of ['create secrets', 'create configmaps', 'create leases']) {
      const client = new MemoryKube();
      const clock = new ManualClock();
      const create = client.create.bind(client);
      let died = false;
      client.create = async (resource, object) => {
        if (died || `create ${resource.plural}` !== dying) return create(resource, object);
        died = true;
        // the write arrived, its answer did not, and nothing more is heard of that replica
        await create(resource, object);
        void first.close();
        throw new KubeError(0, 'Unreachable', 'gone');
      };
      const first = replica(client, clock, 'a');
      await until(clock, () => died);
      const others = ['b', 'c'].map((holder) => replica(client, clock, holder));
      await until(clock, () => others.every(({ root }) => root.current() !== undefined));
      await until(clock, async () => (await published(client)) === others[0]?.rootsPem());
      assert.equal(new Set(others.map(({ rootsPem }) => rootsPem())).size, 1, dying);
      for (const one of others) await one.close();
    }
  });

  test('use the root that is there, without waiting for a dead leader’s Lease', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock();
    const first = replica(client, clock, 'a');
    await until(clock, () => first.root.current() !== undefined);
    await first.close();
    const lease = await client.get(LEASES, 'ambit-ca-root', NAMESPACE);
    await client.update(LEASES, {
      ...lease!,
      spec: { holderIdentity: 'dead', leaseDurationSeconds: 15 },
    } as never);
    const started = clock.now();
    const second = replica(client, clock, 'b');
    await until(clock, () => second.root.current() !== undefined);
    assert.ok(clock.now() - started < 2000);
    assert.equal(second.rootsPem(), first.rootsPem());
  });

  test('wait for Kubernetes to come back', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock();
    client.breakDown();
    const one = replica(client, clock, 'a');
    await clock.advance(60_000);
    assert.equal(one.root.current(), undefined);
    client.restore();
    await until(clock, () => one.root.current() !== undefined);
  });

  test('leave nothing running when they stop', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock();
    const one = replica(client, clock, 'a');
    await until(clock, () => one.root.current() !== undefined);
    await one.close();
    assert.deepEqual([client.watching, clock.pending()], [0, 0]);
  });
});

describe('a rotation among three replicas', () => {
  const ask = (client: MemoryKube, id: string) =>
    client.patch(CONFIG_MAPS, ROTATION_MAP, NAMESPACE, {
      data: { request: JSON.stringify({ id, force: false }) },
    });

  test('is taken to its end, and every replica signs under the new root', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock();
    const three = ['a', 'b', 'c'].map((holder) => replica(client, clock, holder));
    await until(clock, async () => (await statusOf(client)) !== undefined);
    const old = three[0]?.rootsPem();
    await ask(client, 'r1');
    await until(clock, async () => (await statusOf(client))?.phase === 'renewing');
    assert.equal(splitPem((await published(client)) ?? '').length, 2);
    await until(clock, async () => (await statusOf(client))?.phase === 'steady');
    await until(clock, () => new Set(three.map(({ rootsPem }) => rootsPem())).size === 1);
    assert.notEqual(three[0]?.rootsPem(), old);
    assert.equal(await published(client), three[0]?.rootsPem());
    assert.equal((await statusOf(client))?.request, 'r1');
  });

  test('goes on though the leader dies right after each of its writes', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock();
    let holder = 0;
    const start = () => replica(client, clock, `replica-${holder++}`);
    const live = new Set([start(), start(), start()]);
    await until(clock, async () => (await statusOf(client)) !== undefined);
    const old = await published(client);
    const update = client.update.bind(client);
    let deaths = 0;
    client.update = async (resource, object) => {
      const done = await update(resource, object);
      if (resource.plural !== 'secrets') return done;
      deaths++;
      for (const one of live) {
        if (!one.leadership.leads) continue;
        live.delete(one);
        void one.close();
      }
      live.add(start());
      throw new KubeError(0, 'Unreachable', 'gone');
    };
    await ask(client, 'r1');
    await until(clock, async () => {
      const status = await statusOf(client);
      return status?.phase === 'steady' && status.request === 'r1';
    });
    assert.equal(deaths, 3, 'one for each step');
    const now = await published(client);
    assert.notEqual(now, old);
    assert.equal(splitPem(now ?? '').length, 1);
    for (const { root } of live) assert.equal(root.current()?.signer.rootsPem, now);
  });

  test('does not end while an agent has not said that it has the new root', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock();
    const one = replica(client, clock, 'a', [
      { pod: 'agent', node: 'n1', ready: true, leaving: false },
    ]);
    await until(clock, async () => (await statusOf(client)) !== undefined);
    const signs = one.root.current()?.signer.root;
    await ask(client, 'r1');
    await until(clock, async () => (await statusOf(client))?.waitingFor.length === 1);
    await clock.advance(3_600_000);
    const status = await statusOf(client);
    assert.deepEqual([status?.phase, status?.agents], ['distributing', { all: 1, waiting: 1 }]);
    assert.equal(one.root.current()?.signer.root, signs);
  });
});

describe('what is published', () => {
  test('is written again when somebody changes or deletes it', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock();
    const one = replica(client, clock, 'a');
    const good = async () => (await published(client)) === one.rootsPem();
    await until(clock, async () => one.root.current() !== undefined && (await good()));
    await client.patch(CONFIG_MAPS, ROOT_MAP, NAMESPACE, { data: { 'root-cert.pem': 'FORGED' } });
    await until(clock, good);
    await client.delete(CONFIG_MAPS, ROOT_MAP, NAMESPACE);
    await until(clock, good);
    client.breakDown();
    await clock.advance(20_000);
    client.restore();
    await client.delete(CONFIG_MAPS, ROOT_MAP, NAMESPACE);
    await until(clock, good);
    await client.delete(CONFIG_MAPS, ROTATION_MAP, NAMESPACE);
    await until(clock, async () => (await statusOf(client)) !== undefined);
  });

  test('never holds a key', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock();
    const one = replica(client, clock, 'a');
    await until(clock, async () => (await statusOf(client)) !== undefined);
    const maps = JSON.stringify((await client.list<ConfigMap>(CONFIG_MAPS)).items);
    assert.ok(!/PRIVATE|tls\.key/.test(maps));
    assert.equal((await statusOf(client))?.signer.root, one.root.current()?.signer.root);
  });
});

describe('the Secret of the root', () => {
  test('deleted while the CA runs is written again, and nothing else changes', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock();
    const one = replica(client, clock, 'a');
    await until(clock, () => one.root.current() !== undefined);
    const before = await secretOf(client);
    await client.delete(SECRETS, 'ambit-ca-root', NAMESPACE);
    await until(clock, async () => (await secretOf(client)) !== undefined);
    assert.deepEqual((await secretOf(client)).data, before.data);
  });

  const broken: [string, (good: Record<string, string>, other: string) => object, RegExp][] = [
    ['no certificate in it', (data) => ({ ...data, 'tls.crt': 'x' }), /holds no certificate/],
    [
      'a key that is not its own',
      (data, other) => ({ ...data, 'tls.key': other }),
      /key is not the one of its first certificate/,
    ],
    ['a key that is none', (data) => ({ ...data, 'tls.key': 'x' }), /key cannot be read/],
    ['notes that are none', (data) => ({ ...data, rotation: '{' }), /"rotation" is not JSON/],
    [
      'a rotation without its next signer',
      (data) => ({ ...data, rotation: '{"phase":"distributing"}' }),
      /next\.crt, next\.key or next-ca\.crt is gone/,
    ],
  ];
  for (const [name, spoil, message] of broken) {
    test(`turned to one with ${name} is told, the last good one signs on, and mending it is enough`, async () => {
      const client = new MemoryKube();
      const clock = new ManualClock();
      const one = replica(client, clock, 'a');
      await until(clock, async () => (await statusOf(client)) !== undefined);
      const signs = one.root.current()?.signer.root;
      const good = await secretOf(client);
      const texts = Object.fromEntries(
        Object.entries(good.data ?? {}).map(([key, value]) => [
          key,
          Buffer.from(value, 'base64').toString(),
        ]),
      );
      const other = await makeRoot({ trustDomain: 'x', now: clock.now(), ttlMs: DAY_MS });
      const data = Object.fromEntries(
        Object.entries(spoil(texts, other.key)).map(([key, text]) => [
          key,
          Buffer.from(String(text)).toString('base64'),
        ]),
      ) as Record<string, string>;
      const { resourceVersion: _, ...metadata } = good.metadata;
      await client.update<Secret>(SECRETS, { ...good, metadata, data });
      await until(clock, async () => (await statusOf(client))?.problem !== undefined);
      const problem = (await statusOf(client))?.problem;
      assert.equal(problem?.reason, 'RootUnusable');
      assert.match(problem?.message ?? '', message);
      assert.match(problem?.message ?? '', /Secret ambit-system\/ambit-ca-root: /);
      assert.equal(one.root.current()?.signer.root, signs);
      await client.update<Secret>(SECRETS, { ...good, metadata });
      await until(clock, async () => (await statusOf(client))?.problem === undefined);
    });
  }
});
