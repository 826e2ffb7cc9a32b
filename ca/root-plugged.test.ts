// Signers that operators plug in, while the CA runs: taken, renewed, broken, mended, taken away. Every replica is real but for
// Kubernetes, which is in memory.

import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { MemoryKube } from '../runtime/kubernetes/memory.ts';
import { SECRETS } from '../runtime/kubernetes/resources.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { intermediateOf, plug, until } from './test-replicas.ts';
import { DAY_MS, NAMESPACE, published, replica, secretOf, statusOf } from './test-root.ts';

describe('a plugged-in signer', () => {
  const at = Date.UTC(2030, 0, 1);
  const kinds: [string, 'cacerts' | 'tls', 'ec' | 'rsa'][] = [
    ['a cacerts Secret', 'cacerts', 'ec'],
    ['a cacerts Secret with an RSA key', 'cacerts', 'rsa'],
    ['a Secret of cert-manager', 'tls', 'ec'],
  ];
  for (const [name, format, key] of kinds) {
    test(`in ${name} signs from the start, with its intermediate in the chain`, async () => {
      const client = new MemoryKube();
      const clock = new ManualClock(at);
      const signer = await intermediateOf(undefined, { now: at, key });
      await plug(client, format, signer);
      const one = replica(client, clock, 'a');
      await until(clock, async () => (await statusOf(client)) !== undefined);
      const { kept, signer: signs } = one.root.current()!;
      assert.equal(kept.active.source, 'plugged');
      assert.equal(signs.intermediatesPem.length, 1);
      assert.equal(await published(client), signer.roots);
      assert.equal((await statusOf(client))?.signer.source, 'plugged');
    });
  }

  test('renewed under the same root signs without a restart, within a minute', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock(at);
    const first = await intermediateOf(undefined, { now: at });
    await plug(client, 'tls', first);
    const both = [replica(client, clock, 'a'), replica(client, clock, 'b')];
    await until(clock, () => both.every(({ root }) => root.current() !== undefined));
    const second = await intermediateOf(first, { now: at });
    await plug(client, 'tls', second);
    const started = clock.now();
    const serial = new X509Certificate(second.chain).serialNumber;
    await until(clock, () =>
      both.every(({ root }) => {
        const [own = ''] = root.current()?.signer.intermediatesPem ?? [];
        return new X509Certificate(own).serialNumber === serial;
      }),
    );
    assert.ok(clock.now() - started < 60_000);
    assert.equal((await statusOf(client))?.phase, 'steady');
  });

  test('that cannot be used makes no root of our own in its place, until it is mended', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock(at);
    const signer = await intermediateOf(undefined, { now: at });
    await plug(client, 'cacerts', { ...signer, key: 'x' });
    const one = replica(client, clock, 'a');
    await clock.advance(60_000);
    assert.equal(one.root.current(), undefined);
    assert.equal(await secretOf(client), undefined);
    await plug(client, 'cacerts', signer);
    await until(clock, () => one.root.current() !== undefined);
  });

  const spoilt: [
    string,
    (good: Awaited<ReturnType<typeof intermediateOf>>) => Promise<object>,
    RegExp,
  ][] = [
    ['without its root', async (good) => ({ ...good, roots: '' }), /it has no root-cert\.pem/],
    [
      'under another root than it says',
      async (good) => ({ ...good, roots: (await intermediateOf(undefined, { now: at })).roots }),
      /leads to none of its roots/,
    ],
    [
      'that has ended',
      async () => intermediateOf(undefined, { now: at - 20 * DAY_MS, ttlMs: 10 * DAY_MS }),
      /its chain ended/,
    ],
    [
      'whose certificate is not a CA’s',
      async () => intermediateOf(undefined, { now: at, isCa: false }),
      /not one of a CA/,
    ],
    [
      'with a weak key',
      async () => intermediateOf(undefined, { now: at, key: 'weak' }),
      /RSA key has 1024 bits/,
    ],
    [
      'with an encrypted key',
      async (good) => ({
        ...good,
        key: String(
          createPrivateKey(good.key).export({
            type: 'pkcs8',
            format: 'pem',
            cipher: 'aes-256-cbc',
            passphrase: 'secret',
          }),
        ),
      }),
      /key cannot be read/,
    ],
    [
      'with an Ed25519 key',
      async (good) => ({
        ...good,
        key: String(
          generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
        ),
      }),
      /key is not the one/,
    ],
  ];
  for (const [name, spoil, message] of spoilt) {
    test(`${name} is refused with the reason, and the last good one signs on`, async () => {
      const client = new MemoryKube();
      const clock = new ManualClock(at);
      const good = await intermediateOf(undefined, { now: at });
      await plug(client, 'cacerts', good);
      const one = replica(client, clock, 'a');
      await until(clock, async () => (await statusOf(client)) !== undefined);
      const signs = one.root.current()?.signer.root;
      await plug(client, 'cacerts', (await spoil(good)) as typeof good);
      await until(clock, async () => (await statusOf(client))?.problem !== undefined);
      const problem = (await statusOf(client))?.problem;
      assert.equal(problem?.reason, 'PluggedSignerUnusable');
      assert.match(problem?.message ?? '', message);
      assert.equal(one.root.current()?.signer.root, signs);
    });
  }

  test('that is taken away signs on, and the status says what to do', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock(at);
    await plug(client, 'cacerts', await intermediateOf(undefined, { now: at }));
    const one = replica(client, clock, 'a');
    await until(clock, async () => (await statusOf(client)) !== undefined);
    await client.delete(SECRETS, 'cacerts', NAMESPACE);
    await until(clock, async () => (await statusOf(client))?.problem !== undefined);
    assert.equal((await statusOf(client))?.problem?.reason, 'PluggedSignerGone');
    assert.equal(one.root.current()?.kept.active.source, 'plugged');
  });

  test('brings its revocation list, which a broken Secret does not take back', async () => {
    const client = new MemoryKube();
    const clock = new ManualClock(at);
    const good = await intermediateOf(undefined, { now: at });
    const crl = '-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n';
    await plug(client, 'cacerts', good, { 'ca-crl.pem': crl });
    replica(client, clock, 'a');
    await until(clock, async () => (await published(client, 'ca-crl.pem')) === crl);
    await plug(client, 'cacerts', { ...good, key: 'x' });
    await until(clock, async () => (await statusOf(client))?.problem !== undefined);
    assert.equal(await published(client, 'ca-crl.pem'), crl);
  });
});
