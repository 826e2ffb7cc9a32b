// The first bytes of both ends as they are on the wire: what a foreign peer or a network's inspector sees of us.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { before, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { systemClock } from '../runtime/clock.ts';
import { readClientHello } from '../wire/client-hello.ts';
import { connectTunnel } from './connect.ts';
import { ACK, connectRaw, FRAME } from './test-frames.ts';
import {
  type Acquainted,
  acquaint,
  dialLoopback,
  rejection,
  SERVER,
  withPeers,
} from './test-peers.ts';

const MIB = 1024 * 1024;
const AES_256_GCM = 0x1302;
const AES_128_GCM = 0x1301;
const SCSV = 0x00ff;
const SERVER_NAME = 0;
const SESSION_TICKET = 35;
const PRE_SHARED_KEY = 41;
const EARLY_DATA = 42;

let known: Acquainted;
before(async () => {
  known = await acquaint();
});

/** What our asking end sends first. */
async function firstBytes(): Promise<Buffer> {
  const first = Promise.withResolvers<Buffer>();
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (bytes: Buffer) => {
      first.resolve(bytes);
      socket.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const parts = { clock: systemClock, credentials: known.client };
  const to = { name: 'nobody', expected: [SERVER] };
  await rejection(connectTunnel(parts, await dialLoopback(port), to));
  server.close();
  return first.promise;
}

/** Cipher suites and extensions of a ClientHello in one record (RFC 8446 section 4.1.2). */
function offered(bytes: Buffer): { suites: number[]; extensions: number[] } {
  // record header, handshake header, version, random
  let at = 5 + 4 + 2 + 32;
  at += 1 + bytes.readUInt8(at);
  const suites: number[] = [];
  const end = at + 2 + bytes.readUInt16BE(at);
  for (at += 2; at < end; at += 2) suites.push(bytes.readUInt16BE(at));
  at += 1 + bytes.readUInt8(at);
  const extensions: number[] = [];
  for (at += 2; at < bytes.length; at += 4 + bytes.readUInt16BE(at + 2)) {
    extensions.push(bytes.readUInt16BE(at));
  }
  return { suites, extensions };
}

describe('our asking end', () => {
  test('offers TLS 1.3, two suites in this order, h2, no name and nothing to resume', async () => {
    const bytes = await firstBytes();
    const read = readClientHello(bytes);
    assert.equal(read.state, 'done');
    assert.deepEqual(read.hello, { serverName: undefined, alpn: ['h2'], versions: [0x0304] });
    const { suites, extensions } = offered(bytes);
    assert.deepEqual(
      suites.filter((suite) => suite !== SCSV),
      [AES_256_GCM, AES_128_GCM],
    );
    for (const absent of [SERVER_NAME, SESSION_TICKET, PRE_SHARED_KEY, EARLY_DATA]) {
      assert.equal(extensions.includes(absent), false, `extension ${absent}`);
    }
  });
});

describe('our answering end', () => {
  for (const [ciphers, picked] of [
    ['TLS_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'],
    ['TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384', 'TLS_AES_256_GCM_SHA384'],
    ['TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'],
  ] as const) {
    test(`picks ${picked} of ${ciphers}`, async () => {
      await withPeers(known, async ({ port }) => {
        const { chainPem: cert, keyPem: key, roots } = known.client.svid;
        const socket = connectTls({
          host: '127.0.0.1',
          port,
          cert,
          key,
          ca: [...roots],
          ciphers,
          ALPNProtocols: ['h2'],
          checkServerIdentity: () => undefined,
        });
        await once(socket, 'secureConnect');
        assert.equal(socket.getCipher().name, picked);
        socket.destroy();
      });
    });
  }

  test('says hello with the reference’s settings, and nothing else', async () => {
    await withPeers(known, async ({ port }) => {
      const peer = await connectRaw(port, known.client);
      await peer.next(({ type }) => type === FRAME.windowUpdate);
      const [first, ...rest] = peer.frames;
      assert.equal(first?.type, FRAME.settings);
      const values: [number, number][] = [];
      for (let at = 0; at < first.payload.length; at += 6) {
        values.push([first.payload.readUInt16BE(at), first.payload.readUInt32BE(at + 2)]);
      }
      assert.deepEqual(
        values.sort(([a], [b]) => a - b),
        [
          [3, 200],
          [4, 4 * MIB],
          [5, MIB],
          [6, 64 * 1024],
        ],
      );
      // the answer to our own SETTINGS and the window may come in either order
      assert.deepEqual(
        rest
          .map(({ type, flags, stream, payload }) =>
            type === FRAME.windowUpdate
              ? `window ${stream} ${payload.readUInt32BE()}`
              : `${type} ${flags}`,
          )
          .sort(),
        [`${FRAME.settings} ${ACK}`, `window 0 ${16 * MIB - 65_535}`],
      );
      peer.socket.destroy();
    });
  });
});
