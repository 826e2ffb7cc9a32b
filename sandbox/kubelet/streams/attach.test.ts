// Sessions as kubectl asks for them, over SPDY and WebSocket: exec with its streams, and what is refused.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import type { ExecIo } from './session.ts';
import { cat, EXIT_3, type Exec, serve, spdy, upstream, webSocket } from './test-clients.ts';

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
