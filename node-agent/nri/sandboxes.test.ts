import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { PodSandbox } from '../../wire/nri.ts';
import { Sandboxes } from './sandboxes.ts';

/** A directory with files that stand for namespaces; `self` is the node's own. */
async function setUp(t: TestContext) {
  const proc = await mkdtemp(join(tmpdir(), 'ambit-proc-'));
  t.after(() => rm(proc, { recursive: true }));
  for (const pid of ['self', '41', '42']) {
    await mkdir(join(proc, pid, 'ns'), { recursive: true });
    await writeFile(join(proc, pid, 'ns/net'), '');
  }
  const sandboxes = new Sandboxes({ proc });
  const pod = (parts: Partial<PodSandbox>): PodSandbox => ({
    id: 's1',
    name: 'web',
    uid: 'u1',
    namespace: 'shop',
    labels: {},
    annotations: {},
    network: { kind: 'unknown' },
    pid: 0,
    ips: [],
    ...parts,
  });
  const net = (pid: string): string => join(proc, pid, 'ns/net');
  return { sandboxes, pod, net };
}

describe('Sandboxes', () => {
  test("lead to the runtime's path, else to the first process's namespace, else nowhere", async (t) => {
    const { sandboxes, pod, net } = await setUp(t);
    sandboxes.add(pod({ network: { kind: 'own', path: net('41') }, pid: 42 }));
    assert.equal(await sandboxes.find('u1'), net('41'));
    sandboxes.add(pod({ network: { kind: 'own', path: '/nowhere' }, pid: 42 }));
    assert.equal(await sandboxes.find('u1'), net('42'));
    sandboxes.add(pod({ network: { kind: 'own', path: '/nowhere' }, pid: 0 }));
    assert.equal(await sandboxes.find('u1'), undefined);
    assert.equal(await sandboxes.find('u2'), undefined);
  });

  test("never lead to the node's own namespace", async (t) => {
    const { sandboxes, pod, net } = await setUp(t);
    sandboxes.add(pod({ network: { kind: 'own', path: net('self') } }));
    assert.equal(await sandboxes.find('u1'), undefined);
    sandboxes.add(pod({ network: { kind: 'host' }, pid: 42 }));
    assert.equal(await sandboxes.find('u1'), undefined);
  });

  test('of one pod: the newest that is there; the end of an older one changes nothing', async (t) => {
    const { sandboxes, pod, net } = await setUp(t);
    sandboxes.replace([pod({ id: 's2', pid: 42 }), pod({ id: 's1' })]);
    assert.equal(await sandboxes.find('u1'), net('42'));
    assert.deepEqual(await sandboxes.list(), ['u1']);
    sandboxes.delete({ uid: 'u1', id: 's1' });
    assert.equal(sandboxes.get('u1')?.id, 's2');
    sandboxes.delete({ uid: 'u1', id: 's2' });
    assert.deepEqual(await sandboxes.list(), []);
  });
});
