// The script against a real Redis where one is installed, and the connection against servers that are none.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { RedisLimitStore } from './redis-limit-store.ts';

const installed = spawnSync('redis-server', ['--version']).status === 0;
if (!installed) {
  process.stderr.write(`SKIPPED ${import.meta.filename}: redis-server is not installed\n`);
}

async function connected(path: string): Promise<Socket> {
  const socket = connect(path);
  await once(socket, 'connect');
  return socket;
}
/** Answers as soon as the store is connected. */
async function ready(store: RedisLimitStore): Promise<void> {
  for (;;) {
    try {
      await store.take(`ready-${Math.random()}`, { requests: 1, perMs: 1 });
      return;
    } catch {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

describe('limits in a real Redis', { skip: !installed }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-redis-'));
  const path = join(folder, 'redis.sock');
  let server: ChildProcess;
  const start = async (): Promise<void> => {
    const settings = ['--port', '0', '--unixsocket', path, '--save', '', '--dir', folder];
    server = spawn('redis-server', settings, { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const line of server.stdout ?? []) if (/ready to accept/i.test(String(line))) break;
  };
  const stop = async (): Promise<void> => {
    server.kill('SIGKILL');
    await once(server, 'exit');
  };
  const stores: RedisLimitStore[] = [];
  const open = async (failed: (error: Error) => void = () => {}): Promise<RedisLimitStore> => {
    const store = new RedisLimitStore({ connect: () => connected(path), failed });
    stores.push(store);
    await ready(store);
    return store;
  };
  before(start);
  after(async () => {
    for (const store of stores) store.close();
    await stop();
    rmSync(folder, { recursive: true });
  });

  test('let in as many at once as the limit says, among all waypoints', async () => {
    const [one, other] = [await open(), await open()];
    const limit = { requests: 10, perMs: 3_600_000 };
    const asks = Array.from({ length: 30 }, (_, i) => (i % 2 === 0 ? one : other).take('k', limit));
    const answers = await Promise.all(asks);
    assert.equal(answers.filter(({ allowed }) => allowed).length, 10);
    const refused = answers.find(({ allowed }) => !allowed);
    assert.ok(refused && refused.retryAfterMs > 350_000 && refused.retryAfterMs <= 360_000);
    assert.ok((await one.take('other key', limit)).allowed);
  });

  test('let in again after the time that they say', async () => {
    const store = await open();
    const limit = { requests: 2, perMs: 200 };
    const from = performance.now();
    const answers = await Promise.all(Array.from({ length: 20 }, () => store.take('short', limit)));
    const refused = answers.filter(({ allowed }) => !allowed);
    assert.ok(refused.length > 0 && refused.every(({ retryAfterMs }) => retryAfterMs <= 100));
    while (!(await store.take('short', limit)).allowed);
    // a wait is rounded up to the millisecond
    assert.ok(performance.now() - from >= (refused[0]?.retryAfterMs ?? 0) - 1);
  });

  test('count to the limit exactly, however odd its interval', async () => {
    const store = await open();
    for (const requests of [1, 3, 7, 997]) {
      const limit = { requests, perMs: 3_600_000 };
      const asks = Array.from({ length: requests + 5 }, () => store.take(`n${requests}`, limit));
      const answers = await Promise.all(asks);
      assert.equal(answers.filter(({ allowed }) => allowed).length, requests);
    }
  });

  test('begin anew when Redis does, and reject at once while it is gone', async () => {
    const failures: Error[] = [];
    const store = await open((error) => failures.push(error));
    await stop();
    await assert.rejects(store.take('k2', { requests: 1, perMs: 1000 }));
    await start();
    await ready(store);
    assert.ok((await store.take('k3', { requests: 1, perMs: 3_600_000 })).allowed);
    for (const other of stores) await ready(other);
  });
});

describe('a Redis that does not answer', () => {
  test('has what is under way given up by a reset, and is connected to again', async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.resume();
    });
    const folder = mkdtempSync(join(tmpdir(), 'ambit-redis-'));
    const path = join(folder, 'silent.sock');
    server.listen(path);
    await once(server, 'listening');
    const store = new RedisLimitStore({ connect: () => connected(path), failed: () => {} });
    await once(server, 'connection');
    let asked: Promise<unknown> | undefined;
    while (asked === undefined) {
      const ask = store.take('k', { requests: 1, perMs: 1000 });
      const isSent = await Promise.race([
        ask.then(
          () => true,
          () => false,
        ),
        new Promise<boolean>((resolve) => sockets.at(-1)?.once('data', () => resolve(true))),
      ]);
      if (isSent) asked = ask;
    }
    const again = once(server, 'connection');
    store.reset();
    await assert.rejects(asked);
    await again;
    store.close();
    for (const socket of sockets) socket.destroy();
    server.close();
    rmSync(folder, { recursive: true });
  });

  test('has every request rejected at once while there is no way to it, and ways are tried again', async () => {
    const failures: string[] = [];
    let tried = 0;
    const { promise: triedAgain, resolve } = Promise.withResolvers<void>();
    const store = new RedisLimitStore({
      connect: () => {
        if (++tried === 3) resolve();
        return Promise.reject(new Error('no way to it'));
      },
      failed: (error) => failures.push(error.message),
    });
    await assert.rejects(store.take('k', { requests: 1, perMs: 1000 }));
    await triedAgain;
    store.close();
    assert.equal(failures[0], 'no way to it');
  });
});
