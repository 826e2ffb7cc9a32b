// The root: one for the cluster however many replicas start, kept, published, and refused with a reason when broken.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryKube } from '../runtime/kubernetes/memory.ts';
import type { ConfigMap, Secret } from '../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS, SECRETS } from '../runtime/kubernetes/resources.ts';
import { silentLog } from '../runtime/log.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { loadSigner, publishRoot } from './root.ts';
import { makeRoot } from './signer.ts';

const never = new AbortController().signal;

function replica(client: MemoryKube, clock: ManualClock, holder: string, signal = never) {
  return loadSigner(
    { client, clock, log: silentLog },
    { namespace: 'ambit-system', holder, trustDomain: 'cluster.local', rootTtlMs: 86_400_000 },
    signal,
  );
}

/** Moves time on until `promise` settles; key generation is real work and takes turns of the event loop. */
async function until<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let settled = false;
  const mark = (): void => {
    settled = true;
  };
  promise.then(mark, mark);
  while (!settled) await clock.advance(100);
  return promise;
}

describe('loadSigner()', () => {
  test('replicas that start together use one root', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock();
    const starts = ['a', 'b', 'c'].map((holder) => replica(client, clock, holder));
    const signers = await until(clock, Promise.all(starts));
    assert.equal(new Set(signers.map((signer) => signer.rootsPem)).size, 1);
    const secrets = await client.list<Secret>(SECRETS);
    assert.deepEqual(
      secrets.items.map(({ metadata, type }) => [metadata.namespace, metadata.name, type]),
      [['ambit-system', 'ambit-ca-root', 'kubernetes.io/tls']],
    );
    const again = await until(clock, replica(client, clock, 'd'));
    assert.equal(again.rootsPem, signers[0]!.rootsPem);
  });

  test('waits for Kubernetes to come back', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock();
    client.breakDown();
    const start = replica(client, clock, 'a');
    await clock.advance(60_000);
    client.restore();
    assert.ok((await until(clock, start)).rootsPem.startsWith('-----BEGIN CERTIFICATE'));
  });

  test('stops waiting when the process stops', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock();
    client.breakDown();
    const stop = new AbortController();
    const start = replica(client, clock, 'a', stop.signal);
    await clock.advance(1000);
    stop.abort(new Error('stopping'));
    await assert.rejects(start, /stopping/);
  });

  const broken: [string, (pem: { chain: string; key: string }, other: string) => object, RegExp][] =
    [
      [
        'no certificate in it',
        ({ key }) => ({ 'tls.crt': 'x', 'tls.key': key }),
        /holds no certificate/,
      ],
      [
        'a key that is not its own',
        ({ chain }, other) => ({ 'tls.crt': chain, 'tls.key': other }),
        /key is not the one of its first certificate/,
      ],
    ];
  for (const [name, data, message] of broken) {
    test(`a kept root with ${name} is an error that names the Secret and the next step`, async () => {
      const client = new MemoryKube();
      const make = () => makeRoot({ trustDomain: 'x', now: Date.now(), ttlMs: 1e6 });
      const values = Object.entries(data(await make(), (await make()).key)).map(([key, text]) => [
        key,
        Buffer.from(String(text)).toString('base64'),
      ]);
      await client.create<Secret>(SECRETS, {
        metadata: { name: 'ambit-ca-root', namespace: 'ambit-system' },
        data: Object.fromEntries(values) as Record<string, string>,
      });
      await assert.rejects(replica(client, new ManualClock(), 'a'), (error: Error) => {
        assert.match(error.message, /^Cannot use the root in Secret ambit-system\/ambit-ca-root: /);
        assert.match(error.message, message);
        assert.match(error.message, /Mend the Secret/);
        return true;
      });
    });
  }
});

describe('publishRoot()', () => {
  test('writes the ConfigMap, and again when somebody changes or deletes it', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock();
    const settings = { namespace: 'ambit-system', rootsPem: 'ROOT' };
    const published = publishRoot({ client, clock, log: silentLog }, settings);
    const content = async () =>
      (await client.get<ConfigMap>(CONFIG_MAPS, 'ambit-ca-root-cert', 'ambit-system'))?.data?.[
        'root-cert.pem'
      ];
    await clock.advance(2000);
    assert.equal(await content(), 'ROOT');
    await client.patch(CONFIG_MAPS, 'ambit-ca-root-cert', 'ambit-system', {
      data: { 'root-cert.pem': 'FORGED' },
    });
    await clock.advance(20_000);
    assert.equal(await content(), 'ROOT');
    await client.delete(CONFIG_MAPS, 'ambit-ca-root-cert', 'ambit-system');
    await clock.advance(20_000);
    assert.equal(await content(), 'ROOT');
    client.breakDown();
    await clock.advance(20_000);
    client.restore();
    await client.delete(CONFIG_MAPS, 'ambit-ca-root-cert', 'ambit-system');
    await clock.advance(120_000);
    assert.equal(await content(), 'ROOT');
    await published.close();
    assert.equal(clock.pending(), 0, 'no timer is left');
  });
});
