// Requests of HTTP/1 that two parsers could read differently, byte for byte: each is refused, told of by name, never sent
// on, and its connection ends; the waypoint serves whoever comes next.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Rig } from '../test-rig.ts';
import { accessLine, refusalLine, say, Witness } from './test-door.ts';

const post = (lines: string, body = ''): string =>
  `POST /x HTTP/1.1\r\nhost: web\r\n${lines}\r\n${body}`;
const get = (line: string, lines = ''): string => `${line}\r\nhost: web\r\n${lines}\r\n`;
const chunked = (body: string): string => post('transfer-encoding: chunked\r\n', body);
const long = (bytes: number): string => 'a'.repeat(bytes);

type Row = readonly [name: string, bytes: string, status?: number];

/** Refused before there is a request. */
const HEADS: readonly Row[] = [
  ['a length and chunks', post('content-length: 5\r\ntransfer-encoding: chunked\r\n', '0\r\n\r\n')],
  ['chunks and a length', post('transfer-encoding: chunked\r\ncontent-length: 5\r\n', '0\r\n\r\n')],
  ['the same length twice', post('content-length: 2\r\ncontent-length: 2\r\n', 'ab')],
  ['two lengths', post('content-length: 2\r\ncontent-length: 3\r\n', 'abc')],
  ...['2, 2', '+2', '0x2', '-1', '2a', '', '2 2', '2.0', '1e1', '2;', '1'.repeat(30)].map(
    (value): Row => [`a length of "${value}"`, post(`content-length: ${value}\r\n`, 'ab')],
  ),
  ['a length beyond 64 bits', post('content-length: 18446744073709551616\r\n', 'ab')],
  ...['gzip', 'identity', 'xchunked', 'chunked;a=b', '"chunked"', 'chun ked', '', ', chunked'].map(
    (value): Row => [`the transfer coding "${value}"`, post(`transfer-encoding: ${value}\r\n`)],
  ),
  ...['chunked, identity', 'chunked, chunked', 'chunked,', 'chunked\x0b', '\x0bchunked'].map(
    (value): Row => [
      `the transfer coding ${JSON.stringify(value)}`,
      post(`te: trailers\r\ntransfer-encoding: ${value}\r\n`),
    ],
  ),
  ['a transfer coding we do not know', post('transfer-encoding: gzip, chunked\r\n'), 501],
  ['two transfer codings', post('transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n')],
  ['chunks twice', post('transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n')],
  [
    'chunks in HTTP/1.0',
    'POST / HTTP/1.0\r\nhost: web\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['a blank before the colon of chunks', post('transfer-encoding : chunked\r\n', '0\r\n\r\n')],
  ['folded chunks', post('transfer-encoding:\r\n chunked\r\n', '0\r\n\r\n')],
  ['a folded value', post('x-a: b\r\n c\r\n')],
  ['a folded first line', 'GET /x HTTP/1.1\r\n x: y\r\nhost: web\r\n\r\n'],
  ['bare line feeds', 'GET /x HTTP/1.1\nhost: web\n\n'],
  ['a bare line feed after the request line', 'GET /x HTTP/1.1\nhost: web\r\n\r\n'],
  ['a bare line feed after a header', 'GET /x HTTP/1.1\r\nhost: web\nx: y\r\n\r\n'],
  ['a bare line feed at the end', 'GET /x HTTP/1.1\r\nhost: web\r\n\n'],
  ['bare carriage returns at the end', 'GET /x HTTP/1.1\r\nhost: web\r\r'],
  ['a bare carriage return in a value', post('x-a: b\rc: d\r\n')],
  ['a bare carriage return in a name', post('x\r-a: b\r\n')],
  ['NUL in a value', post('x-a: b\0c\r\n')],
  ['a control character in a value', post('x-a: b\x01c\r\n')],
  ['NUL in a name', post('x\0a: b\r\n')],
  ['a blank in a name', post('x a: b\r\n')],
  ['a blank before a colon', post('x-a : b\r\n')],
  ['an empty name', post(': b\r\n')],
  ['a line without a colon', post('xa\r\n')],
  ['a name beyond ASCII', post('x\xc3\xa9: b\r\n')],
  ['a blank before the method', ` ${get('GET /x HTTP/1.1')}`],
  ['a tab after the method', get('GET\t/x HTTP/1.1')],
  ['a blank in the target', get('GET /x y HTTP/1.1')],
  ['raw UTF-8 in the target', get('GET /\xc3\xa9 HTTP/1.1')],
  ['HTTP/0.9', 'GET /x\r\n\r\n', 505],
  ['HTTP/1.2', get('GET /x HTTP/1.2')],
  ['HTTP/2.0 in a request line', get('GET /x HTTP/2.0'), 505],
  ['http/1.1', get('GET /x http/1.1')],
  ['a version with a blank behind', get('GET /x HTTP/1.1 ')],
  ['the preface of HTTP/2, but not all of it', get('PRI * HTTP/1.1')],
  ['a method nobody knows', get('FOO /x HTTP/1.1')],
  ['a method in lower case', get('get /x HTTP/1.1')],
  ['a target without its slash', get('GET x HTTP/1.1')],
  ['RTSP', get('DESCRIBE /x RTSP/1.0'), 501],
  ['ICE', get('SOURCE /x ICE/1.0'), 501],
  ['CONNECT', get('CONNECT web:80 HTTP/1.1'), 405],
  ['an expectation we do not know', post('expect: 200-ok\r\n'), 417],
  ['no Host', 'GET /x HTTP/1.1\r\n\r\n'],
  ['no Host beside an absolute form', 'GET http://web/x HTTP/1.1\r\n\r\n'],
  ['two Hosts', get('GET /x HTTP/1.1', 'host: other\r\n')],
  ['the same Host twice', get('GET /x HTTP/1.1', 'host: web\r\n')],
  [
    'a body before an upgrade',
    post('connection: upgrade\r\nupgrade: x\r\ncontent-length: 2\r\n', 'ab'),
  ],
  ['a head of 70 KB', get(`GET /${long(70_000)} HTTP/1.1`), 431],
  ['a header of 70 KB', post(`x: ${long(70_000)}\r\n`), 431],
  ['a hundred headers and more', post('x: y\r\n'.repeat(100)), 431],
  ['headers without an end', `GET / HTTP/1.1\r\n${'x: y\r\n'.repeat(100_000)}`, 431],
  ['a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ['words', 'hello\r\n\r\n'],
];

/** Begun, and broken off. */
const BODIES: readonly Row[] = [
  ...['+2', '0x2', '-2', ' 2', '2 ', '2\t', '2;', '', 'g', 'f'.repeat(17), '1'.repeat(17)].map(
    (size): Row => [`a chunk of size "${size}"`, chunked(`${size}\r\nab\r\n0\r\n\r\n`)],
  ),
  ['a line feed in a chunk extension', chunked('2;a=\n\r\nab\r\n0\r\n\r\n')],
  ['a quoted line feed in a chunk extension', chunked('2;a="\n"\r\nab\r\n0\r\n\r\n')],
  ['a bare carriage return after a chunk extension', chunked('2;a=b\r\r\nab\r\n0\r\n\r\n')],
  ['a chunk extension of 1 MB', chunked(`2;${long(1_000_000)}\r\nab\r\n0\r\n\r\n`)],
  ['no line end after a chunk', chunked('2\r\nab0\r\n\r\n')],
  ['a bare line feed after a size', chunked('2\nab\r\n0\r\n\r\n')],
  ['a bare line feed after a chunk', chunked('2\r\nab\n0\r\n\r\n')],
  ['a bare line feed after the last chunk', chunked('2\r\nab\r\n0\n\r\n')],
  ['a bare line feed after the trailers', chunked('2\r\nab\r\n0\r\n\n')],
  ['a bare carriage return after a size', chunked('2\rab\r\n0\r\n\r\n')],
  ['a length in the trailers', chunked('2\r\nab\r\n0\r\ncontent-length: 5\r\n\r\n')],
  ['trailers without an end', chunked(`0\r\n${'x: y\r\n'.repeat(100_000)}`), 431],
];

/** Requests, but of a host or for a target that nobody may read in two ways. Where the next one begins is known. */
const TARGETS: readonly Row[] = [
  ...['/x#a', '/%zz', '/%ff', '/%00', '/a%2fb', '/a\\b', '/a/..;/b', '/a/%2e%2e;/b', '*'].map(
    (target): Row => [`the target ${target}`, get(`GET ${target} HTTP/1.1`)],
  ),
  ...['a,b', 'a b', 'u@a', '', 'a:0x50', 'a:99999', '[::1', 'a/b'].map(
    (host): Row => [`the host "${host}"`, `GET /x HTTP/1.1\r\nhost: ${host}\r\n\r\n`],
  ),
  ['a path of 9 KB', get(`GET /${long(9000)} HTTP/1.1`), 414],
  ['another scheme', get('GET ftp://web/x HTTP/1.1')],
];

describe('a request of HTTP/1 with', () => {
  let rig: Rig;
  let web: Witness;
  before(async () => {
    rig = await Rig.open();
    web = await Witness.open(rig, 'web');
  });
  after(() => rig.close());

  for (const [name, bytes, status = 400] of HEADS) {
    test(`${name} is refused with ${status}, and its connection ends`, async () => {
      const [before, seen] = [rig.lines.length, web.seen.length];
      const heard = await say(rig, web.service, bytes);
      assert.deepEqual([heard.status, heard.closed], [status, true]);
      assert.match(heard.text, /connection: close/);
      const line = await refusalLine(rig, before);
      assert.deepEqual([line['response_code'], line['response_flags']], [status, 'DPE']);
      assert.equal(web.seen.length, seen);
    });
  }

  for (const [name, bytes, status = 400] of BODIES) {
    test(`${name} is answered with ${status}, and its connection ends`, async () => {
      const [before, seen] = [rig.lines.length, web.seen.length];
      const heard = await say(rig, web.service, bytes);
      assert.deepEqual([heard.status, heard.closed], [status, true]);
      const line = await accessLine(rig, before);
      assert.deepEqual([line['response_code'], line['response_flags']], [status, 'DPE']);
      assert.equal(web.seen.length, seen);
    });
  }

  for (const [name, bytes, status = 400] of TARGETS) {
    test(`${name} is answered with ${status}, and the next one is served`, async () => {
      const [before, seen] = [rig.lines.length, web.seen.length];
      const next = `${get('GET /next HTTP/1.1')}`;
      const { text } = await say(rig, web.service, `${bytes}${next}`, /\r\nok$|\r\n\r\nok/);
      assert.deepEqual([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(statusIn), [status, 200]);
      const lines = rig.lines.slice(before).filter((one) => one['response_flags'] === 'DPE');
      assert.deepEqual(
        lines.map((one) => one['response_code']),
        [status],
      );
      assert.deepEqual(
        web.seen.slice(seen).map(({ target }) => target),
        ['/next'],
      );
    });
  }

  test('whatever came before is no matter to others, and all of it was counted', async () => {
    assert.ok(await web.stillServes());
    const refused = await rig.metric('ambit_waypoint_refused_bytes_total', { protocol: 'http1' });
    assert.equal(refused, HEADS.length);
  });
});

function statusIn([, status]: RegExpMatchArray): number {
  return Number(status);
}
