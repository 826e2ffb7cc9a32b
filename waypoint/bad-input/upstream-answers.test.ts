// Endpoints that break HTTP, byte for byte: the client is answered with 502, or sees a break where its answer had begun; the
// connection to the endpoint is not used again, and what was left in it is nobody's answer.

import assert from 'node:assert/strict';
import type { ClientHttp2Session } from 'node:http2';
import { after, before, describe, test } from 'node:test';
import { httpRoute, Rig } from '../test-rig.ts';
import { accessLine, type Door, rawEndpoint, say } from './test-door.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const SIZED = 'content-length: 2\r\n\r\nok';

type Row = readonly [name: string, answer: string, ends?: 'ends'];

/** Nothing of these is passed on. */
const BROKEN: readonly Row[] = [
  ['another protocol', 'HTP/1.1 200 OK\r\n\r\n'],
  ['words', 'hello\r\n\r\n'],
  ['HTTP/1.2', `HTTP/1.2 200 OK\r\n${SIZED}`],
  ['HTTP/2.0 in a status line', `HTTP/2.0 200 OK\r\n${SIZED}`],
  ...['2000', '099', '000', '600', '999', 'abc'].map(
    (status): Row => [`status ${status}`, `HTTP/1.1 ${status} X\r\n${SIZED}`],
  ),
  ['a length and chunks', `${OK}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['the same length twice', `${OK}content-length: 2\r\n${SIZED}`],
  ['two lengths', `${OK}content-length: 3\r\n${SIZED}`],
  ['a list of lengths', `${OK}content-length: 2, 2\r\n\r\nok`],
  ['a coding until the end', `${OK}transfer-encoding: gzip\r\n\r\nok`, 'ends'],
  ['a coding in chunks', `${OK}transfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`],
  ['identity', `${OK}transfer-encoding: identity\r\n\r\nok`, 'ends'],
  ['bare line feeds', 'HTTP/1.1 200 OK\ncontent-length: 2\n\nok'],
  ['a bare carriage return in a value', `${OK}x: y\rz\r\n${SIZED}`],
  ['NUL in a value', `${OK}x: y\0z\r\n${SIZED}`],
  ['a folded value', `${OK}x: y\r\n z\r\n${SIZED}`],
  ['a blank before a colon', `${OK}x : y\r\n${SIZED}`],
  ['a header of 70 KB', `${OK}x: ${'y'.repeat(70_000)}\r\n${SIZED}`],
  ['headers without an end', OK + 'x: y\r\n'.repeat(100_000)],
  ['101, unasked', 'HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello'],
  ['101 without a protocol', 'HTTP/1.1 101 X\r\n\r\nhello'],
  ['early hints without an end', 'HTTP/1.1 103 H\r\nlink: </a>; rel=preload\r\n\r\n'.repeat(1000)],
  ['100 without an end', 'HTTP/1.1 100 C\r\n\r\n'.repeat(100_000)],
];

/** Begun, and broken off. */
const CUT: readonly Row[] = [
  ['a body shorter than it said', `${OK}content-length: 5\r\n\r\nok`, 'ends'],
  ['chunks without the last one', `${OK}transfer-encoding: chunked\r\n\r\n5\r\nok`, 'ends'],
  ['a size that is none', `${OK}transfer-encoding: chunked\r\n\r\nzz\r\nok`],
  [
    'a length in the trailers',
    `${OK}transfer-encoding: chunked\r\n\r\n0\r\ncontent-length: 9\r\n\r\n`,
  ],
  [
    'a chunk extension of 100 KB',
    `${OK}transfer-encoding: chunked\r\n\r\n2;${'a'.repeat(100_000)}\r\nok\r\n0\r\n\r\n`,
  ],
];

/** Passed on, without what must not be. */
const MENDED: readonly (readonly [name: string, answer: string, status: number])[] = [
  ['a body behind 204', `HTTP/1.1 204 N\r\n${SIZED}`, 204],
  ['a body behind 304', `HTTP/1.1 304 N\r\n${SIZED}`, 304],
  ['a second answer behind the first', `${OK}${SIZED}HTTP/1.1 200 OK\r\n\r\nevil`, 200],
  ['hints that are none', `HTTP/1.1 103 H\r\nlink: nonsense\r\n\r\n${OK}${SIZED}`, 200],
  ['headers of one connection', `${OK}connection: x-a\r\nx-a: 1\r\nkeep-alive: 1\r\n${SIZED}`, 200],
  [
    'headers HTTP/2 has no words for',
    `${OK}http2-settings: a\r\nte: gzip\r\nupgrade: h2c\r\n${SIZED}`,
    200,
  ],
  [
    'the same header twice',
    `${OK}content-type: a\r\ncontent-type: b\r\netag: 1\r\netag: 2\r\n${SIZED}`,
    200,
  ],
  ['bytes beyond ASCII', `${OK}x-b: \xff\xc3\xa9\r\n${SIZED}`, 200],
];

describe('an endpoint that answers with', () => {
  let rig: Rig;
  let raw: Door;
  let session: ClientHttp2Session;
  const answers = new Map<string, Row>();

  before(async () => {
    rig = await Rig.open();
    const rows: Row[] = [...BROKEN, ...CUT, ...MENDED.map(([name, answer]): Row => [name, answer])];
    for (const row of rows) answers.set(pathOf(row[0]), row);
    raw = await rawEndpoint(rig, 'raw', (socket) => {
      let got = '';
      socket.on('data', (chunk) => {
        got += String(chunk);
        if (!got.includes('\r\n\r\n')) return;
        const [, bytes = `${OK}content-length: 4\r\n\r\ngood`, ends] =
          answers.get(/^\w+ (\S+) /.exec(got)?.[1] ?? '') ?? [];
        got = '';
        socket.write(bytes, 'latin1');
        if (ends !== undefined) socket.end();
      });
    });
    session = await rig.http2(raw);
  });
  after(() => rig.close());

  const ask = (path: string) =>
    say(rig, raw, `GET ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);

  async function ask2(path: string) {
    const stream = session.request({ ':path': path });
    let status: number | undefined;
    let body = '';
    stream.on('error', () => {});
    stream.on('response', (headers) => {
      status = headers[':status'];
    });
    stream.on('data', (chunk) => {
      body += String(chunk);
    });
    await new Promise<void>((resolve) => stream.once('close', () => resolve()));
    return { status, body, code: stream.rstCode };
  }

  for (const [name] of BROKEN) {
    test(`${name} makes a 502 in HTTP/1 and in HTTP/2`, async () => {
      const seen = rig.lines.length;
      const { text } = await ask(pathOf(name));
      // hints may have come before
      assert.match(text, /HTTP\/1\.1 502 /);
      assert.match(text, /upstream broke the protocol$/);
      const line = await accessLine(rig, seen);
      assert.deepEqual([line['response_code'], line['response_flags']], [502, 'UPE']);
      const { status: status2 } = await ask2(pathOf(name));
      assert.equal(status2, 502);
      assert.match((await ask('/next')).text, /good$/);
    });
  }

  for (const [name] of CUT) {
    test(`${name} is a break to the client, never a clean end`, async () => {
      const seen = rig.lines.length;
      const { text } = await ask(pathOf(name));
      assert.doesNotMatch(text, /\r\n0\r\n\r\n$/);
      const line = await accessLine(rig, seen);
      assert.deepEqual([line['response_code'], line['response_flags']], [200, 'UC']);
      assert.notEqual((await ask2(pathOf(name))).code, 0);
      assert.match((await ask('/next')).text, /good$/);
    });
  }

  for (const [name, , status] of MENDED) {
    test(`${name} is passed on without it`, async () => {
      const one = await ask(pathOf(name));
      assert.equal(/HTTP\/1\.1 (?!103)(\d+)/.exec(one.text)?.[1], String(status));
      assert.doesNotMatch(one.text, /evil|x-a|keep-alive|http2-settings|^upgrade/i);
      const two = await ask2(pathOf(name));
      assert.deepEqual([two.status, two.code], [status, 0]);
      assert.equal(two.body, status === 200 ? 'ok' : '');
      assert.match((await ask('/next')).text, /good$/);
    });
  }

  test('one thing more than was asked for answers nobody', async () => {
    const late = await rawEndpoint(rig, 'late', (socket) => {
      socket.once('data', () => {
        socket.write(`${OK}content-length: 5\r\n\r\nfirst`);
        socket.once('data', () => socket.end(`${OK}content-length: 6\r\n\r\nsecond`));
        // when the waypoint rests the connection
        setImmediate(() => setImmediate(() => socket.write(`${OK}content-length: 4\r\n\r\nevil`)));
      });
    });
    const asked = 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';
    for (let i = 0; i < 5; i++) assert.match((await say(rig, late, asked)).text, /first$/);
  });

  test('an end, while its connection rests, is asked on another one', async () => {
    const brief = await rawEndpoint(rig, 'brief', (socket) => {
      socket.once('data', () => socket.end(`${OK}${SIZED}`));
    });
    rig.discovery.push(httpRoute(brief, 'brief', [{ to: brief }]));
    const asked = 'POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx';
    for (let i = 0; i < 5; i++) assert.match((await say(rig, brief, asked)).text, /ok$/);
  });
});

function pathOf(name: string): string {
  return `/${name.replaceAll(/\W/g, '-')}`;
}
