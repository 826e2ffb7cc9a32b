// Clients of HTTP/2 that break it, frame by frame: the stream or the connection ends with the code of RFC 9113, it is told of
// by name, nothing that was not asked reaches the endpoint, and the waypoint serves whoever comes next.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../../node-agent/test-support/world.ts';
import * as h2 from '../../tunnel/test-frames.ts';
import { Rig } from '../test-rig.ts';
import { accessLine, refusalLine, Witness } from './test-door.ts';
import { body, but, type Field, GET, head, peerTo, posted, times } from './test-http2.ts';

const { END_HEADERS, END_STREAM, FRAME, block, frame } = h2;
const PROTOCOL_ERROR = 1;

type Row = readonly [name: string, ...frames: Buffer[]];

/** No request: RST_STREAM, PROTOCOL_ERROR; the connection lives on. */
const MALFORMED: readonly Row[] = [
  ...['connection: close', 'keep-alive: 1', 'transfer-encoding: chunked', 'te: gzip'].map(
    (line): Row => [`"${line}"`, head([...GET, line.split(': ') as unknown as Field])],
  ),
  ...['upgrade: h2c', 'proxy-connection: a', 'X-Upper: a', 'content-length: -1'].map(
    (line): Row => [`"${line}"`, head([...GET, line.split(': ') as unknown as Field])],
  ),
  ['a length without a body', head([...GET, ['content-length', '5']])],
  ['two lengths', head([...GET, ['content-length', '0'], ['content-length', '0']])],
  ['two paths', head([...GET, [':path', '/y']])],
  ['a pseudo header nobody knows', head([...GET, [':foo', 'y']])],
  ['a status', head([...GET, [':status', '200']])],
  ['a protocol to change to', head([...GET, [':protocol', 'websocket']])],
  ['a pseudo header behind others', head([['x', 'a'], ...GET])],
  ...[':method', ':scheme', ':path', ':authority'].map(
    (name): Row => [`no ${name}`, head(but(name, undefined))],
  ),
  ...['GE T', 'GET /evil HTTP/1.1\r\nx: y', '', 'CONNECT'].map(
    (value): Row => [`the method ${JSON.stringify(value)}`, head(but(':method', value))],
  ),
  ...['/a b', '/a HTTP/1.1\r\nx: y', '', '*', 'http://web/x', 'x', '/\0'].map(
    (value): Row => [`the path ${JSON.stringify(value)}`, head(but(':path', value))],
  ),
  ...['a b', 'u@web', '', 'web\r\n', 'web/x'].map(
    (value): Row => [`the authority ${JSON.stringify(value)}`, head(but(':authority', value))],
  ),
];

/** Requests, but none that is passed on. */
const REFUSED: readonly (readonly [name: string, status: number, head: Buffer])[] = [
  ['a Host that differs', 400, head([...GET, ['host', 'other']])],
  ['the target /%zz', 400, head(but(':path', '/%zz'))],
  ['the target /a/..;/b', 400, head(but(':path', '/a/..;/b'))],
  ['raw bytes in the target', 400, head(but(':path', '/\xff'))],
  ['a fragment', 400, head(but(':path', '/#a'))],
  ['two authorities in one', 400, head(but(':authority', 'a,b'))],
  ['the method PRI', 400, head(but(':method', 'PRI'))],
  [
    'CONNECT',
    405,
    head([
      [':method', 'CONNECT'],
      [':authority', 'web:80'],
    ]),
  ],
  ['a path of 9 KB', 414, head(but(':path', `/${'a'.repeat(9000)}`))],
];

/** Begun, and broken: the stream ends, and the request with it. */
const CUT: readonly Row[] = [
  ['less than it said', posted(['content-length', '5']), body('ab')],
  ['trailers that frame', posted(), body('ab', 0), head([['content-length', '5']])],
  ['pseudo headers in trailers', posted(), body('ab', 0), head([[':path', '/y']])],
];

describe('a client of HTTP/2 that sends', () => {
  let rig: Rig;
  let web: Witness;
  before(async () => {
    rig = await Rig.open({ headTimeoutMs: 300, idle: { streamMs: 300 } });
    web = await Witness.open(rig, 'web');
  });
  after(() => rig.close());

  const peer = (...frames: readonly Buffer[]) => peerTo(rig, web.service, ...frames);
  const resetOf = async (raw: h2.RawPeer): Promise<number | undefined> =>
    (await raw.next(({ type }) => type === FRAME.reset))?.payload.readUInt32BE(0);

  for (const [name, ...frames] of MALFORMED) {
    test(`${name} has its stream reset, and no other`, async () => {
      const [before, seen] = [rig.lines.length, web.seen.length];
      const raw = await peer(...frames);
      assert.equal(await resetOf(raw), PROTOCOL_ERROR);
      assert.equal((await refusalLine(rig, before))['reason'], 'protocol_error');
      raw.send(head(GET, 3));
      assert.ok(await raw.next(({ stream, type }) => stream === 3 && type === FRAME.data));
      assert.deepEqual(
        web.seen.slice(seen).map(({ target }) => target),
        ['/x'],
      );
      raw.socket.destroy();
    });
  }

  for (const [name, status, request] of REFUSED) {
    test(`${name} is answered with ${status}`, async () => {
      const [before, seen] = [rig.lines.length, web.seen.length];
      const raw = await peer(request);
      assert.ok(await raw.next(({ stream, flags }) => stream === 1 && (flags & END_STREAM) !== 0));
      const line = await accessLine(rig, before);
      assert.deepEqual([line['response_code'], line['response_flags']], [status, 'DPE']);
      assert.equal(web.seen.length, seen);
      raw.socket.destroy();
    });
  }

  test('60 KB of headers and more is answered with 431', async () => {
    const before = rig.lines.length;
    const part = (at: number): Buffer => block([[`x${at}`, 'y'.repeat(15_000)]]);
    const raw = await peer(
      frame(FRAME.headers, { stream: 1, flags: END_STREAM, payload: block(GET) }),
      times(5, (at) =>
        frame(FRAME.continuation, {
          stream: 1,
          flags: at === 4 ? END_HEADERS : 0,
          payload: part(at),
        }),
      ),
    );
    const line = await accessLine(rig, before);
    assert.deepEqual([line['response_code'], line['response_flags']], [431, 'DPE']);
    raw.socket.destroy();
  });

  test('a hundred headers and more has its stream reset', async () => {
    const many = Array.from({ length: 101 }, (_, at): Field => [`x${at}`, 'y']);
    const before = rig.lines.length;
    const raw = await peer(head([...GET, ...many]));
    assert.equal(await resetOf(raw), 11);
    assert.equal((await refusalLine(rig, before))['reason'], 'enhance_your_calm');
    raw.socket.destroy();
  });

  for (const [name, ...frames] of CUT) {
    test(`${name} has its request broken off`, async () => {
      const [before, seen] = [rig.lines.length, web.seen.length];
      const raw = await peer(...frames);
      assert.equal(await resetOf(raw), PROTOCOL_ERROR);
      assert.equal((await accessLine(rig, before))['response_flags'], 'DPE');
      assert.equal(web.seen.length, seen);
      raw.socket.destroy();
    });
  }

  test('names and values that are none has them left out, and nothing else of them', async () => {
    const seen = web.seen.length;
    const bad: readonly Field[] = [
      ['x a', 'b'],
      ['', 'b'],
      ['x\r\ny', 'a'],
      ['x-a', 'a\r\nevil: b'],
      ['x-b', 'a\0b'],
      ['x-c', ' a'],
      ['x-d', 'a\nb'],
    ];
    const raw = await peer(head([...GET, ...bad]));
    await until(() => web.seen.length > seen);
    const names = web.seen[seen]?.headers.filter((_, at) => at % 2 === 0) ?? [];
    assert.deepEqual(
      names.filter((name) => /^(?:x|x-[abcd]|evil|x a|)$/.test(name)),
      [],
    );
    raw.socket.destroy();
  });

  test('cookies in crumbs has them as one in HTTP/1', async () => {
    const seen = web.seen.length;
    const raw = await peer(head([...GET, ['cookie', 'a=1'], ['cookie', 'b=2']]));
    await until(() => web.seen.length > seen);
    const { headers = [] } = web.seen[seen] ?? {};
    assert.deepEqual(
      headers.filter((_, at) => headers[at - 1] === 'cookie'),
      ['a=1; b=2'],
    );
    raw.socket.destroy();
  });

  test('no window ever has its stream let go, and no other', async () => {
    const socket = await rig.connect(web.service);
    const raw = h2.rawPeer(socket as never);
    raw.send(h2.PREFACE, h2.settings([[4, 0]]), head(GET));
    assert.ok(await raw.next(({ stream, type }) => stream === 1 && type === FRAME.headers));
    assert.equal(await resetOf(raw), 2);
    raw.send(h2.settings([[4, 65_535]]), head(GET, 3));
    assert.ok(await raw.next(({ stream, type }) => stream === 3 && type === FRAME.data));
    raw.socket.destroy();
  });
});
