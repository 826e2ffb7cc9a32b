// Requests through a waypoint: what reaches the application and what comes back is what was sent, in every HTTP version.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { constants, createServer as createHttp2 } from 'node:http2';
import { createServer as createTcp } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Rig } from './test-rig.ts';

describe('a request through a waypoint', () => {
  let rig: Rig;
  before(async () => {
    rig = await Rig.open();
  });
  after(() => rig.close());

  test('reaches an endpoint with its method, path, query and headers', async () => {
    const web = rig.service('web');
    await rig.http(web, 'web-1', (request, response) => {
      response.setHeader('x-path', request.url ?? '');
      response.end(`${request.method} ${request.headers.host} ${request.headers['x-a']}`);
    });
    const answer = await rig.ask(web, {
      method: 'PUT',
      path: '/a?b=c',
      headers: { host: 'web:80', 'x-a': '1' },
      body: 'x',
    });
    assert.equal(answer.status, 200);
    assert.equal(answer.body, 'PUT web:80 1');
    assert.equal(answer.headers['x-path'], '/a?b=c');
  });

  test('tells the endpoint who the client is, whatever the client says, and nothing of one connection', async () => {
    const web = rig.service('told');
    await rig.http(web, 'told-1', ({ headers }, response) => {
      response.setHeader('connection', 'x-hop');
      response.setHeader('x-hop', 'mine');
      response.end(JSON.stringify(headers));
    });
    const answer = await rig.ask(web, {
      headers: {
        connection: 'x-once, authorization, x-forwarded-client-cert, x-request-id',
        authorization: 'Bearer x',
        'x-once': '1',
        'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/ops/sa/root',
        b3: 'a'.repeat(32),
      },
    });
    const told = JSON.parse(answer.body) as Record<string, string>;
    assert.equal(
      told['x-forwarded-client-cert'],
      'By=spiffe://cluster.local/ns/shop/sa/waypoint;URI=spiffe://cluster.local/ns/shop/sa/client',
    );
    assert.equal(told['x-forwarded-proto'], 'http');
    assert.equal(told['x-envoy-attempt-count'], '1');
    assert.equal(told['b3'], 'a'.repeat(32));
    assert.deepEqual([told['x-once'], told['via']], [undefined, undefined]);
    // named by Connection or not: the next hop decides by these
    assert.equal(told['authorization'], 'Bearer x');
    assert.match(String(told['x-request-id']), /^[0-9a-f-]{36}$/);
    assert.equal(answer.headers['x-hop'], undefined);
    assert.match(String(answer.headers['x-envoy-upstream-service-time']), /^\d+$/);
  });

  test('carries bodies of any size both ways', async () => {
    const web = rig.service('bulk');
    await rig.http(web, 'bulk-1', (request, response) => {
      request.pipe(response);
    });
    const body = Buffer.alloc(5_000_000, 'x');
    const answer = await rig.ask(web, { method: 'POST', body });
    assert.equal(answer.body.length, body.length);
  });

  test('tries another endpoint when one does not take connections', async () => {
    const web = rig.service('half');
    await rig.http(web, 'half-1', (_, response) => void response.end('one'));
    const closed = createTcp();
    await rig.endpoint(web, 'half-2', closed);
    closed.close();
    await once(closed, 'close');
    for (let i = 0; i < 10; i++) assert.equal((await rig.ask(web)).body, 'one');
  });

  test('without an endpoint is answered with 503', async () => {
    assert.equal((await rig.ask(rig.service('none'))).status, 503);
  });

  test('in HTTP/2 reaches an HTTP/2 endpoint with its trailers', async () => {
    const grpc = rig.service('grpc', 'grpc');
    const server = createHttp2();
    server.on('stream', (stream, headers) => {
      stream.respond({ ':status': 200, 'x-path': headers[':path'] }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end('hello');
    });
    await rig.endpoint(grpc, 'grpc-1', server as never);
    const session = await rig.http2(grpc);
    const stream = session.request({ ':path': '/a.B/C', ':method': 'POST' });
    stream.end('ask');
    const [headers] = (await once(stream, 'response')) as [Record<string, string>];
    assert.equal(headers['x-path'], '/a.B/C', JSON.stringify([headers, rig.lines.at(-1)]));
    const trailers = once(stream, 'trailers');
    let body = '';
    for await (const chunk of stream) body += String(chunk);
    assert.equal(body, 'hello');
    assert.equal(((await trailers) as [Record<string, string>])[0]['grpc-status'], '0');
  });

  test('leaves nothing behind on the connection it came by', async (t) => {
    const warned = t.mock.method(process, 'emitWarning');
    const web = rig.service('again');
    await rig.http(web, 'again-1', (_, response) => void response.end('x'));
    for (let i = 0; i < 12; i++) assert.equal((await rig.ask(web)).body, 'x');
    assert.equal(warned.mock.callCount(), 0);
  });

  test('is answered before its body has come', async () => {
    const web = rig.service('duplex');
    await rig.http(web, 'duplex-1', (request, response) => {
      response.write('first');
      request.once('data', () => response.end('second'));
    });
    const socket = await rig.connect(web);
    socket.write('POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n');
    let got = '';
    for await (const chunk of socket) {
      got += String(chunk);
      if (/first/.test(got) && !/second/.test(got)) socket.write('1\r\nx\r\n0\r\n\r\n');
      if (/second[^]*0\r\n\r\n$/.test(got)) break;
    }
    assert.match(got, /second/);
  });

  test('that asks first is asked on, and gets the answer that comes instead', async () => {
    const web = rig.service('expect');
    const server = createHttp((request, response) => void request.pipe(response));
    server.on('checkContinue', (request, response) => {
      if (request.url === '/no') {
        response.writeHead(417).end();
        return;
      }
      response.writeContinue();
      request.pipe(response);
    });
    await rig.endpoint(web, 'expect-1', server);
    const ask = async (path: string): Promise<string> => {
      const socket = await rig.connect(web);
      socket.write(
        `POST ${path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n`,
      );
      let got = '';
      for await (const chunk of socket) {
        got += String(chunk);
        if (got === 'HTTP/1.1 100 Continue\r\n\r\n') socket.write('body');
        if (/body|417/.test(got)) break;
      }
      return got;
    };
    assert.match(await ask('/yes'), /^HTTP\/1.1 100 [^]*HTTP\/1.1 200 [^]*body/);
    assert.match(await ask('/no'), /^HTTP\/1.1 417 [^]*[Cc]onnection: close/);
  });

  test('gets early hints before its answer', async () => {
    const web = rig.service('hints');
    await rig.http(web, 'hints-1', (_, response) => {
      response.writeEarlyHints({ link: '</a>; rel=preload' });
      response.end('after');
    });
    const socket = await rig.connect(web);
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    let got = '';
    for await (const chunk of socket) {
      got += String(chunk);
      if (got.includes('after')) break;
    }
    assert.match(got, /^HTTP\/1.1 103 [^]*<\/a>[^]*HTTP\/1.1 200 /);
  });

  test('of gRPC that fails at once is answered by trailers only', async () => {
    const grpc = rig.service('fails', 'grpc');
    const server = createHttp2();
    server.on('stream', (stream) => {
      stream.respond({ ':status': 200, 'grpc-status': '9' }, { endStream: true });
    });
    await rig.endpoint(grpc, 'fails-1', server as never);
    const stream = (await rig.http2(grpc)).request({ ':path': '/a.B/C', ':method': 'POST' });
    stream.end('ask');
    const [headers, flags] = (await once(stream, 'response')) as [Record<string, string>, number];
    assert.deepEqual([headers['grpc-status'], flags & constants.NGHTTP2_FLAG_END_STREAM], ['9', 1]);
  });

  test('that changes to another protocol carries bytes both ways', async () => {
    const web = rig.service('upgrade');
    const server = createTcp((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n',
        );
        socket.pipe(socket);
      });
    });
    await rig.endpoint(web, 'upgrade-1', server);
    const socket = await rig.connect(web);
    socket.write('GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n');
    const [head] = (await once(socket, 'data')) as [Buffer];
    assert.match(String(head), /^HTTP\/1.1 101 /);
    socket.write('hello');
    const [echoed] = (await once(socket, 'data')) as [Buffer];
    assert.equal(String(echoed), 'hello');
    socket.destroy();
  });

  test('is no HTTP: its bytes are carried as they are', async () => {
    const raw = rig.service('raw', 'tcp');
    await rig.endpoint(
      raw,
      'raw-1',
      createTcp((socket) => void socket.on('error', () => {}).pipe(socket)),
    );
    const socket = await rig.connect(raw);
    socket.end('bytes');
    let got = '';
    for await (const chunk of socket) got += String(chunk);
    assert.equal(got, 'bytes');
  });
});
