// Whatever comes in at the doors for HTTP/1 and HTTP/2: the waypoint ends the connection, serves whoever comes next, and each
// request that an endpoint sees is one that the waypoint itself has read, judged and told of.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { until } from '../../node-agent/test-support/world.ts';
import * as h2 from '../../tunnel/test-frames.ts';
import type { Tunnel } from '../../tunnel/tunnel.ts';
import { Rig } from '../test-rig.ts';
import { hear, Witness } from './test-door.ts';

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nhost: w\r\n\r\n';

const framing = fc.constantFrom(
  'content-length: 0',
  `content-length: ${SMUGGLED.length}`,
  'content-length: 3',
  'content-length: 3, 3',
  'content-length : 3',
  ' content-length: 3',
  'Content-Length:\t3',
  'content-length: 0x3',
  'transfer-encoding: chunked',
  'transfer-encoding: Chunked',
  'transfer-encoding: identity',
  'transfer-encoding: gzip, chunked',
  'transfer-encoding : chunked',
  'transfer-encoding:\x0bchunked',
  'transfer-encoding: chunked\r\n ',
  'x: y\rtransfer-encoding: chunked',
  'x: y\ntransfer-encoding: chunked',
  'connection: content-length',
  'connection: transfer-encoding, close',
  'connection: upgrade\r\nupgrade: websocket',
  'expect: 100-continue',
  'x-a: b',
);
const lineEnd = fc.constantFrom('\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', '\n\r\n');
const body = fc.constantFrom(
  '',
  SMUGGLED,
  `0\r\n\r\n${SMUGGLED}`,
  `3\r\nabc\r\n0\r\n\r\n`,
  `3\r\nabc\r\n0\r\n${SMUGGLED}`,
  `3;a=\n\r\nabc\r\n0\r\n\r\n${SMUGGLED}`,
  `0\r\ncontent-length: 5\r\n\r\n${SMUGGLED}`,
  `00000000000000000\r\n\r\n${SMUGGLED}`,
  `-1\r\n\r\n${SMUGGLED}`,
);
const method = fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'CONNECT', 'PRI');
const version = fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0');
const request = fc
  .tuple(method, version, fc.array(fc.tuple(framing, lineEnd), { maxLength: 3 }), body)
  .map(([verb, protocol, lines, content]) => {
    const sent = lines.map(([line, end]) => line + end).join('');
    return `${verb} /asked ${protocol}\r\nhost: w\r\n${sent}\r\n${content}`;
  });
const anything = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
const http1 = fc.oneof(
  { weight: 4, arbitrary: fc.array(request, { minLength: 1, maxLength: 3 }).map(toBytes) },
  { weight: 1, arbitrary: anything },
  { weight: 1, arbitrary: anything.map((end) => Buffer.concat([toBytes(['GET /']), end])) },
);

function toBytes(texts: readonly string[]): Buffer {
  return Buffer.from(texts.join(''), 'latin1');
}

const field = fc.constantFrom(
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/asked'],
  [':path', '/smuggled HTTP/1.1\r\nx: y'],
  [':scheme', 'http'],
  [':authority', 'w'],
  ['host', 'w'],
  ['host', 'other'],
  ['content-length', '3'],
  ['transfer-encoding', 'chunked'],
  ['connection', 'close'],
  ['x-a', `b\r\n\r\n${SMUGGLED}`],
  ['te', 'trailers'],
  ['expect', '100-continue'],
) as fc.Arbitrary<[string, string]>;
const WHOLE: readonly [string, string][] = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/asked'],
  [':authority', 'w'],
];
const fields = fc.oneof(
  fc.array(field, { maxLength: 6 }),
  fc.array(field, { maxLength: 2 }).map((more) => [...WHOLE, ...more]),
);
const flags = fc.constantFrom(0, 1, 4, 5, 8, 12, 32, 255);
const stream = fc.constantFrom(0, 1, 1, 3, 5, 2);
const http2 = fc
  .array(
    fc.oneof(
      fc
        .tuple(fields, flags, stream)
        .map(([list, flag, id]) =>
          h2.frame(h2.FRAME.headers, { flags: flag, stream: id, payload: h2.block(list) }),
        ),
      fc
        .tuple(fc.integer({ min: 0, max: 10 }), flags, stream, fc.uint8Array({ maxLength: 20 }))
        .map(([type, flag, id, payload]) => h2.frame(type, { flags: flag, stream: id, payload })),
      anything,
    ),
    { maxLength: 6 },
  )
  .map((frames) => Buffer.concat([h2.PREFACE, h2.settings(), ...frames]));

describe('whatever bytes come', () => {
  let rig: Rig;
  let web: Witness;
  let tunnel: Tunnel;
  before(async () => {
    rig = await Rig.open({ idle: { streamMs: 500 }, headTimeoutMs: 500 });
    web = await Witness.open(rig, 'web');
    tunnel = await rig.tunnel();
  });
  after(() => rig.close());

  async function send(bytes: Buffer): Promise<void> {
    const socket = await rig.connect(web.service, tunnel);
    socket.end(bytes);
    const heard = await hear(socket);
    assert.ok(heard.closed);
  }

  /** By the name that the waypoint gave each of them. */
  async function allWereJudged(): Promise<void> {
    const ids = web.seen.map(({ headers }) => headers[headers.indexOf('x-request-id') + 1]);
    const told = (): Set<unknown> => new Set(rig.lines.map((line) => line['request_id']));
    await until(() => ids.every((id) => told().has(id)));
    assert.equal(new Set(ids).size, ids.length);
    assert.deepEqual(
      rig.lines.filter(({ level, message }) => level === 'error' && message !== 'request complete'),
      [],
    );
  }

  test('as HTTP/1, no request is made of them that was not read', { timeout: 60_000 }, async () => {
    await fc.assert(fc.asyncProperty(http1, send), { numRuns: 300 });
    await allWereJudged();
    assert.ok(await web.stillServes());
  });

  test('as HTTP/2, no request is made of them that was not read', { timeout: 60_000 }, async () => {
    await fc.assert(fc.asyncProperty(http2, send), { numRuns: 300 });
    await allWereJudged();
    assert.ok(web.seen.every(({ target }) => /^\/(?:asked|smuggled|next)$/.test(target)));
    assert.ok(await web.stillServes());
  });
});
