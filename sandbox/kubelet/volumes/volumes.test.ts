import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Keys } from '../container/environment.ts';
import type { VolumeSpec } from '../pod/pod-spec.ts';
import { prepareVolumes, VolumeError, type VolumePaths } from './volumes.ts';

type Prepared = { paths: VolumePaths; directory: string };

async function prepare(t: TestContext, volume: VolumeSpec): Promise<Prepared> {
  const directory = await mkdtemp(join(tmpdir(), 'ambit-volumes-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const objects: Record<string, Keys> = { known: { a: Buffer.from('A'), b: Buffer.from('B') } };
  const read = (name: string) => Promise.resolve(objects[name]);
  const paths = await prepareVolumes(
    {
      pod: {
        metadata: { name: 'web', namespace: 'demo', uid: 'u' },
        spec: {
          containers: [{ name: 'main', resources: { limits: { cpu: '2' } } }],
          volumes: [volume],
        },
      },
      facts: { podIps: [], hostIps: [], nodeName: 'n', capacity: { cpu: 1, memoryBytes: 1 } },
      config: { configMap: read, secret: read },
      tokens: { token: ({ audience }) => Promise.resolve(`token for ${audience ?? 'the API'}`) },
    },
    { directory: join(directory, 'volumes'), nodeRunDirectory: join(directory, 'run') },
  );
  return { paths, directory };
}

async function text({ paths }: Prepared, file: string): Promise<string> {
  return readFile(join(paths.get('v') ?? '', file), 'utf8');
}

test('a projected volume gathers all of its sources', async (t) => {
  const prepared = await prepare(t, {
    name: 'v',
    projected: {
      sources: [
        { configMap: { name: 'known', items: [{ key: 'a', path: 'sub/a.txt' }] } },
        { secret: { name: 'known', items: [{ key: 'b', path: 'b' }] } },
        { serviceAccountToken: { audience: 'ambit-ca', path: 'token' } },
        {
          downwardAPI: {
            items: [
              { path: 'name', fieldRef: { fieldPath: 'metadata.name' } },
              { path: 'cpu', resourceFieldRef: { containerName: 'main', resource: 'limits.cpu' } },
            ],
          },
        },
      ],
    },
  });
  assert.equal(await text(prepared, 'sub/a.txt'), 'A');
  assert.equal(await text(prepared, 'b'), 'B');
  assert.equal(await text(prepared, 'token'), 'token for ambit-ca');
  assert.equal(await text(prepared, 'name'), 'web');
  assert.equal(await text(prepared, 'cpu'), '2');
});

test('an optional source that is missing leaves an empty directory', async (t) => {
  const prepared = await prepare(t, { name: 'v', secret: { secretName: 'none', optional: true } });
  assert.ok(prepared.paths.has('v'));
});

for (const [path, own] of [
  ['/run/ambit/x', 'run/ambit/x'],
  ['/var/run/nri', 'run/nri'],
  ['/var/run/netns', 'run/netns'],
] as const) {
  test(`host path ${path} is the node’s own`, async (t) => {
    const { paths, directory } = await prepare(t, { name: 'v', hostPath: { path } });
    assert.equal(paths.get('v'), join(directory, own));
  });
}

for (const [what, volume, message] of [
  ['a missing Secret', { secret: { secretName: 'none' } }, /volume "v" : secret "none" not found/],
  [
    'a missing key',
    { configMap: { name: 'known', items: [{ key: 'c', path: 'c' }] } },
    /configmap "known" has no key "c"/,
  ],
  [
    'a path that leaves the volume',
    { configMap: { name: 'known', items: [{ key: 'a', path: '../a' }] } },
    /"..\/a" must be relative/,
  ],
  ['a host path that is not there', { hostPath: { path: '/no/such' } }, /not on this machine/],
  ['an unknown type', { nfs: {} }, /volume type nfs is not supported/],
] as const) {
  test(`${what} is a VolumeError that says so`, async (t) => {
    await assert.rejects(prepare(t, { name: 'v', ...volume } as VolumeSpec), (error) => {
      assert.ok(error instanceof VolumeError);
      assert.match(error.message, message);
      return true;
    });
  });
}
