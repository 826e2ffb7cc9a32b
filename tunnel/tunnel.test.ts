// The contract of a tunnel, end to end over loopback: what every codec under tunnel.ts must keep. Streams: stream.test.ts.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { before, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { MeshError } from '../mesh/failures.ts';
import { formatIdentity, parseIdentity } from '../mesh/identity.ts';
import { systemClock } from '../runtime/clock.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { connectTunnel } from './connect.ts';
import { createTestCa } from './test-ca.ts';
import {
  type Acquainted,
  acquaint,
  CLIENT,
  closed,
  dialLoopback,
  HEAD,
  readAll,
  rejection,
  SERVER,
  withPeers,
} from './test-peers.ts';
import { type TunnelStream, UnprocessedError } from './tunnel.ts';

let known: Acquainted;
before(async () => {
  known = await acquaint();
});

describe('a tunnel', () => {
  test('is refused to a peer without a certificate', async () => {
    await withPeers(known, async ({ port, denied }) => {
      const socket = connectTls({
        host: '127.0.0.1',
        port,
        ca: known.ca.rootPem,
        ALPNProtocols: ['h2'],
        checkServerIdentity: () => undefined,
      });
      socket.on('error', () => {});
      await closed(socket);
      assert.equal(denied[0]?.error.code, 'TLS_FAILURE');
    });
  });

  test('is refused to a peer of another trust domain, even under our root', async () => {
    await withPeers(known, async ({ connect, denied }) => {
      const stranger = await known.ca.credentials('spiffe://evil.example/ns/shop/sa/client');
      const error = await rejection(connect(stranger));
      assert.equal(error.code, 'TLS_FAILURE');
      assert.equal(denied[0]?.error.code, 'PEER_IDENTITY_MISMATCH');
    });
  });

  test('is refused to a peer under another root', async () => {
    await withPeers(known, async ({ port, denied }) => {
      const other = await createTestCa();
      const svid = await other.svid(CLIENT);
      const socket = connectTls({
        host: '127.0.0.1',
        port,
        ca: known.ca.rootPem,
        cert: svid.chainPem,
        key: svid.keyPem,
        ALPNProtocols: ['h2'],
        checkServerIdentity: () => undefined,
      });
      socket.on('error', () => {});
      await closed(socket);
      assert.equal(denied[0]?.error.code, 'TLS_FAILURE');
      assert.match(denied[0].error.message, /UNABLE_TO_VERIFY_LEAF_SIGNATURE/);
    });
  });

  for (const [what, options] of [
    ['an expired certificate', { notAfter: new Date(Date.now() - 60_000) }],
    ['a certificate that is not for clients', { usages: ['serverAuth'] as const }],
    ['a certificate whose name is no identity', { uris: ['spiffe://cluster.local/ns/shop'] }],
    ['a certificate whose name only contains one', { uris: [`x, URI:${formatIdentity(CLIENT)}`] }],
  ] as const) {
    test(`is refused to a peer with ${what}`, async () => {
      await withPeers(known, async ({ connect, denied }) => {
        await rejection(connect(await known.ca.credentials(CLIENT, options)));
        assert.equal(denied.length, 1);
      });
    });
  }

  test('is not opened to a peer of an unexpected identity', async () => {
    await withPeers(known, async ({ connect, requests }) => {
      const error = await rejection(connect(known.client, [CLIENT]));
      assert.equal(error.code, 'PEER_IDENTITY_MISMATCH');
      assert.equal(requests.length, 0);
    });
  });

  test('is opened when any of the names is any of the expected identities', async () => {
    const server = await known.ca.credentials(SERVER, {
      uris: ['https://x.example', formatIdentity(CLIENT), formatIdentity(SERVER)],
    });
    await withPeers(
      known,
      async ({ connect }) => {
        const other = parseIdentity('spiffe://cluster.local/ns/a/sa/b');
        assert.deepEqual((await connect(known.client, [other, SERVER])).peer, SERVER);
      },
      { server },
    );
  });

  test('speaks TLS 1.3 only, AES-GCM only, h2 only, and resumes no session', async () => {
    await withPeers(known, async ({ port }) => {
      const { chainPem: cert, keyPem: key } = known.client.svid;
      const base = {
        host: '127.0.0.1',
        port,
        ca: known.ca.rootPem,
        cert,
        key,
        checkServerIdentity: () => undefined,
      };
      const attempt = async (options: object): Promise<string> => {
        const socket = connectTls({ ...base, ALPNProtocols: ['h2'], ...options });
        socket.on('error', () => {});
        const outcome = await Promise.race([
          new Promise((resolve) => socket.once('secureConnect', resolve)).then(
            () => `${socket.getProtocol()} ${socket.getCipher().name} ${socket.isSessionReused()}`,
          ),
          closed(socket).then(() => 'closed'),
        ]);
        socket.destroy();
        return outcome;
      };
      assert.equal(await attempt({}), 'TLSv1.3 TLS_AES_256_GCM_SHA384 false');
      assert.equal(await attempt({ maxVersion: 'TLSv1.2' }), 'closed');
      assert.equal(await attempt({ ciphers: 'TLS_CHACHA20_POLY1305_SHA256' }), 'closed');
      assert.equal(await attempt({ ALPNProtocols: ['http/1.1'] }), 'closed');
      const first = connectTls({ ...base, ALPNProtocols: ['h2'] });
      first.on('error', () => {});
      const [session] = (await once(first, 'session')) as [Buffer];
      first.destroy();
      assert.equal(await attempt({ session }), 'TLSv1.3 TLS_AES_256_GCM_SHA384 false');
    });
  });

  test('is lost when PINGs stay unanswered for 20 s, on both sides', async () => {
    const clock = new ManualClock();
    await withPeers(
      known,
      async ({ port, acceptor }) => {
        // a relay that falls silent without closing anything
        const sockets: Socket[] = [];
        const relay = createServer((near) => {
          const far = connectTcp(port, '127.0.0.1');
          near.on('error', () => {});
          far.on('error', () => {});
          near.pipe(far).pipe(near);
          sockets.push(near, far);
        });
        relay.listen(0, '127.0.0.1');
        await once(relay, 'listening');
        const tunnel = await connectTunnel(
          { clock, credentials: known.client },
          await dialLoopback((relay.address() as AddressInfo).port),
          { name: 'relay', expected: [SERVER] },
        );
        await clock.advance(10_000);
        const stream = await tunnel.open(HEAD);
        stream.bytes.on('error', () => {});
        assert.equal(acceptor.tunnels, 1);
        for (const socket of sockets) socket.unpipe().pause();
        for (let i = 0; i < 4; i++) await clock.advance(10_000);
        const error = await tunnel.ended;
        assert.equal(error?.code, 'TUNNEL_LOST');
        assert.equal(acceptor.tunnels, 0);
        for (const socket of sockets) socket.destroy();
        relay.close();
      },
      { clock },
    );
  });

  test('whose peer answers PINGs lives on', async () => {
    const clock = new ManualClock();
    await withPeers(
      known,
      async ({ connect, acceptor }) => {
        const tunnel = await connect();
        for (let i = 0; i < 6; i++) {
          await clock.advance(10_000);
          // the answer to the PING is behind the answer to this
          const stream = await tunnel.open(HEAD);
          stream.bytes.end();
          await readAll(stream.bytes);
        }
        assert.equal(tunnel.available, true);
        assert.equal(acceptor.tunnels, 1);
      },
      { clock },
    );
  });

  test('that the answering side drains takes no new stream and finishes the old ones', async () => {
    await withPeers(known, async ({ connect, acceptor }) => {
      const tunnel = await connect();
      const stream = await tunnel.open(HEAD);
      stream.bytes.write('a');
      await once(stream.bytes, 'data');
      const drained = acceptor.drain();
      // frames keep their order: once this echo is back, the GOAWAY before it has been read
      while (tunnel.available) {
        stream.bytes.write('b');
        await once(stream.bytes, 'data');
      }
      const error = await rejection(tunnel.open(HEAD));
      assert.ok(error instanceof UnprocessedError);
      stream.bytes.end('c');
      assert.equal(String(await readAll(stream.bytes)).at(-1), 'c');
      await drained;
      assert.equal(await tunnel.ended, undefined);
    });
  });

  test('that the asking side drains finishes its streams, then ends on both sides', async () => {
    await withPeers(known, async ({ connect, acceptor }) => {
      const tunnel = await connect();
      const stream = await tunnel.open(HEAD);
      const drained = tunnel.drain();
      assert.equal(tunnel.available, false);
      stream.bytes.end('last');
      assert.equal(String(await readAll(stream.bytes)), 'last');
      await drained;
      await acceptor.drain();
      assert.equal(acceptor.tunnels, 0);
    });
  });

  test('offers a hundred streams at once and no more', async () => {
    await withPeers(known, async ({ connect }) => {
      const tunnel = await connect();
      const streams = await Promise.all(Array.from({ length: 100 }, () => tunnel.open(HEAD)));
      assert.equal(tunnel.available, false);
      assert.ok((await rejection(tunnel.open(HEAD))) instanceof UnprocessedError);
      const [first] = streams;
      first!.bytes.end();
      await readAll(first!.bytes);
      await closed(first!.bytes);
      assert.equal(tunnel.available, true);
    });
  });

  test('that is closed resets its streams on both sides', async () => {
    const far = Promise.withResolvers<TunnelStream>();
    await withPeers(
      known,
      async ({ connect }) => {
        const tunnel = await connect();
        const stream = await tunnel.open(HEAD);
        const other = await far.promise;
        other.bytes.resume();
        stream.bytes.resume();
        await tunnel.close();
        await Promise.all([closed(stream.bytes), closed(other.bytes)]);
        assert.equal(stream.broken, true);
        assert.equal(other.broken, true);
      },
      { onRequest: (request) => far.resolve(request.accept({})) },
    );
  });

  test('opened before a renewal lives on, one opened after it has the renewed certificate', async () => {
    await withPeers(known, async ({ connect, acceptor }) => {
      const before = await connect();
      const stream = await before.open(HEAD);
      const renewedName = parseIdentity('spiffe://cluster.local/ns/shop/sa/renewed');
      acceptor.replace(await known.ca.credentials(renewedName));
      const later = await connect(known.client, [renewedName]);
      assert.deepEqual(later.peer, renewedName);
      stream.bytes.end('old');
      assert.equal(String(await readAll(stream.bytes)), 'old');
    });
  });

  test('that answers nothing is given up when its opening is aborted', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const abort = new AbortController();
    const opening = connectTunnel(
      { clock: systemClock, credentials: known.client },
      await dialLoopback((server.address() as AddressInfo).port),
      { name: 'silent', expected: [SERVER] },
      abort.signal,
    );
    abort.abort(new MeshError('DRAIN_DEADLINE', 'stopping'));
    assert.equal((await rejection(opening)).code, 'DRAIN_DEADLINE');
    server.close();
  });
});
