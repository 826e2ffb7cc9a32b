// Wrong labels, pods that cannot be captured, things that vanish: each is told with object, reason and next step, and
// nobody else notices.

import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Event, Pod } from '../../runtime/kubernetes/objects.ts';
import { EVENTS, NAMESPACES, PODS } from '../../runtime/kubernetes/resources.ts';
import type { MeshView } from '../../sandbox/demo/cli.ts';
import type { Problem } from '../../wire/status.ts';
import {
  labelNamespace,
  MODE,
  podWhere,
  REDIRECTION,
  REDIRECTION_MESSAGE,
  redirectionOfAll,
} from '../support/enrolled.ts';
import { type Sandbox, sandboxSuite } from '../support/sandbox.ts';
import { call, openEchoes, startPod } from '../support/traffic.ts';
import { waitFor } from '../support/wait-for.ts';

const LISTENS_ON_15008 = "require('node:net').createServer().listen(15008)";

sandboxSuite('bad input', (sandbox) => {
  test('a label value nobody knows changes nothing, and ambit status and an Event say what to do', async () => {
    await sandbox().client.create(NAMESPACES, {
      metadata: { name: 'misspelt', labels: { [MODE]: 'ambeint' } },
    });
    const events = await waitFor<Event>(sandbox().client, EVENTS, { namespace: 'default' }, (all) =>
      all.some(({ involvedObject }) => involvedObject.name === 'misspelt'),
    );
    const event = events.find(({ involvedObject }) => involvedObject.name === 'misspelt');
    assert.equal(event?.reason, 'UnknownMode');
    const problem = await problemOf(sandbox(), 'Namespace misspelt');
    assert.equal(problem.reason, 'UnknownMode');
    assert.match(problem.message, /"ambeint": expected ambient or none/);
    assert.match(problem.remedy, /kubectl label namespace misspelt .*=ambient --overwrite/);
    await labelNamespace(sandbox(), 'misspelt', null);
    await healthy(sandbox());
  });

  test('a namespace deleted while it is being enrolled goes, and others are enrolled as ever', async () => {
    await openEchoes(sandbox(), 'fleeting');
    await openEchoes(sandbox(), 'lasting');
    await labelNamespace(sandbox(), 'fleeting', 'ambient');
    await sandbox().client.delete(NAMESPACES, 'fleeting');
    await labelNamespace(sandbox(), 'lasting', 'ambient');
    await redirectionOfAll(sandbox(), 'lasting', 'enabled');
    await waitFor(sandbox().client, NAMESPACES, {}, (all) =>
      all.every(({ metadata }) => metadata.name !== 'fleeting'),
    );
    await healthy(sandbox());
    assert.deepEqual(await systemRestarts(sandbox()), [0, 0, 0, 0]);
  });

  test('a pod whose own program has port 15008 stays out with reason PortTaken; the others are in', async () => {
    const name = { namespace: 'lasting', name: 'busy' };
    await startPod(sandbox(), {
      ...name,
      image: 'host',
      command: [process.execPath, '-e', LISTENS_ON_15008],
      // it is there before it is wanted
      labels: { [MODE]: 'none' },
    });
    await listening(sandbox(), name);
    await label(sandbox(), name, null);
    const pod = await podWhere(sandbox(), name, says('failed'));
    const message = pod.metadata.annotations?.[REDIRECTION_MESSAGE] ?? '';
    assert.match(
      message,
      /^PortTaken: .*15008 (in|of) pod lasting\/busy\b.*ambit-mesh\.io\/mode=none/,
    );
    const problem = await problemOf(sandbox(), 'Pod lasting/busy');
    assert.match(problem.message, /15008/);
    assert.notEqual(problem.remedy, '');
    const others = await sandbox().client.list<Pod>(PODS, {
      namespace: 'lasting',
      labelSelector: 'app=echo',
    });
    for (const other of others.items) {
      assert.ok(says('enabled')(other));
      // and the pod that stays out can still be a client
      assert.ok((await call(sandbox(), name, `http://${other.status?.podIP}:8080/`)).ok);
    }
    await label(sandbox(), name, 'none');
    await podWhere(sandbox(), name, says(undefined));
    await healthy(sandbox());
  });

  test('a pod that the directory of namespaces has lost is found by what the container runtime tells', async (t) => {
    if (sandbox().mode === 'loopback') {
      t.skip('pods have no network namespace in loopback mode');
      return;
    }
    const name = { namespace: 'lasting', name: 'lost' };
    const { metadata, spec } = await startPod(sandbox(), {
      ...name,
      image: 'echo',
      labels: { [MODE]: 'none' },
    });
    const pods = join(sandbox().directory, 'nodes', spec.nodeName!, 'run/ambit/pods');
    renameSync(join(pods, metadata.uid!, 'netns'), join(pods, metadata.uid!, 'hidden'));
    await label(sandbox(), name, null);
    await podWhere(sandbox(), name, says('enabled'));
    await healthy(sandbox());
  });
});

type Name = { readonly namespace: string; readonly name: string };

function says(state: string | undefined): (pod: Pod) => boolean {
  return ({ metadata }) => metadata.annotations?.[REDIRECTION] === state;
}

async function label({ client }: Sandbox, pod: Name, mode: string | null): Promise<void> {
  const metadata = { labels: { [MODE]: mode } };
  await client.patch<Pod>(PODS, pod.name, pod.namespace, { metadata });
}

async function view(sandbox: Sandbox): Promise<MeshView & { readonly code: number }> {
  const { code, stdout, stderr } = await sandbox.ambit('status', '-o', 'json');
  assert.notEqual(stdout, '', stderr);
  return { ...(JSON.parse(stdout) as MeshView), code };
}

async function problemOf(sandbox: Sandbox, object: string): Promise<Problem> {
  const { code, healthy: isHealthy, problems } = await view(sandbox);
  const problem = problems.find((one) => one.object === object);
  assert.ok(problem !== undefined, `No problem of ${object} in ${JSON.stringify(problems)}`);
  assert.deepEqual([code, isHealthy], [1, false]);
  return problem;
}

const HEALTHY_TIMEOUT_MS = 30_000;

/** Agents take the newest configuration a moment after it is published. */
async function healthy(sandbox: Sandbox): Promise<void> {
  for (const end = performance.now() + HEALTHY_TIMEOUT_MS; ; ) {
    const { code, problems } = await view(sandbox);
    if (code === 0) return;
    assert.ok(performance.now() < end, `ambit status still names ${JSON.stringify(problems)}`);
  }
}

async function systemRestarts({ client }: Sandbox): Promise<number[]> {
  const { items } = await client.list<Pod>(PODS, { namespace: 'ambit-system' });
  return items.map(({ status }) =>
    (status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0),
  );
}

/** Ready means started for a pod without a probe: its program may not listen yet. */
async function listening(sandbox: Sandbox, pod: Name): Promise<void> {
  const wait =
    "const go = () => require('node:net').connect(15008, '127.0.0.1').on('connect', () => process.exit()).on('error', () => setImmediate(go)); go()";
  const { code, stderr } = await sandbox.exec(pod, [process.execPath, '-e', wait]);
  assert.equal(code, 0, stderr);
}
