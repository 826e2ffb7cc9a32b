// dial(): what becomes of a connection attempt, and that nothing of it is left.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, Socket } from 'node:net';
import { describe, test } from 'node:test';
import koffi from 'koffi';
import { type IpPort, parseIp } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { connected, dial } from './socket.ts';

async function withServer(
  use: (address: IpPort, callers: string[]) => Promise<void>,
): Promise<void> {
  const callers: string[] = [];
  const server = createServer((socket) => {
    callers.push(socket.remoteAddress ?? '');
    socket.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    await use({ ip: parseIp('127.0.0.1'), port }, callers);
  } finally {
    server.close();
  }
}

describe('dial()', () => {
  test('connects, as the address that is asked for', async () => {
    await withServer(async (to, callers) => {
      const clock = new ManualClock();
      const socket = await dial({ clock }, { to, from: parseIp('127.9.8.7') });
      socket.resume();
      await once(socket, 'end');
      socket.destroy();
      assert.deepEqual(callers, ['127.9.8.7']);
      assert.equal(clock.pending(), 0);
    });
  });

  test('names a refusal UPSTREAM_CONNECT, with the address', async () => {
    let address: IpPort | undefined;
    await withServer(async (to) => {
      address = to;
    });
    const clock = new ManualClock();
    await assert.rejects(dial({ clock }, { to: address! }), {
      code: 'UPSTREAM_CONNECT',
      message: /Cannot connect to 127\.0\.0\.1:\d+: connect ECONNREFUSED/,
    });
    assert.equal(clock.pending(), 0);
  });

  test('gives up after 10 s of silence', async () => {
    const clock = new ManualClock();
    // never told to connect: as silent as a host that drops every packet
    const socket = new Socket();
    const attempt = connected({ clock }, socket, { ip: parseIp('192.0.2.1'), port: 80 });
    attempt.catch(() => {});
    await clock.advance(9999);
    assert.equal(socket.destroyed, false);
    await clock.advance(1);
    await assert.rejects(attempt, { code: 'UPSTREAM_CONNECT_TIMEOUT' });
    assert.equal(socket.destroyed, true);
  });

  test('ends with the reason of an abort, before and during the attempt', async () => {
    const clock = new ManualClock();
    const gone = new MeshError('UPSTREAM_RESET', 'gone');
    await withServer(async (to, callers) => {
      await assert.rejects(dial({ clock }, { to }, AbortSignal.abort(gone)), gone);
      assert.deepEqual(callers, []);
    });
    const abort = new AbortController();
    const socket = new Socket();
    const attempt = connected(
      { clock },
      socket,
      { ip: parseIp('192.0.2.1'), port: 80 },
      abort.signal,
    );
    abort.abort(gone);
    await assert.rejects(attempt, gone);
    assert.equal(socket.destroyed, true);
    assert.equal(clock.pending(), 0);
  });

  test('probes a silent peer after 180 s, every 180 s, nine times', async () => {
    await withServer(async (to) => {
      const socket = await dial({ clock: new ManualClock() }, { to });
      assert.equal(option(socket, SOL_SOCKET, SO_KEEPALIVE), 1);
      assert.equal(option(socket, IPPROTO_TCP, TCP_KEEPIDLE), 180);
      assert.equal(option(socket, IPPROTO_TCP, TCP_KEEPINTVL), 180);
      assert.equal(option(socket, IPPROTO_TCP, TCP_KEEPCNT), 9);
      assert.equal(option(socket, IPPROTO_TCP, TCP_NODELAY), 1);
      socket.destroy();
    });
  });
});

// Linux ABI numbers (asm-generic/socket.h, linux/tcp.h)
const SOL_SOCKET = 1;
const SO_KEEPALIVE = 9;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;

const getsockopt = koffi
  .load(null)
  .func(
    'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)',
  );

/** As the kernel has it. */
function option(socket: Socket, level: number, name: number): number {
  const { _handle: handle } = socket as Socket & { readonly _handle: { readonly fd: number } };
  const value = Buffer.alloc(4);
  assert.equal(getsockopt(handle.fd, level, name, value, [value.length]), 0);
  return value.readInt32LE();
}
