// Both ends of an NRI connection over a real socket, and one end against bytes nobody should send.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { PLUGIN_SERVICE } from '../wire/nri.ts';
import { encodePieces, PLUGIN_CONNECTION } from '../wire/nri-mux.ts';
import { encodeRequest, RPC_CODES } from '../wire/ttrpc.ts';
import { ManualClock } from './manual-clock.ts';
import { NriConnection, RpcError, type RpcHandler } from './nri-connection.ts';

const ECHO: RpcHandler = async (method, payload) => Buffer.concat([Buffer.from(method), payload]);

async function socketPair(t: TestContext): Promise<[Socket, Socket]> {
  const directory = await mkdtemp(join(tmpdir(), 'ambit-nri-'));
  const server = createServer();
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  server.listen(join(directory, 's'));
  await once(server, 'listening');
  const near = connect(join(directory, 's'));
  const [far] = await accepted;
  server.close();
  await rm(directory, { recursive: true });
  for (const socket of [near, far]) {
    socket.on('error', () => {});
    t.after(() => socket.destroy());
  }
  return [near, far];
}

async function pair(t: TestContext, plugin: RpcHandler = ECHO, runtime: RpcHandler = ECHO) {
  const [near, far] = await socketPair(t);
  const clock = new ManualClock(0);
  return {
    clock,
    near,
    plugin: new NriConnection({ clock, socket: near, handler: plugin }, { side: 'plugin' }),
    runtime: new NriConnection({ clock, socket: far, handler: runtime }, { side: 'runtime' }),
  };
}

describe('an NRI connection', () => {
  test('carries calls both ways at once, large ones too', async (t) => {
    const { plugin, runtime } = await pair(t);
    const large = Buffer.alloc(300_000, 7);
    const answers = await Promise.all([
      plugin.call('up', large, 1000),
      runtime.call('down', large, 1000),
      runtime.call('again', Buffer.of(1), 1000),
    ]);
    assert.deepEqual(
      answers.map((answer) => [answer.length, Buffer.from(answer).subarray(0, 2).toString()]),
      [
        [300_002, 'up'],
        [300_004, 'do'],
        [6, 'ag'],
      ],
    );
  });

  test('answers with the code of an RpcError and the message of anything else', async (t) => {
    const { runtime } = await pair(t, async (method) => {
      throw method === 'a'
        ? new RpcError('status', RPC_CODES.unimplemented, 'no a')
        : new Error('no b');
    });
    await assert.rejects(runtime.call('a', Buffer.of(), 1000), {
      kind: 'status',
      code: RPC_CODES.unimplemented,
      message: 'no a',
    });
    await assert.rejects(runtime.call('b', Buffer.of(), 1000), {
      kind: 'status',
      code: RPC_CODES.unknown,
      message: 'no b',
    });
  });

  test('gives up a call after its time, and takes no late answer for that of another', async (t) => {
    const answer = Promise.withResolvers<Uint8Array>();
    const { clock, runtime } = await pair(t, (method) =>
      method === 'slow' ? answer.promise : ECHO(method, Buffer.of(), AbortSignal.abort()),
    );
    const slow = assert.rejects(runtime.call('slow', Buffer.of(), 2000), { kind: 'timeout' });
    await clock.advance(2000);
    await slow;
    answer.resolve(Buffer.from('late'));
    assert.equal(Buffer.from(await runtime.call('quick', Buffer.of(), 2000)).toString(), 'quick');
  });

  test('fails all calls, and tells those it serves, when it ends', async (t) => {
    const served = Promise.withResolvers<void>();
    const { plugin, runtime } = await pair(t, async (_, __, signal) => {
      await once(signal, 'abort');
      served.resolve();
      return Buffer.of();
    });
    const call = assert.rejects(runtime.call('wait', Buffer.of(), 1000), { kind: 'connection' });
    await new Promise((resolve) => setImmediate(resolve));
    runtime.close('enough');
    await call;
    assert.equal(await runtime.closed, 'enough');
    await plugin.closed;
    await served.promise;
    await assert.rejects(runtime.call('more', Buffer.of(), 1000), { kind: 'connection' });
  });

  test('refuses a call of a service or in a way it does not know, and goes on', async (t) => {
    const [near, far] = await socketPair(t);
    const clock = new ManualClock(0);
    const plugin = new NriConnection({ clock, socket: near, handler: ECHO }, { side: 'plugin' });
    const say = (stream: number, service: string): void => {
      const request = { service, method: 'm', payload: Buffer.of(), timeoutMs: 0 };
      far.write(encodePieces(PLUGIN_CONNECTION, encodeRequest(stream, request)));
    };
    let read = '';
    far.on('data', (bytes: Buffer) => {
      read += bytes.toString('latin1');
    });
    say(1, 'other.Service');
    say(2, PLUGIN_SERVICE);
    say(1, PLUGIN_SERVICE);
    far.write(encodePieces(99, Buffer.from('for nobody')));
    say(3, PLUGIN_SERVICE);
    while (!read.endsWith('m')) await once(far, 'data');
    assert.match(read, /"other.Service" is not served here.*must be odd.*must be odd/s);
    plugin.close('done');
  });

  test('takes no more calls at once than a runtime makes', async (t) => {
    const { runtime, plugin } = await pair(t, async (_, __, signal) => {
      await once(signal, 'abort');
      return Buffer.of();
    });
    const calls = Array.from({ length: 65 }, () => runtime.call('wait', Buffer.of(), 1000));
    await assert.rejects(Promise.race(calls), { code: RPC_CODES.resourceExhausted });
    const ends = Promise.allSettled(calls);
    plugin.close('done');
    assert.equal((await ends).filter(({ status }) => status === 'rejected').length, 65);
  });

  test('ends with a reason when the other end sends anything else', async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 64 })), async (parts) => {
        const [near, far] = await socketPair(t);
        const clock = new ManualClock(0);
        const plugin = new NriConnection(
          { clock, socket: near, handler: ECHO },
          { side: 'plugin' },
        );
        far.resume();
        for (const part of parts) far.write(part);
        far.end();
        assert.equal(typeof (await plugin.closed), 'string');
      }),
      { numRuns: 40 },
    );
  });

  test('refuses to carry what the other end would not take, and goes on', async (t) => {
    const { plugin, runtime } = await pair(t, async (method) =>
      Buffer.alloc(method === 'large' ? 5_000_000 : 1),
    );
    const tooLarge = { kind: 'status', code: RPC_CODES.resourceExhausted };
    await assert.rejects(plugin.call('up', Buffer.alloc(5_000_000), 1000), tooLarge);
    await assert.rejects(runtime.call('large', Buffer.of(), 1000), tooLarge);
    assert.equal((await runtime.call('small', Buffer.of(), 1000)).length, 1);
    plugin.close('done');
    await runtime.closed;
  });

  test('ends when the other end does not read', async (t) => {
    const [near, far] = await socketPair(t);
    far.pause();
    const clock = new ManualClock(0);
    const plugin = new NriConnection({ clock, socket: near, handler: ECHO }, { side: 'plugin' });
    const calls = Array.from({ length: 12 }, () =>
      plugin.call('much', Buffer.alloc(1_000_000), 1000).catch((error: RpcError) => error.kind),
    );
    assert.match(await plugin.closed, /unread/);
    assert.deepEqual(new Set(await Promise.all(calls)), new Set(['connection']));
  });
});
