// The plugin against a runtime's end over a real Unix socket: registering, answering, coming back.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { systemClock } from '../../runtime/clock.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { NriConnection, type RpcHandler } from '../../runtime/nri-connection.ts';
import {
  decodeRegistration,
  decodeSandboxesTaken,
  decodeSubscription,
  encodeConfiguration,
  encodePodEvent,
  encodeSandboxes,
  type PluginRegistration,
  type PodSandbox,
} from '../../wire/nri.ts';
import { RPC_CODES } from '../../wire/ttrpc.ts';
import { memoryLog } from '../test-support/world.ts';
import type { Patience } from './arrivals.ts';
import { NriPlugin, type PluginParts } from './plugin.ts';

const POD: PodSandbox = {
  id: 's1',
  name: 'web',
  uid: 'u1',
  namespace: 'shop',
  labels: { app: 'web' },
  annotations: {},
  network: { kind: 'own', path: '/var/run/netns/x' },
  pid: 0,
  ips: [],
};

/** A runtime of one plugin at a time. */
class Runtime {
  readonly path: string;
  readonly registrations: PluginRegistration[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #registered = Promise.withResolvers<NriConnection>();

  static async open(t: TestContext): Promise<Runtime> {
    const directory = await mkdtemp(join(tmpdir(), 'ambit-nri-'));
    const runtime = new Runtime(join(directory, 'nri.sock'));
    t.after(async () => {
      await runtime.close();
      await rm(directory, { recursive: true });
    });
    return runtime;
  }

  private constructor(path: string) {
    this.path = path;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  async listen(): Promise<void> {
    this.#server.listen(this.path);
    await once(this.#server, 'listening');
  }

  /** The connection of the next plugin that registers. */
  registered(): Promise<NriConnection> {
    return this.#registered.promise;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    const handler: RpcHandler = async (method, payload) => {
      assert.equal(method, 'RegisterPlugin');
      this.registrations.push(decodeRegistration(payload));
      this.#registered.resolve(connection);
      this.#registered = Promise.withResolvers();
      return new Uint8Array();
    };
    const connection = new NriConnection(
      { clock: systemClock, socket, handler },
      { side: 'runtime' },
    );
  }
}

async function configure(connection: NriConnection, requestTimeoutMs = 2000): Promise<number> {
  const configuration = { runtimeName: 'containerd', runtimeVersion: 'v2', requestTimeoutMs };
  return decodeSubscription(
    await connection.call('Configure', encodeConfiguration(configuration), 1000),
  );
}

async function synchronize(connection: NriConnection, ...parts: PodSandbox[][]): Promise<void> {
  for (const [index, pods] of parts.entries()) {
    const more = index < parts.length - 1;
    const answer = await connection.call('Synchronize', encodeSandboxes({ pods, more }), 1000);
    assert.equal(decodeSandboxesTaken(answer), more);
  }
}

function setUp(t: TestContext, runtime: Runtime, started?: PluginParts['arrivals']['started']) {
  const clock = new ManualClock(0);
  const events: string[] = [];
  const patiences: Patience[] = [];
  const { log, lines } = memoryLog();
  const plugin = new NriPlugin(
    {
      clock,
      log,
      arrivals: {
        async started(pod, patience) {
          events.push(`started ${pod.uid}`);
          patiences.push(patience);
          await started?.(pod, patience);
        },
        container: async (pod) => void events.push(`container ${pod.uid}`),
        ended: async (pod) => void events.push(`ended ${pod.uid}`),
        synchronized: (pods) => void events.push(`all ${pods.map(({ id }) => id).join(' ')}`),
      },
    },
    { socket: runtime.path },
  );
  t.after(() => plugin.close());
  return { clock, plugin, events, patiences, lines };
}

/** Lets time pass until what is awaited has come, and is not false. */
async function passing<T>(clock: ManualClock, wait: () => Promise<T>): Promise<T> {
  for (;;) {
    const turn = new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)));
    const came = await Promise.race([wait(), turn]);
    if (came !== undefined && came !== false) return came;
    await clock.advance(1000);
  }
}

describe('the NRI plugin', () => {
  test('registers, subscribes to what it needs, and takes the pods that are there in parts', async (t) => {
    const runtime = await Runtime.open(t);
    await runtime.listen();
    const registered = runtime.registered();
    const { plugin, events } = setUp(t, runtime);
    const connection = await registered;
    const [registration] = runtime.registrations;
    assert.deepEqual([registration?.name, registration?.index], ['ambit', '10']);
    // RunPodSandbox, StopPodSandbox, RemovePodSandbox, CreateContainer
    assert.equal(await configure(connection), 0b1111);
    assert.equal(plugin.connected, false);
    await synchronize(connection, [POD], [{ ...POD, id: 's2', uid: 'u2' }], []);
    await plugin.settled;
    assert.equal(plugin.connected, true);
    assert.deepEqual(events, ['all s1 s2']);
  });

  test("answers the runtime's events, and says no more than it must to those it does not know", async (t) => {
    const runtime = await Runtime.open(t);
    await runtime.listen();
    const registered = runtime.registered();
    const { events, patiences } = setUp(t, runtime);
    const connection = await registered;
    await configure(connection, 1000);
    await synchronize(connection, []);
    for (const method of ['RunPodSandbox', 'CreateContainer', 'StopPodSandbox', 'StateChange']) {
      await connection.call(method, encodePodEvent(POD), 1000);
    }
    assert.deepEqual(events, ['all ', 'started u1', 'container u1', 'ended u1']);
    assert.deepEqual(
      patiences.map(({ ms }) => ms),
      [850],
    );
    const unknown = connection.call('Levitate', new Uint8Array(), 1000);
    await assert.rejects(unknown, { code: RPC_CODES.unimplemented });
    await assert.rejects(connection.call('RunPodSandbox', Buffer.of(255), 1000), {
      kind: 'status',
    });
  });

  test('fails the start of a pod that cannot be captured, in words a person can use', async (t) => {
    const runtime = await Runtime.open(t);
    await runtime.listen();
    const registered = runtime.registered();
    const { lines } = setUp(t, runtime, () => Promise.reject(new Error('no nft here')));
    const connection = await registered;
    await configure(connection);
    await synchronize(connection, []);
    await assert.rejects(connection.call('RunPodSandbox', encodePodEvent(POD), 1000), {
      kind: 'status',
      message: 'no nft here',
    });
    assert.ok(
      lines.some(
        ({ message, pod }) => /kept from starting/.test(String(message)) && pod === 'shop/web',
      ),
    );
  });

  test('goes on without a runtime, says so once, and finds it when it comes', async (t) => {
    const runtime = await Runtime.open(t);
    const { clock, plugin, lines } = setUp(t, runtime);
    await plugin.settled;
    assert.equal(plugin.connected, false);
    const complaints = (): number =>
      lines.filter(
        ({ level, message }) => level === 'warn' && /does not tell/.test(String(message)),
      ).length;
    const looks = (): number =>
      lines.filter(({ message }) => /does not tell/.test(String(message))).length;
    await passing(clock, async () => looks() > 3);
    assert.equal(complaints(), 1);
    await runtime.listen();
    const registered = runtime.registered();
    await configure(await passing(clock, () => registered));
  });

  test('comes back when the runtime restarts', async (t) => {
    const runtime = await Runtime.open(t);
    await runtime.listen();
    const first = runtime.registered();
    const { clock, plugin, events, lines } = setUp(t, runtime);
    const connection = await first;
    await configure(connection);
    await synchronize(connection, [POD]);
    const second = runtime.registered();
    connection.close('restart');
    while (!lines.some(({ message }) => /does not tell/.test(String(message)))) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(plugin.connected, false);
    const again = await passing(clock, () => second);
    await configure(again);
    await synchronize(again, []);
    assert.deepEqual(events, ['all s1', 'all ']);
  });

  test('leaves a runtime that never finishes the registration, and one that speaks something else', async (t) => {
    const runtime = await Runtime.open(t);
    await runtime.listen();
    const registered = runtime.registered();
    const { clock, plugin } = setUp(t, runtime);
    const connection = await registered;
    await clock.advance(5000);
    assert.match(await connection.closed, /closed|ECONNRESET/);
    await plugin.settled;
  });
});
