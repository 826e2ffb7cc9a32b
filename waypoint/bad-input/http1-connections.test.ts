// Clients of HTTP/1 that are slow, leave, ask too much at once or want to change the protocol: what they get, what the
// endpoint sees of it, and that the connection is kept or ends as RFC 9112 has it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { until } from '../../node-agent/test-support/world.ts';
import { Rig } from '../test-rig.ts';
import { accessLine, hear, rawEndpoint, refusalLine, say, Witness } from './test-door.ts';

const STALL = { streamMs: 300, bodyMs: 100 };

describe('a client of HTTP/1', () => {
  let rig: Rig;
  let web: Witness;
  before(async () => {
    rig = await Rig.open({ idle: STALL, headTimeoutMs: 200 });
    web = await Witness.open(rig, 'web');
  });
  after(() => rig.close());

  test('whose head does not end is answered with 408', async () => {
    const seen = rig.lines.length;
    const heard = await say(rig, web.service, 'GET /x HTTP/1.1\r\nhost: w');
    assert.deepEqual([heard.status, heard.closed], [408, true]);
    assert.equal((await refusalLine(rig, seen))['reason'], 'slow_head');
  });

  test('whose second head does not end is answered with 408', async () => {
    const socket = await rig.connect(web.service);
    socket.write('GET /x HTTP/1.1\r\nhost: web\r\n\r\n');
    await once(socket, 'data');
    socket.write('GET /y');
    assert.match((await hear(socket)).text, /HTTP\/1\.1 408 /);
  });

  test('who says nothing is let go without a word', async () => {
    const heard = await hear(await rig.connect(web.service));
    assert.deepEqual([heard.text, heard.closed], ['', true]);
  });

  test('whose body stalls is answered with 408', async () => {
    const seen = rig.lines.length;
    const heard = await say(
      rig,
      web.service,
      'POST / HTTP/1.1\r\nhost: w\r\ncontent-length: 5\r\n\r\na',
    );
    assert.deepEqual([heard.status, heard.closed], [408, true]);
    const line = await accessLine(rig, seen);
    assert.deepEqual(
      [line['response_flags'], line['response_code_details']],
      ['SI', 'request_incomplete'],
    );
  });

  test('whose endpoint says nothing is answered with 504', async () => {
    const silent = await rawEndpoint(rig, 'silent', (socket) => void socket.resume());
    const seen = rig.lines.length;
    const heard = await say(rig, silent, 'GET / HTTP/1.1\r\nhost: w\r\n\r\n', /\r\n\r\n\w/);
    assert.equal(heard.status, 504);
    const line = await accessLine(rig, seen);
    assert.deepEqual(
      [line['response_flags'], line['response_code_details']],
      ['SI', 'stream_idle'],
    );
  });

  test('who does not read an answer has it broken off', async () => {
    const big = rig.service('big');
    let gone = false;
    await rig.http(big, 'big-1', (_, response) => {
      response.once('close', () => {
        gone = true;
      });
      response.write(Buffer.alloc(20_000_000));
    });
    const seen = rig.lines.length;
    const socket = await rig.connect(big);
    socket.write('GET / HTTP/1.1\r\nhost: w\r\n\r\n');
    assert.equal((await accessLine(rig, seen))['response_flags'], 'SI');
    await until(() => gone);
    socket.destroy();
  });

  test('who sends more than its endpoint reads is held back, and answered with 504', async () => {
    const deaf = await rawEndpoint(rig, 'deaf', (socket) => void socket.pause());
    const seen = rig.lines.length;
    const socket = await rig.connect(deaf);
    socket.write('POST / HTTP/1.1\r\nhost: w\r\ncontent-length: 50000000\r\n\r\n');
    socket.write(Buffer.alloc(50_000_000));
    const line = await accessLine(rig, seen);
    assert.deepEqual([line['response_code'], line['response_flags']], [504, 'SI']);
    // what the windows on the way and the sockets take in
    assert.ok(Number(line['bytes_received']) < 20_000_000);
    socket.destroy();
  });

  test('who changed the protocol and says nothing more has its connection ended', async () => {
    const ws = await rawEndpoint(rig, 'ws', (socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello');
      });
    });
    const seen = rig.lines.length;
    const upgrade = 'connection: upgrade\r\nupgrade: websocket\r\n';
    const heard = await say(rig, ws, `GET / HTTP/1.1\r\nhost: w\r\n${upgrade}\r\n`);
    assert.match(heard.text, /^HTTP\/1\.1 101 [^]*hello$/);
    const line = await accessLine(rig, seen);
    assert.deepEqual([line['response_code'], line['response_flags']], [101, 'SI']);
  });

  test('who leaves in a body takes the request at the endpoint along', async () => {
    const slow = rig.service('slow');
    const gone = Promise.withResolvers<void>();
    await rig.http(slow, 'slow-1', (request) => {
      request.once('close', () => gone.resolve());
      request.on('error', () => {});
      request.once('data', () => socket.destroy());
    });
    const seen = rig.lines.length;
    const socket = await rig.connect(slow);
    socket.write('POST / HTTP/1.1\r\nhost: w\r\ncontent-length: 5\r\n\r\na');
    await gone.promise;
    assert.equal((await accessLine(rig, seen))['response_flags'], 'DC');
  });

  test('who leaves before an answer takes the request at the endpoint along', async () => {
    const late = rig.service('late');
    const gone = Promise.withResolvers<void>();
    await rig.http(late, 'late-1', (_, response) => {
      response.once('close', () => gone.resolve());
      socket.destroy();
    });
    const socket = await rig.connect(late);
    socket.write('GET / HTTP/1.1\r\nhost: w\r\n\r\n');
    await gone.promise;
  });

  test('who asks a hundred times at once is answered in order', async () => {
    const echo = rig.service('echo');
    let most = 0;
    let open = 0;
    await rig.http(echo, 'echo-1', (request, response) => {
      most = Math.max(most, ++open);
      request.resume().once('end', () => {
        open--;
        response.end(`<${request.url}>`);
      });
    });
    const asked = Array.from({ length: 100 }, (_, at) =>
      at % 3 === 0
        ? `POST /${at} HTTP/1.1\r\nhost: w\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n`
        : `GET /${at} HTTP/1.1\r\nhost: w\r\n\r\n`,
    );
    const { text } = await say(rig, echo, asked.join(''), /<\/99>/);
    const answered = [...text.matchAll(/<\/(\d+)>/g)].map(([, at]) => Number(at));
    assert.deepEqual(
      answered,
      Array.from({ length: 100 }, (_, at) => at),
    );
    assert.equal(most, 1);
  });

  test('who asks more at once than is read ahead is answered to the end', async () => {
    const before = web.seen.length;
    const socket = await rig.connect(web.service);
    const last = 'GET /last HTTP/1.1\r\nhost: w\r\nconnection: close\r\n\r\n';
    socket.write(`${'GET / HTTP/1.1\r\nhost: w\r\n\r\n'.repeat(1500)}${last}`);
    await hear(socket);
    assert.equal(web.seen.length, before + 1501);
  });

  test('whose bytes after a request are none gets its answer first', async () => {
    const { text, closed } = await say(
      rig,
      web.service,
      'GET /x HTTP/1.1\r\nhost: w\r\n\r\n\0\0\0',
    );
    assert.match(text, /^HTTP\/1\.1 200 [^]*okHTTP\/1\.1 400 /);
    assert.ok(closed);
  });

  test('whose body was refused early is told that the connection ends', async () => {
    const early = rig.service('early');
    await rig.http(early, 'early-1', (_, response) => void response.writeHead(413).end('no'));
    const heard = await say(
      rig,
      early,
      'POST / HTTP/1.1\r\nhost: w\r\ncontent-length: 99\r\n\r\na',
    );
    assert.deepEqual([heard.status, heard.closed], [413, true]);
  });

  test('who is refused another protocol gets the answer, and nothing it sent ahead is a request', async () => {
    const seen = web.seen.length;
    const upgrade =
      'GET /ws HTTP/1.1\r\nhost: w\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n';
    const heard = await say(rig, web.service, `${upgrade}GET /early HTTP/1.1\r\nhost: w\r\n\r\n`);
    assert.deepEqual([heard.status, heard.closed], [200, true]);
    assert.deepEqual(
      web.seen.slice(seen).map(({ target }) => target),
      ['/ws'],
    );
  });

  test('who asks for another protocol behind a request gets both answers', async () => {
    const upgrade =
      'GET /ws HTTP/1.1\r\nhost: w\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n';
    const { text, closed } = await say(
      rig,
      web.service,
      `GET /a HTTP/1.1\r\nhost: w\r\n\r\n${upgrade}`,
    );
    assert.equal(text.match(/HTTP\/1\.1 200 /g)?.length, 2);
    assert.ok(closed);
  });

  test('who offers HTTP/2 by Upgrade is answered in HTTP/1', async () => {
    const seen = web.seen.length;
    const offer =
      'connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n';
    const heard = await say(
      rig,
      web.service,
      `GET /h2c HTTP/1.1\r\nhost: w\r\n${offer}\r\n`,
      /ok$/,
    );
    assert.deepEqual([heard.status, heard.closed], [200, false]);
    const names = web.seen[seen]?.headers.filter((_, at) => at % 2 === 0);
    assert.ok(names?.every((name) => !/upgrade|http2-settings/i.test(name)));
  });

  test('who gives a whole address has Host follow it', async () => {
    const seen = web.seen.length;
    const asked = 'GET http://web/x HTTP/1.1\r\nhost: other\r\n\r\n';
    assert.equal((await say(rig, web.service, asked, /ok$/)).status, 200);
    const { target, headers = [] } = web.seen[seen] ?? {};
    assert.deepEqual([target, headers[headers.indexOf('host') + 1]], ['/x', 'web']);
  });

  test('whose names are those of objects is passed on as he is', async () => {
    const seen = web.seen.length;
    const names = '__proto__: a\r\nconstructor: b\r\nhasOwnProperty: c\r\n';
    await say(rig, web.service, `GET /x HTTP/1.1\r\nhost: w\r\n${names}\r\n`, /ok$/);
    const headers = web.seen[seen]?.headers ?? [];
    assert.equal(headers[headers.indexOf('__proto__') + 1], 'a');
    assert.equal(headers[headers.indexOf('constructor') + 1], 'b');
  });

  test('whose trailers frame, route or identify has them dropped', async () => {
    const seen = Promise.withResolvers<string[]>();
    const trailed = rig.service('trailed');
    await rig.http(trailed, 'trailed-1', (request, response) => {
      request.resume().once('end', () => {
        seen.resolve(request.rawTrailers);
        response.end('ok');
      });
    });
    const bad = 'host: evil\r\nauthorization: b\r\nx-forwarded-for: c\r\nx-t: 1\r\n';
    const body = `0\r\n${bad}\r\n`;
    await say(
      rig,
      trailed,
      `POST / HTTP/1.1\r\nhost: w\r\ntransfer-encoding: chunked\r\n\r\n${body}`,
      /ok/,
    );
    assert.deepEqual(await seen.promise, ['x-t', '1']);
  });
});
