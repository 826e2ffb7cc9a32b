// Finding a pod's namespace, in a directory and in a /proc made by hand.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { directorySource, findNetns, procSource } from './find-netns.ts';

const UID = '8a6d7ed0-6a1e-4c4f-9a53-0f4f3f0c9b11';
const OTHER = '00000000-6a1e-4c4f-9a53-0f4f3f0c9b11';

let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'ambit-find-'));
});
after(() => rm(root, { recursive: true }));

/** A process with its control groups, in namespace `net`. */
async function addProcess(pid: number, cgroup: string, net: string): Promise<void> {
  const folder = join(root, 'proc', String(pid));
  await mkdir(join(folder, 'ns'), { recursive: true });
  await writeFile(join(folder, 'cgroup'), cgroup);
  const file = join(root, net);
  await writeFile(file, '');
  await symlink(file, join(folder, 'ns/net'));
}

describe('procSource()', () => {
  before(async () => {
    const dashes = `0::/kubepods/burstable/pod${UID}/abc\n`;
    const systemd = `0::/kubepods.slice/kubepods-pod${OTHER.replaceAll('-', '_')}.slice/cri-x.scope\n`;
    await addProcess(2, `0::/system.slice\n`, 'host');
    await addProcess(20, dashes, 'host');
    await addProcess(150, dashes, 'pod');
    await addProcess(90, dashes, 'pod');
    await addProcess(91, systemd, 'other');
    await symlink(join(root, 'proc', '2'), join(root, 'proc', 'self'));
  });

  test('finds the oldest process of the pod that is not in the namespace of the node', async () => {
    assert.equal(await procSource(join(root, 'proc')).find(UID), join(root, 'proc/90/ns/net'));
  });

  test('reads control groups as systemd writes them', async () => {
    assert.equal(await procSource(join(root, 'proc')).find(OTHER), join(root, 'proc/91/ns/net'));
  });

  test('finds nothing for a pod that is not here, or for what is no UID', async () => {
    const source = procSource(join(root, 'proc'));
    assert.equal(await source.find(UID.replace('8', '9')), undefined);
    assert.equal(await source.find('../../etc'), undefined);
  });

  test('lists every pod once', async () => {
    assert.deepEqual((await procSource(join(root, 'proc')).list()).toSorted(), [OTHER, UID]);
  });
});

describe('directorySource()', () => {
  test('finds a pod by its folder, and nothing outside of it', async () => {
    const directory = join(root, 'pods');
    await mkdir(join(directory, UID), { recursive: true });
    await writeFile(join(directory, UID, 'netns'), '');
    const source = directorySource(directory);
    assert.equal(await source.find(UID), join(directory, UID, 'netns'));
    assert.equal(await source.find(OTHER), undefined);
    assert.equal(await source.find('../pods/x'), undefined);
    assert.deepEqual(await source.list(), [UID]);
  });

  test('has no pods when there is no directory', async () => {
    assert.deepEqual(await directorySource(join(root, 'nothing')).list(), []);
  });
});

test('the first source that knows a pod is believed', async () => {
  const source = (path: string | undefined) => ({ find: async () => path, list: async () => [] });
  assert.equal(await findNetns([source(undefined), source('/b'), source('/c')], UID), '/b');
  assert.equal(await findNetns([], UID), undefined);
});
