// A server with one session, and clients for it over SPDY and WebSocket. Used by tests of streams.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as httpRequest, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { attachStreams } from './attach.ts';
import type { StreamSession } from './session.ts';
import { TestSpdyClient } from './spdy/test-client.ts';

export type Exec = NonNullable<StreamSession['exec']>;

/** A server with one session behind every upgrade; `ended` settles when that session is over. */
export async function serve(t: TestContext, session: StreamSession) {
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

export async function spdy(
  t: TestContext,
  port: number,
  query: string,
  protocol = 'v4.channel.k8s.io',
) {
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

export async function webSocket(t: TestContext, port: number, query: string, protocols: string[]) {
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

export const cat: Exec = async ({ stdin, stdout, stderr }) => {
  const input = stdin === undefined ? '' : await text(stdin);
  stdout?.write(`out:${input}`);
  stderr?.write('err');
  return { exitCode: 3 };
};

export const EXIT_3 = {
  metadata: {},
  status: 'Failure',
  message: 'command terminated with non-zero exit code: exit status 3',
  reason: 'NonZeroExitCode',
  details: { causes: [{ reason: 'ExitCode', message: '3' }] },
};

/** A TCP server that answers `got:<everything>` once its client has half-closed. */
export async function upstream(
  t: TestContext,
): Promise<{ dial: (port: number) => Promise<Duplex> }> {
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
