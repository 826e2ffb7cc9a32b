// The sandbox's side of NRI with the node agent's own plugin on the other: what containerd does, this must do.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { NriPlugin, type PluginParts } from '../../../node-agent/nri/plugin.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { silentLog } from '../../../runtime/log.ts';
import { ManualClock } from '../../../runtime/manual-clock.ts';
import { NriConnection } from '../../../runtime/nri-connection.ts';
import { encodeRegistration, encodeSubscription, type PodSandbox } from '../../../wire/nri.ts';
import { NriRuntime } from './runtime.ts';

const sandbox = (name: string): PodSandbox => ({
  id: `${name}-1`,
  name,
  uid: `uid-${name}`,
  namespace: 'shop',
  labels: {},
  annotations: {},
  network: { kind: 'unknown' },
  pid: 0,
  ips: [],
});

async function open(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'ambit-nri-'));
  const path = join(directory, 'nri.sock');
  const clock = new ManualClock(0);
  const runtime = await NriRuntime.listen({ clock, log: silentLog }, path);
  t.after(async () => {
    await runtime.close();
    await rm(directory, { recursive: true });
  });
  return { runtime, clock, path };
}

/** The agent's plugin with decisions of the test's own; resolves when it is registered. */
async function agent(t: TestContext, path: string, started?: PluginParts['arrivals']['started']) {
  const events: string[] = [];
  const plugin = new NriPlugin(
    {
      clock: systemClock,
      log: silentLog,
      arrivals: {
        async started(pod, patience) {
          events.push(`run ${pod.name}`);
          await started?.(pod, patience);
        },
        container: async ({ name }) => void events.push(`create ${name}`),
        ended: async ({ uid }) => void events.push(`end ${uid}`),
        synchronized: (pods) => void events.push(`all ${pods.map(({ name }) => name).join(' ')}`),
      },
    },
    { socket: path },
  );
  t.after(() => plugin.close());
  await plugin.settled;
  assert.equal(plugin.connected, true);
  return { plugin, events };
}

/** A plugin that registers and then answers nothing but its configuration and the sandboxes. */
async function silent(t: TestContext, path: string, index: string): Promise<NriConnection> {
  const socket = connect(path);
  await once(socket, 'connect');
  const synchronized = Promise.withResolvers<void>();
  const connection = new NriConnection(
    {
      clock: systemClock,
      socket,
      async handler(method) {
        if (method === 'Configure') return encodeSubscription(0);
        if (method === 'Synchronize') {
          synchronized.resolve();
          return new Uint8Array();
        }
        return new Promise(() => {});
      },
    },
    { side: 'plugin' },
  );
  t.after(() => connection.close('done'));
  const registration = { name: 'silent', index, version: '' };
  await connection.call('RegisterPlugin', encodeRegistration(registration), 1000);
  await synchronized.promise;
  return connection;
}

describe("the sandbox's NRI", () => {
  test('tells a plugin of the pods that are there, then of each that starts and ends', async (t) => {
    const { runtime, path } = await open(t);
    await runtime.runPodSandbox(sandbox('old'));
    const { events } = await agent(t, path);
    await runtime.runPodSandbox(sandbox('web'));
    await runtime.createContainer(sandbox('web'));
    await runtime.endPodSandbox(sandbox('web'));
    // Stop and Remove
    assert.deepEqual(events, ['all old', 'run web', 'create web', 'end uid-web', 'end uid-web']);
  });

  test('tells of more pods than one message holds, in parts', async (t) => {
    const { runtime, path } = await open(t);
    const annotations = { note: 'x'.repeat(200_000) };
    for (let i = 0; i < 30; i++) await runtime.runPodSandbox({ ...sandbox(`${i}`), annotations });
    const { events } = await agent(t, path);
    assert.equal(events[0], `all ${Array.from({ length: 30 }, (_, i) => i).join(' ')}`);
  });

  test('lets a pod start only when its plugin has answered', async (t) => {
    const { runtime, path } = await open(t);
    const answer = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    await agent(t, path, () => {
      asked.resolve();
      return answer.promise;
    });
    let running = false;
    const run = runtime.runPodSandbox(sandbox('web')).then(() => {
      running = true;
    });
    await asked.promise;
    assert.equal(running, false);
    answer.resolve();
    await run;
  });

  test("fails a sandbox with the plugin's words, and is asked anew for the next", async (t) => {
    const { runtime, path } = await open(t);
    let refusals = 1;
    const { events } = await agent(t, path, async () => {
      if (refusals-- > 0) throw new Error('no rules');
    });
    await assert.rejects(runtime.runPodSandbox(sandbox('web')), { message: 'no rules' });
    await runtime.runPodSandbox({ ...sandbox('web'), id: 'web-2' });
    assert.deepEqual(events, ['all ', 'run web', 'end uid-web', 'end uid-web', 'run web']);
  });

  test('drops a plugin that does not answer in time, and lets the pod start', async (t) => {
    const { runtime, path, clock } = await open(t);
    const plugin = await silent(t, path, '10');
    // the runtime has its answer to Synchronize only once it takes its next turn
    await runtime.endPodSandbox(sandbox('nobody'));
    const run = runtime.runPodSandbox(sandbox('web'));
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(2000);
    await run;
    await plugin.closed;
  });

  test('calls plugins in the order of their index', async (t) => {
    const { runtime, path, clock } = await open(t);
    const { events } = await agent(t, path);
    await silent(t, path, '05');
    await runtime.endPodSandbox(sandbox('nobody'));
    const run = runtime.runPodSandbox(sandbox('web'));
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(events, ['all ']);
    await clock.advance(2000);
    await run;
    assert.deepEqual(events, ['all ', 'run web']);
  });

  test('a node whose socket path is too long has no NRI, and its pods start all the same', async () => {
    const path = join(tmpdir(), 'x'.repeat(120), 'nri.sock');
    const runtime = await NriRuntime.listen({ clock: new ManualClock(0), log: silentLog }, path);
    await runtime.runPodSandbox(sandbox('web'));
    await runtime.close();
  });
});
