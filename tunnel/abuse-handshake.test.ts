// Whoever never becomes a peer: bytes that are no TLS, handshakes that do not end, too many of them. Nobody learns why, and
// the door stays open for others.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { before, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { ManualClock } from '../runtime/manual-clock.ts';
import type { Denied } from './accept.ts';
import { HandshakeGate } from './handshake-gate.ts';
import {
  type Acquainted,
  acquaint,
  closed,
  dialLoopback,
  HEAD,
  type Peers,
  rejection,
  withPeers,
} from './test-peers.ts';

let known: Acquainted;
let hello: Buffer;
before(async () => {
  known = await acquaint();
  hello = await clientHello('a'.repeat(250));
});

/** The first flight of a client that names `servername`. */
async function clientHello(servername: string): Promise<Buffer> {
  const got = Promise.withResolvers<Buffer>();
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (chunk: Buffer) => got.resolve(chunk));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    servername,
    secureContext: known.client.context,
    ALPNProtocols: ['h2'],
  });
  socket.on('error', () => {});
  const bytes = await got.promise;
  socket.destroy();
  server.close();
  return bytes;
}

async function raw(port: number): Promise<Socket> {
  const socket = connectTcp({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Everything the door said, until it closed. */
async function answer(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await closed(socket);
  return Buffer.concat(chunks);
}

function firstDenied(): { promise: Promise<Denied>; onDenied: (denied: Denied) => void } {
  const { promise, resolve } = Promise.withResolvers<Denied>();
  return { promise, onDenied: resolve };
}

async function stillOpen({ connect }: Peers): Promise<void> {
  const stream = await (await connect()).open(HEAD);
  stream.bytes.end();
  stream.bytes.resume();
  await closed(stream.bytes);
  assert.equal(stream.broken, false);
}

describe('the door', () => {
  for (const [what, bytes] of [
    ['plain HTTP/1.1', Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
    ['plain HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
    ['zeros', Buffer.alloc(4096)],
    ['a record of 64 kB', Buffer.concat([Buffer.of(22, 3, 1, 0xff, 0xff), Buffer.alloc(65_535)])],
  ] as const) {
    test(`takes ${what} for no peer and says nothing but a TLS alert`, async () => {
      const first = firstDenied();
      await withPeers(
        known,
        async (peers) => {
          const socket = await raw(peers.port);
          socket.write(bytes);
          const said = await answer(socket);
          assert.ok(said.length === 0 || said[0] === 21, said.toString('hex'));
          assert.equal((await first.promise).error.code, 'TLS_FAILURE');
          assert.equal(peers.requests.length, 0);
          await stillOpen(peers);
        },
        first,
      );
    });
  }

  for (const [what, byte, message] of [
    // a handshake record with a ServerHello
    ['no name at all', 0xff, [22, 2]],
    // a fatal alert: OpenSSL takes no NUL in a name
    ['a name of NULs', 0, [21, 2]],
  ] as const) {
    test(`bears a server name that is ${what}`, async () => {
      await withPeers(known, async (peers) => {
        const changed = Buffer.from(hello);
        const at = changed.indexOf('a'.repeat(250));
        changed.fill(byte, at, at + 250);
        const socket = await raw(peers.port);
        socket.write(changed);
        const [said] = (await once(socket, 'data')) as [Buffer];
        assert.deepEqual([said[0], said[5]], message);
        socket.destroy();
        await stillOpen(peers);
      });
    });
  }

  for (const [what, say] of [
    ['says nothing', () => {}],
    ['sends half a hello', (socket: Socket) => void socket.write(hello.subarray(0, 100))],
    ['does not answer ours', (socket: Socket) => void socket.write(hello)],
  ] as const) {
    test(`gives up after 10 s on a client that ${what}`, async () => {
      const clock = new ManualClock();
      const first = firstDenied();
      await withPeers(
        known,
        async (peers) => {
          const socket = await raw(peers.port);
          socket.resume();
          say(socket);
          while (peers.sockets.size === 0) await new Promise<void>((next) => setImmediate(next));
          await clock.advance(9999);
          assert.equal(peers.denied.length, 0);
          await clock.advance(1);
          await closed(socket);
          const { error } = await first.promise;
          assert.equal(error.code, 'TLS_FAILURE');
          assert.match(error.message, /no handshake within 10 s/);
          await stillOpen(peers);
          assert.equal(peers.denied.length, 1);
        },
        { ...first, clock },
      );
    });
  }

  test('drops a peer that never speaks HTTP/2 once its PINGs stay unanswered', async () => {
    const clock = new ManualClock();
    await withPeers(
      known,
      async ({ port, acceptor }) => {
        const socket = connectTls({
          host: '127.0.0.1',
          port,
          secureContext: known.client.context,
          ALPNProtocols: ['h2'],
          checkServerIdentity: () => undefined,
        });
        socket.on('error', () => {});
        await once(socket, 'secureConnect');
        socket.resume();
        while (acceptor.tunnels === 0) await new Promise<void>((next) => setImmediate(next));
        for (let i = 0; i < 3; i++) await clock.advance(10_000);
        await closed(socket);
        assert.equal(acceptor.tunnels, 0);
      },
      { clock },
    );
  });

  test('lets no more handshakes in than its gate, and frees the place of each that ends', async () => {
    const gate = new HandshakeGate({ limit: 3 });
    const first = firstDenied();
    await withPeers(
      known,
      async (peers) => {
        const idle = await Promise.all([raw(peers.port), raw(peers.port), raw(peers.port)]);
        while (gate.inside < 3) await new Promise<void>((next) => setImmediate(next));
        await rejection(peers.connect());
        assert.equal((await first.promise).error.code, 'HANDSHAKE_LIMIT');
        for (const socket of idle) socket.destroy();
        while (gate.inside > 0) await new Promise<void>((next) => setImmediate(next));
        await stillOpen(peers);
        assert.equal(gate.inside, 0);
      },
      { ...first, gate },
    );
  });

  test('lets no more tunnels in than it may hold', async () => {
    await withPeers(
      known,
      async ({ connect, denied }) => {
        await connect();
        await rejection(connect());
        assert.equal(denied[0]?.error.code, 'POD_TUNNEL_LIMIT');
      },
      { limits: { tunnels: 1 } },
    );
  });

  test('serves 60 handshakes at once, and an open stream between them', async () => {
    await withPeers(known, async (peers) => {
      const stream = await (await peers.connect()).open(HEAD);
      let going = true;
      const flood = Promise.all(Array.from({ length: 60 }, () => peers.connect())).finally(() => {
        going = false;
      });
      let echoes = 0;
      while (going) {
        stream.bytes.write('x');
        await once(stream.bytes, 'data');
        echoes++;
      }
      assert.equal((await flood).length, 60);
      // five handshakes a turn: the stream had its turn again and again
      assert.ok(echoes >= 10, `${echoes} echoes`);
    });
  });

  test('answers a client that is cut in the middle with nothing, and forgets it', async () => {
    const gate = new HandshakeGate();
    const first = firstDenied();
    await withPeers(
      known,
      async (peers) => {
        const socket = await dialLoopback(peers.port);
        socket.write(hello.subarray(0, 50));
        while (gate.inside === 0) await new Promise<void>((next) => setImmediate(next));
        socket.resetAndDestroy();
        assert.equal((await first.promise).error.code, 'TLS_FAILURE');
        assert.equal(gate.inside, 0);
        assert.equal(peers.denied.length, 1);
      },
      { ...first, gate },
    );
  });
});
