import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import { attachStreams } from './attach.ts';
import type { ExecIo, StreamSession } from './session.ts';
import { TestSpdyClient } from './spdy/test-client.ts';

type Exec = NonNullable<StreamSession['exec']>;

/** A server with one session behind every upgrade; `ended` settles when that session is over. */
async function serve(t: TestContext, session: StreamSession) {
  const server: Server = createServer();
  const ended = Promise.withResolvers<void>();
  const stop = new AbortController();
  server.on('upgrade', (request, socket, head) => {
    attachStreams(request, socket, head, session, stop.signal).then(ended.resolve, ended.reject);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    stop.abort();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { port, ended: ended.promise, stop };
}

async function spdy(t: TestContext, port: number, query: string, protocol = 'v4.channel.k8s.io') {
  const request = httpRequest({
    port,
    host: '127.0.0.1',
    method: 'POST',
    path: `/exec?${query}`,
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'SPDY/3.1',
      'X-Stream-Protocol-Version': [protocol, 'v1.other'],
    },
  });
  request.end();
  const [response, socket] = (await once(request, 'upgrade')) as [
    { headers: Record<string, string> },
    Duplex,
  ];
  assert.equal(response.headers['x-stream-protocol-version'], protocol);
  const client = new TestSpdyClient(socket);
  t.after(() => client.close());
  return client;
}

async function webSocket(t: TestContext, port: number, query: string, protocols: string[]) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/exec?${query}`, protocols);
  const messages: Buffer[] = [];
  socket.on('message', (message) => messages.push(message as Buffer));
  t.after(() => socket.terminate());
  await once(socket, 'open');
  const received = (channel: number): string =>
    Buffer.concat(messages.flatMap((m) => (m[0] === channel ? [m.subarray(1)] : []))).toString();
  const send = (channel: number, payload: string): void =>
    socket.send(Buffer.concat([Buffer.from([channel]), Buffer.from(payload)]));
  return { socket, messages, received, send };
}

const cat: Exec = async ({ stdin, stdout, stderr }) => {
  const input = stdin === undefined ? '' : await text(stdin);
  stdout?.write(`out:${input}`);
  stderr?.write('err');
  return { exitCode: 3 };
};

const EXIT_3 = {
  metadata: {},
  status: 'Failure',
  message: 'command terminated with non-zero exit code: exit status 3',
  reason: 'NonZeroExitCode',
  details: { causes: [{ reason: 'ExitCode', message: '3' }] },
};

describe('exec over SPDY', () => {
  test('carries input until its end, both outputs and the exit code', async (t) => {
    const { port, ended } = await serve(t, { exec: cat });
    const client = await spdy(t, port, 'stdin=true&stdout=true&stderr=true&command=cat');
    const [error, stdin, stdout, stderr] = [
      await client.open({ streamType: 'error' }),
      await client.open({ streamType: 'stdin' }),
      await client.open({ streamType: 'stdout' }),
      await client.open({ streamType: 'stderr' }),
    ];
    client.data(stdin, 'he');
    client.data(stdin, 'llo', true);
    assert.equal(await client.read(stdout), 'out:hello');
    assert.equal(await client.read(stderr), 'err');
    assert.deepEqual(JSON.parse(await client.read(error)), EXIT_3);
    client.close();
    await ended;
  });

  test('passes terminal sizes on, the last one at once', async (t) => {
    const sizes: unknown[] = [];
    const exec: Exec = async ({ tty, resize, stdin, stdout }) => {
      assert.equal(tty, true);
      await once(stdin!, 'data');
      await new Promise<void>((resolve) => {
        resize((size) => {
          sizes.push(size);
          if (sizes.length === 2) resolve();
        });
        stdout!.write('ready');
      });
      return { exitCode: 0 };
    };
    const { port } = await serve(t, { exec });
    const client = await spdy(t, port, 'stdin=1&stdout=1&tty=1');
    const error = await client.open({ streamType: 'error' });
    const stdin = await client.open({ streamType: 'stdin' });
    const stdout = await client.open({ streamType: 'stdout' });
    const resize = await client.open({ streamType: 'resize' });
    client.data(resize, '{"Width":1,"Height":1}\n{"Width":80,"Hei');
    client.data(resize, 'ght":24}\n{"Width":-1,"Height":24}\n{"wrong}');
    client.data(stdin, 'x');
    await client.until(() => client.received(stdout).length > 0);
    client.data(resize, '{"Width":81,"Height":25}\n');
    assert.deepEqual(JSON.parse(await client.read(error)), { metadata: {}, status: 'Success' });
    assert.deepEqual(sizes, [
      { width: 80, height: 24 },
      { width: 81, height: 25 },
    ]);
  });

  test('reports a command that cannot be started', async (t) => {
    const exec: Exec = () => Promise.reject(new Error('no such file: frob'));
    const { port } = await serve(t, { exec });
    const client = await spdy(t, port, 'stdout=true');
    const error = await client.open({ streamType: 'error' });
    await client.open({ streamType: 'stdout' });
    const status = JSON.parse(await client.read(error)) as { message: string; code: number };
    assert.equal(status.message, 'no such file: frob');
    assert.equal(status.code, 500);
  });

  test('tells the command that the client is gone', async (t) => {
    const started = Promise.withResolvers<ExecIo>();
    const exec: Exec = async (io) => {
      started.resolve(io);
      await once(io.signal, 'abort');
      return { exitCode: 137 };
    };
    const { port, ended } = await serve(t, { exec });
    const client = await spdy(t, port, 'stdin=true&stdout=true');
    await client.open({ streamType: 'error' });
    await client.open({ streamType: 'stdin' });
    await client.open({ streamType: 'stdout' });
    await started.promise;
    client.close();
    await ended;
  });
});

describe('exec over WebSocket', () => {
  test('carries channels, the close signal of v5 and the exit code', async (t) => {
    const { port, ended } = await serve(t, { exec: cat });
    const query = 'stdin=true&stdout=true&stderr=true';
    const client = await webSocket(t, port, query, ['v5.channel.k8s.io', 'v4.channel.k8s.io']);
    assert.equal(client.socket.protocol, 'v5.channel.k8s.io');
    client.send(0, 'hel');
    client.send(0, 'lo');
    client.socket.send(Buffer.from([255, 0]));
    await once(client.socket, 'close');
    assert.deepEqual([...client.messages[0]!], [1], 'an empty message says that it can start');
    assert.equal(client.received(1), 'out:hello');
    assert.equal(client.received(2), 'err');
    assert.deepEqual(JSON.parse(client.received(3)), EXIT_3);
    await ended;
  });

  test('speaks base64', async (t) => {
    const exec: Exec = async ({ stdin, stdout }) => {
      const [chunk] = (await once(stdin!, 'data')) as [Buffer];
      stdout!.write(chunk);
      return { exitCode: 0 };
    };
    const { port } = await serve(t, { exec });
    const client = await webSocket(t, port, 'stdin=true&stdout=true', ['v4.base64.channel.k8s.io']);
    client.socket.send(`0${Buffer.from('hällo').toString('base64')}`);
    await once(client.socket, 'close');
    const texts = client.messages.map(String).filter((message) => message.length > 1);
    assert.deepEqual(
      texts.map((message) => [message[0], Buffer.from(message.slice(1), 'base64').toString()]),
      [
        ['1', 'hällo'],
        ['3', '{"metadata":{},"status":"Success"}'],
      ],
    );
  });

  test('holds a fast client back while the command does not read', async (t) => {
    const go = Promise.withResolvers<void>();
    const exec: Exec = async ({ stdin, stdout }) => {
      await go.promise;
      stdout!.write(String((await text(stdin!)).length));
      return { exitCode: 0 };
    };
    const { port } = await serve(t, { exec });
    const client = await webSocket(t, port, 'stdin=true&stdout=true', ['v5.channel.k8s.io']);
    const message = Buffer.alloc(1_000_001);
    for (let sent = 0; sent < 20; sent += 1) client.socket.send(message);
    client.socket.send(Buffer.from([255, 0]));
    // more than kernel buffers and our limit take: the rest has to wait at the client
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(client.socket.bufferedAmount > 0);
    go.resolve();
    await once(client.socket, 'close');
    assert.equal(client.received(1), '20000000');
  });

  test('ends input and tells the command when the client closes', async (t) => {
    const left = Promise.withResolvers<string>();
    const exec: Exec = async ({ stdin, signal }) => {
      left.resolve(await text(stdin!));
      if (!signal.aborted) await once(signal, 'abort');
      return { exitCode: 0 };
    };
    const { port, ended } = await serve(t, { exec });
    const client = await webSocket(t, port, 'stdin=true', ['v4.channel.k8s.io']);
    client.send(0, 'bye');
    client.socket.close();
    assert.equal(await left.promise, 'bye');
    await ended;
  });

  test('ends when the kubelet stops', async (t) => {
    const exec: Exec = async ({ signal }) => {
      await once(signal, 'abort');
      return { exitCode: 0 };
    };
    const { port, ended, stop } = await serve(t, { exec });
    const client = await webSocket(t, port, 'stdout=true', ['v5.channel.k8s.io']);
    stop.abort();
    await once(client.socket, 'close');
    await ended;
  });
});

/** A TCP server that answers `got:<everything>` once its client has half-closed. */
async function upstream(t: TestContext): Promise<{ dial: (port: number) => Promise<Duplex> }> {
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    text(socket).then(
      (all) => socket.end(`got:${all}`),
      () => {},
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return {
    dial: async (asked) => {
      if (asked !== 80) throw new Error(`connection refused on ${asked}`);
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      await once(socket, 'connect');
      return socket;
    },
  };
}

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

describe('attachStreams()', () => {
  for (const { name, headers, query, status, message } of [
    {
      name: 'an unknown upgrade',
      headers: { Upgrade: 'frob' },
      query: '',
      status: 400,
      message: /use WebSocket or SPDY/,
    },
    {
      name: 'SPDY protocols it does not have',
      headers: { Upgrade: 'SPDY/3.1', 'X-Stream-Protocol-Version': 'v9.channel.k8s.io' },
      query: '',
      status: 403,
      message: /offers \[v9.channel.k8s.io\]/,
    },
    {
      name: 'WebSocket protocols it does not have',
      headers: { Upgrade: 'websocket', 'Sec-WebSocket-Protocol': 'chat' },
      query: '',
      status: 400,
      message: /offers \[chat\]/,
    },
    {
      name: 'ports that are none',
      headers: { Upgrade: 'websocket', 'Sec-WebSocket-Protocol': 'v4.channel.k8s.io' },
      query: 'ports=http',
      status: 400,
      message: /port "http"/,
    },
  ]) {
    test(`refuses ${name}, saying what it has`, async (t) => {
      const session = query === '' ? { exec: cat } : await upstream(t);
      const { port, ended } = await serve(t, session);
      const request = httpRequest({
        port,
        host: '127.0.0.1',
        path: `/x?${query}`,
        headers: { Connection: 'Upgrade', ...headers },
      });
      request.end();
      const [response] = (await once(request, 'response')) as [
        { statusCode: number } & NodeJS.ReadableStream,
      ];
      assert.equal(response.statusCode, status);
      assert.match(await text(response), message);
      await ended;
    });
  }
});
