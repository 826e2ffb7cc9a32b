import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigMap, Secret } from '../../../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS, SECRETS } from '../../../runtime/kubernetes/resources.ts';
import { ManualClock } from '../../../runtime/manual-clock.ts';
import { MemoryKube } from '../test-support/memory-kube.ts';
import { configSource, tokenSource } from './config-source.ts';

const POD = { namespace: 'demo', name: 'web', uid: 'u1' };

test('a token is kept until 80 % of its life and asked for again then', async () => {
  const clock = new ManualClock();
  const kube = new MemoryKube(() => clock.now());
  kube.tokenSeconds = 100;
  const tokens = tokenSource({ client: kube, clock }, POD, 'robot');
  const request = { audience: 'ambit-ca', expirationSeconds: 600 };
  const first = await tokens.token(request);
  assert.match(first, /demo\/robot for ambit-ca bound to web #1/);
  await clock.advance(79_000);
  assert.equal(await tokens.token(request), first);
  await clock.advance(1000);
  assert.match(await tokens.token(request), /#2$/);
});

test('each audience has a token of its own', async () => {
  const clock = new ManualClock();
  const kube = new MemoryKube(() => clock.now());
  const tokens = tokenSource({ client: kube, clock }, POD, 'robot');
  await tokens.token({ audience: undefined, expirationSeconds: 600 });
  await tokens.token({ audience: 'ambit-ca', expirationSeconds: 600 });
  await tokens.token({ audience: 'ambit-ca', expirationSeconds: 600 });
  assert.equal(kube.tokens, 2);
});

test('values are decoded, binary ones too, and what is not there is undefined', async () => {
  const kube = new MemoryKube(() => 0);
  const metadata = { name: 'x', namespace: 'demo' };
  const binaryData = { b: Buffer.from([0, 255]).toString('base64') };
  await kube.create<ConfigMap>(CONFIG_MAPS, {
    metadata,
    data: { a: 'A' },
    binaryData,
  } as ConfigMap);
  await kube.create<Secret>(SECRETS, { metadata, data: { s: 'c2VjcmV0' } });
  const source = configSource(kube, 'demo');
  const map = await source.configMap('x');
  assert.equal(map?.['a']?.toString(), 'A');
  assert.deepEqual(map?.['b'], Buffer.from([0, 255]));
  assert.equal((await source.secret('x'))?.['s']?.toString(), 'secret');
  assert.equal(await source.configMap('none'), undefined);
});
