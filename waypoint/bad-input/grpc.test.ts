// gRPC that is none, from clients and from endpoints: messages are the application's and go through as they are, whatever
// they say of themselves; what the waypoint itself answers is gRPC, with the right status, and ends the stream.

import assert from 'node:assert/strict';
import { type ClientHttp2Session, createServer, type ServerHttp2Stream } from 'node:http2';
import { after, before, describe, test } from 'node:test';
import { Rig } from '../test-rig.ts';
import { accessLine, type Door, rawEndpoint } from './test-door.ts';

type Answered = {
  readonly status: number | undefined;
  readonly grpcStatus: string | undefined;
  readonly body: Buffer;
  readonly code: number;
};

const GRPC = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' } as const;

function ask(
  session: ClientHttp2Session,
  path: string,
  message: Buffer = Buffer.alloc(5),
  headers: Record<string, string> = {},
): Promise<Answered> {
  const stream = session.request({ ...GRPC, ':path': path, ...headers });
  let head: Record<string, unknown> = {};
  let trailers: Record<string, unknown> = {};
  const chunks: Buffer[] = [];
  stream.on('response', (got) => {
    head = got;
  });
  stream.on('trailers', (got) => {
    trailers = got;
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('error', () => {});
  stream.end(message);
  return new Promise((resolve) =>
    stream.once('close', () =>
      resolve({
        status: head[':status'] as number | undefined,
        grpcStatus: (head['grpc-status'] ?? trailers['grpc-status']) as string | undefined,
        body: Buffer.concat(chunks),
        code: stream.rstCode ?? 0,
      }),
    ),
  );
}

describe('a call of gRPC', () => {
  let rig: Rig;
  let echo: Door;
  let session: ClientHttp2Session;
  before(async () => {
    rig = await Rig.open({ idle: { streamMs: 300 } });
    echo = rig.service('echo', 'grpc');
    const server = createServer();
    server.on('stream', (stream, headers) => answer(stream, String(headers[':path'])));
    await rig.endpoint(echo, 'echo-1', server as never);
    session = await rig.http2(echo);
  });
  after(() => rig.close());

  function answer(stream: ServerHttp2Stream, path: string): void {
    stream.on('error', () => {});
    switch (path) {
      case '/a.B/Silent':
        return;
      case '/a.B/Reset':
        stream.close(2);
        return;
      case '/a.B/Cut':
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
        stream.write(Buffer.alloc(5), () => stream.close(2));
        return;
      case '/a.B/Plain':
        stream.respond({ ':status': 503, 'content-type': 'text/plain' });
        stream.end('no');
        return;
      case '/a.B/Bare':
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { endStream: true });
        return;
      default:
        stream.respond(
          { ':status': 200, 'content-type': 'application/grpc' },
          { waitForTrailers: true },
        );
        stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.pipe(stream);
    }
  }

  const framings: readonly (readonly [name: string, message: Buffer])[] = [
    ['of no message', Buffer.alloc(0)],
    ['with a prefix that is cut', Buffer.of(0, 0, 0)],
    ['with a message that is cut', Buffer.of(0, 0, 0, 0, 9, 1, 2)],
    ['with a message of 4 GB, it says', Buffer.of(0, 255, 255, 255, 255, 1, 2, 3)],
    ['with a flag nobody knows', Buffer.of(7, 0, 0, 0, 1, 1)],
    ['with words', Buffer.from('hello')],
    ['with bytes behind its message', Buffer.of(0, 0, 0, 0, 0, 9, 9)],
  ];
  for (const [name, message] of framings) {
    test(`${name} goes through as it is`, async () => {
      const answered = await ask(session, '/a.B/Echo', message);
      assert.deepEqual(answered, { status: 200, grpcStatus: '0', body: message, code: 0 });
    });
  }

  for (const [name, value] of [
    ['te', ''],
    ['grpc-encoding', 'nobody-knows'],
    ['grpc-timeout', '1'],
    ['grpc-timeout', '-1S'],
    ['grpc-timeout', '999999999S'],
    ['grpc-timeout', '1X'],
    ['grpc-timeout', ' '],
  ] as const) {
    test(`with ${name} of "${value}" goes through`, async () => {
      const headers: Record<string, string> = name === 'te' ? {} : { [name]: value };
      const { grpcStatus } = await ask(session, '/a.B/Echo', Buffer.alloc(5), headers);
      assert.equal(grpcStatus, '0');
    });
  }

  const failures = [
    ['whose time is over', '/a.B/Silent', { 'grpc-timeout': '20m' }, '4', 'UT'],
    ['in which nothing moves', '/a.B/Silent', {}, '4', 'SI'],
    ['that its endpoint resets', '/a.B/Reset', {}, '14', 'UC'],
    ['of a path two could read differently', '/a.B/..;/C', {}, '13', 'DPE'],
    ['of a path of 9 KB', `/${'a'.repeat(9000)}`, {}, '8', 'DPE'],
  ] as const;
  for (const [name, path, headers, grpcStatus, flag] of failures) {
    test(`${name} is answered with status ${grpcStatus}`, async () => {
      const seen = rig.lines.length;
      const answered = await ask(session, path, undefined, headers);
      assert.deepEqual([answered.status, answered.grpcStatus, answered.code], [200, grpcStatus, 0]);
      const line = await accessLine(rig, seen);
      assert.deepEqual([line['response_flags'], line['grpc_status']], [flag, Number(grpcStatus)]);
    });
  }

  test('that fills the windows of both directions ends whole', async () => {
    const sent = Buffer.alloc(8_000_000, 'x');
    const stream = session.request({ ...GRPC, ':path': '/a.B/Echo' });
    stream.end(sent);
    // nothing is read until nothing more is taken in: by then the echo holds the endpoint's reading up too
    await new Promise((resolve) => stream.once('response', resolve));
    let got = 0;
    for await (const chunk of stream) got += (chunk as Buffer).length;
    assert.equal(got, sent.length);
  });

  test('that its endpoint breaks off is a break', async () => {
    const seen = rig.lines.length;
    const { code, grpcStatus } = await ask(session, '/a.B/Cut');
    assert.notEqual(code, 0);
    assert.equal(grpcStatus, undefined);
    assert.equal((await accessLine(rig, seen))['response_flags'], 'UC');
  });

  test('that its endpoint answers in plain HTTP is answered so', async () => {
    const { status, body } = await ask(session, '/a.B/Plain');
    assert.deepEqual([status, String(body)], [503, 'no']);
  });

  test('that its endpoint answers without a status is answered so', async () => {
    const { status, grpcStatus, code } = await ask(session, '/a.B/Bare');
    assert.deepEqual([status, grpcStatus, code], [200, undefined, 0]);
  });

  test('to an endpoint that speaks no HTTP/2 is answered with status 14', async () => {
    const raw = await rawEndpoint(
      rig,
      'old',
      (socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
      'grpc',
    );
    const { status, grpcStatus } = await ask(await rig.http2(raw), '/a.B/C');
    assert.deepEqual([status, grpcStatus], [200, '14']);
  });

  test('with nobody behind it is answered with status 14', async () => {
    const none = rig.service('none', 'grpc');
    const { status, grpcStatus } = await ask(await rig.http2(none), '/a.B/C');
    assert.deepEqual([status, grpcStatus], [200, '14']);
  });
});
