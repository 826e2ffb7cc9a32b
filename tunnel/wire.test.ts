// The bytes of a tunnel as a foreign peer sees them: our ends against bare node:http2 over TLS. What is fixed here is what
// makes us a peer of other ambient proxies; a codec of our own must keep it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { type AddressInfo, createServer, Socket } from 'node:net';
import { before, describe, test } from 'node:test';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { parseIdentity } from '../mesh/identity.ts';
import { systemClock } from '../runtime/clock.ts';
import { TunnelAcceptor } from './accept.ts';
import { connectTunnel } from './connect.ts';
import type { Credentials } from './contexts.ts';
import { RoomySocket } from './socket.ts';
import { createTestCa } from './test-ca.ts';
import { dialWithRoom } from './test-peers.ts';
import type { Tunnel, TunnelRequest } from './tunnel.ts';

const ID = parseIdentity('spiffe://cluster.local/ns/shop/sa/any');
const MIB = 1024 * 1024;

let credentials: Credentials;
before(async () => {
  credentials = await (await createTestCa()).credentials(ID);
});

/** Our answering end, and a foreign client's session to it. */
async function asForeignClient(
  onRequest: (request: TunnelRequest) => void,
  use: (session: ClientHttp2Session) => Promise<void>,
): Promise<void> {
  const acceptor = new TunnelAcceptor({
    clock: systemClock,
    credentials,
    onRequest,
    onDenied: ({ error }) => assert.fail(error.message),
  });
  const server = createServer((socket) => acceptor.take(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const session = connectHttp2('https://foreign', {
    createConnection: () =>
      connectTls({
        port: (server.address() as AddressInfo).port,
        host: '127.0.0.1',
        secureContext: credentials.context,
        ALPNProtocols: ['h2'],
        checkServerIdentity: () => undefined,
      }),
  });
  try {
    await once(session, 'remoteSettings');
    await use(session);
  } finally {
    session.destroy();
    await acceptor.close();
    server.close();
  }
}

type Foreign = {
  readonly tunnel: Tunnel;
  readonly session: ServerHttp2Session;
  readonly socket: TLSSocket;
  nextStream(): Promise<{ stream: ServerHttp2Stream; headers: IncomingHttpHeaders }>;
};

/** Our asking end, on a socket with room for all that its windows allow, and a foreign server's session to it. */
async function asForeignServer(
  use: (foreign: Foreign) => Promise<void>,
  own?: Socket,
): Promise<void> {
  const sessions = Promise.withResolvers<{ session: ServerHttp2Session; socket: TLSSocket }>();
  const server = createTlsServer(
    { ...credentials.options, ALPNProtocols: ['h2'], requestCert: true },
    (socket) => {
      const session = performServerHandshake(socket, { settings: { maxConcurrentStreams: 2 } });
      session.on('error', () => {});
      sessions.resolve({ session, socket });
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const clock = systemClock;
  const socket = await dialWithRoom(port, own);
  const tunnel = await connectTunnel({ clock, credentials }, socket, {
    name: 'foreign',
    expected: [ID],
  });
  const foreign = await sessions.promise;
  try {
    await use({
      ...foreign,
      tunnel,
      nextStream: () =>
        new Promise((resolve) => {
          foreign.session.once('stream', (stream, headers) => {
            stream.on('error', () => {});
            resolve({ stream, headers });
          });
        }),
    });
  } finally {
    await tunnel.close();
    foreign.session.destroy();
    server.close();
  }
}

/** SETTINGS and the window update travel before anything else; one PING later they have been read. */
function roundTrip(session: ClientHttp2Session | ServerHttp2Session): Promise<void> {
  return new Promise((resolve) => session.ping(() => resolve()));
}

describe('our answering end', () => {
  test('announces the reference’s settings and windows', async () => {
    await asForeignClient(
      () => {},
      async (session) => {
        const { remoteSettings } = session;
        assert.equal(remoteSettings.initialWindowSize, 4 * MIB);
        assert.equal(remoteSettings.maxFrameSize, MIB);
        assert.equal(remoteSettings.maxHeaderListSize, 64 * 1024);
        assert.equal(remoteSettings.maxConcurrentStreams, 200);
        await roundTrip(session);
        assert.equal(session.state.remoteWindowSize, 16 * MIB);
      },
    );
  });

  test('answers 200 with headers only and keeps the stream open', async () => {
    await asForeignClient(
      (request) => {
        request.accept({ baggage: 'a=b' });
      },
      async (session) => {
        const stream = session.request(
          { ':method': 'CONNECT', ':authority': '[fd00::1]:80' },
          { endStream: false },
        );
        let ended = false;
        stream.on('end', () => {
          ended = true;
        });
        const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
        assert.equal(headers[':status'], 200);
        assert.equal(headers['baggage'], 'a=b');
        await roundTrip(session);
        assert.equal(ended, false);
      },
    );
  });

  test('answers a refusal with its status and the end of the stream', async () => {
    await asForeignClient(
      (request) => request.refuse(401),
      async (session) => {
        const stream = session.request(
          { ':method': 'CONNECT', ':authority': '10.0.0.1:80' },
          { endStream: false },
        );
        const closed = once(stream, 'close');
        const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
        assert.equal(headers[':status'], 401);
        assert.equal(headers['baggage'], undefined);
        stream.resume();
        await closed;
        assert.equal(stream.rstCode, 0);
      },
    );
  });

  test('tells of a method that is not CONNECT instead of dropping the tunnel', async () => {
    await asForeignClient(
      (request) => request.refuse(request.method === 'GET' ? 400 : 500),
      async (session) => {
        const stream = session.request({ ':path': '/' });
        const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
        assert.equal(headers[':status'], 400);
      },
    );
  });

  test('resets with CANCEL', async () => {
    await asForeignClient(
      (request) => request.accept({}).reset(),
      async (session) => {
        const stream = session.request({ ':method': 'CONNECT', ':authority': '10.0.0.1:80' });
        stream.on('error', () => {});
        stream.resume();
        await new Promise<void>((resolve) => stream.once('close', resolve));
        assert.equal(stream.rstCode, 8);
      },
    );
  });
});

describe('our asking end', () => {
  test('announces the reference’s settings and windows, and no push', async () => {
    await asForeignServer(async ({ session }) => {
      await roundTrip(session);
      const { remoteSettings } = session;
      assert.equal(remoteSettings.initialWindowSize, 4 * MIB);
      assert.equal(remoteSettings.maxFrameSize, MIB);
      assert.equal(remoteSettings.maxHeaderListSize, 16 * 1024);
      assert.equal(remoteSettings.enablePush, false);
      assert.equal(session.state.remoteWindowSize, 16 * MIB);
    });
  });

  for (const [holds, socket, window] of [
    ['the kernel chose', new Socket(), 65_535],
    ['little was granted', new RoomySocket({}, 9000), 65_535],
    ['some was granted', new RoomySocket({}, 9 * MIB), 8 * MIB],
  ] as const) {
    test(`lets a peer send no more than its socket holds unread: ${holds}`, async () => {
      await asForeignServer(async ({ session }) => {
        await roundTrip(session);
        assert.equal(session.state.remoteWindowSize, window);
      }, socket);
    });
  }

  test('sends no server name, TLS 1.3 and its certificate', async () => {
    await asForeignServer(async ({ socket }) => {
      assert.equal((socket as TLSSocket & { servername: unknown }).servername, false);
      assert.equal(socket.getProtocol(), 'TLSv1.3');
      assert.equal(socket.alpnProtocol, 'h2');
      assert.equal(socket.authorized, true);
    });
  });

  test('sends a classic CONNECT: authority as given, no scheme, no path', async () => {
    await asForeignServer(async ({ tunnel, nextStream }) => {
      const next = nextStream();
      const opening = tunnel.open({
        authority: '[fd00::1]:8080',
        fields: { baggage: 'a=b', forwarded: 'for="10.0.0.1:5"', traceparent: '00-x' },
      });
      const { stream, headers } = await next;
      assert.deepEqual(
        Object.keys(headers).filter((name) => name.startsWith(':')),
        [':method', ':authority'],
      );
      assert.equal(headers[':method'], 'CONNECT');
      assert.equal(headers[':authority'], '[fd00::1]:8080');
      assert.equal(headers['baggage'], 'a=b');
      stream.respond({ ':status': 200 });
      (await opening).bytes.end();
      stream.end();
    });
  });

  for (const [status, code] of [
    [201, 'TUNNEL_REFUSED'],
    [204, 'TUNNEL_REFUSED'],
    [302, 'TUNNEL_REFUSED'],
    [401, 'TUNNEL_REFUSED'],
    [503, 'TUNNEL_UNAVAILABLE'],
  ] as const) {
    test(`takes ${status} for a refusal`, async () => {
      await asForeignServer(async ({ tunnel, nextStream }) => {
        const next = nextStream();
        const opening = tunnel.open({ authority: 'a:1', fields: {} });
        (await next).stream.respond({ ':status': status }, { endStream: true });
        await assert.rejects(opening, { code, message: /status \d+$/ });
      });
    });
  }

  test('opens no more streams than the peer allows', async () => {
    await asForeignServer(async ({ tunnel, session }) => {
      session.on('stream', (stream) => stream.respond({ ':status': 200 }));
      await tunnel.open({ authority: 'a:1', fields: {} });
      await tunnel.open({ authority: 'a:2', fields: {} });
      assert.equal(tunnel.available, false);
    });
  });

  for (const [code, name, broken] of [
    [0, 'NO_ERROR', false],
    [8, 'CANCEL', true],
    [2, 'INTERNAL_ERROR', true],
  ] as const) {
    test(`takes a reset with ${name} for ${broken ? 'a break' : 'an end'}`, async () => {
      await asForeignServer(async ({ tunnel, nextStream }) => {
        const next = nextStream();
        const opening = tunnel.open({ authority: 'a:1', fields: {} });
        const { stream } = await next;
        stream.respond({ ':status': 200 });
        const opened = await opening;
        opened.bytes.resume();
        const closed = new Promise<void>((resolve) => opened.bytes.once('close', resolve));
        stream.close(code);
        await closed;
        assert.equal(opened.broken, broken);
      });
    });
  }

  test('tells a stream that the peer surely did not look at', async () => {
    await asForeignServer(async ({ tunnel, nextStream }) => {
      const next = nextStream();
      const opening = tunnel.open({ authority: 'a:1', fields: {} });
      (await next).stream.close(7);
      await assert.rejects(opening, { name: 'MeshError', code: 'TUNNEL_LOST' });
    });
  });
});
