// Port-forward as its three clients ask for it: SPDY, SPDY inside a WebSocket, WebSocket channels.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import { TestSpdyClient } from './spdy/test-client.ts';
import { serve, spdy, upstream, webSocket } from './test-clients.ts';

async function openPair(client: TestSpdyClient, port: string, requestID: string) {
  const error = await client.open({ streamType: 'error', port, requestID }, true);
  const data = await client.open({ streamType: 'data', port, requestID });
  return { error, data };
}

/** The client's end of a WebSocket as bytes: no WebSocket client lets us offer a protocol name with a slash. */
function binaryMessages(socket: Duplex): Duplex {
  let held = Buffer.alloc(0);
  const outer = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      const header = Buffer.from([0x82, 0xfe, 0, 0, 0, 0, 0, 0]);
      header.writeUInt16BE(chunk.length, 2);
      socket.write(Buffer.concat([header, chunk]), done);
    },
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    for (;;) {
      const long = ((held[1] ?? 0) & 0x7f) === 126;
      const start = long ? 4 : 2;
      if (held.length < start) return;
      const end = start + (long ? held.readUInt16BE(2) : held.readUInt8(1) & 0x7f);
      if (held.length < end) return;
      if (held[0] === 0x82) outer.push(held.subarray(start, end));
      held = held.subarray(end);
    }
  });
  return outer;
}

describe('port-forward over SPDY', () => {
  test('carries several connections with half-close', async (t) => {
    const { port, ended } = await serve(t, await upstream(t));
    const client = await spdy(t, port, '', 'portforward.k8s.io');
    const first = await openPair(client, '80', '0');
    const second = await openPair(client, '80', '1');
    client.data(second.data, 'two', true);
    client.data(first.data, 'one', true);
    assert.equal(await client.read(first.data), 'got:one');
    assert.equal(await client.read(second.data), 'got:two');
    assert.equal(await client.read(first.error), '');
    client.close();
    await ended;
  });

  test('tells a failed connection on its error stream and goes on', async (t) => {
    const { port } = await serve(t, await upstream(t));
    const client = await spdy(t, port, '', 'portforward.k8s.io');
    const bad = await openPair(client, '81', '0');
    const worse = await openPair(client, 'http', '1');
    const good = await openPair(client, '80', '2');
    client.data(good.data, 'x', true);
    assert.equal(
      await client.read(bad.error),
      'Cannot forward to port 81: connection refused on 81',
    );
    assert.match(await client.read(worse.error), /port "http"/);
    assert.equal(await client.read(good.data), 'got:x');
  });

  test('runs inside a WebSocket as well', async (t) => {
    const { port, ended } = await serve(t, await upstream(t));
    const protocol = 'SPDY/3.1+portforward.k8s.io';
    const request = httpRequest({
      port,
      host: '127.0.0.1',
      path: '/portforward',
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': Buffer.alloc(16).toString('base64'),
        'Sec-WebSocket-Protocol': protocol,
      },
    });
    request.end();
    const [response, socket] = (await once(request, 'upgrade')) as [IncomingMessage, Duplex];
    assert.equal(response.headers['sec-websocket-protocol'], protocol);
    const client = new TestSpdyClient(binaryMessages(socket));
    t.after(() => client.close());
    const pair = await openPair(client, '80', '0');
    client.data(pair.data, 'tunnelled', true);
    assert.equal(await client.read(pair.data), 'got:tunnelled');
    client.close();
    await ended;
  });
});

describe('port-forward over WebSocket channels', () => {
  test('starts each channel with its port and reports a failed one', async (t) => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.pipe(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const target = (server.address() as AddressInfo).port;
    const dial = async (asked: number): Promise<Duplex> => {
      if (asked === 81) throw new Error('refused');
      const socket = connect(target, '127.0.0.1');
      await once(socket, 'connect');
      return socket;
    };
    const { port, ended } = await serve(t, { dial });
    const client = await webSocket(t, port, 'ports=80&ports=81', ['v4.channel.k8s.io']);
    client.send(0, 'echo me');
    while (client.received(0).length < 9 || client.received(3).length < 3) {
      await once(client.socket, 'message');
    }
    assert.equal(client.received(0), 'P\0echo me');
    assert.equal(client.received(1), 'P\0');
    assert.equal(client.received(3), 'Q\0Cannot forward to port 81: refused');
    client.socket.close();
    await ended;
  });
});

describe('the end of a port-forward over WebSocket channels', () => {
  test('is the end of the pod, for the client cannot end its own direction', async (t) => {
    const server = createTcpServer((socket) => socket.end('bye'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const dial = async (): Promise<Duplex> => {
      const target = (server.address() as AddressInfo).port;
      const socket = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true });
      await once(socket, 'connect');
      return socket;
    };
    const { port, ended } = await serve(t, { dial });
    const client = await webSocket(t, port, 'ports=80', ['v4.channel.k8s.io']);
    await once(client.socket, 'close');
    assert.equal(client.received(0), 'P\0bye');
    await ended;
  });
});
