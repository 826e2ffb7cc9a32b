// Whatever comes back from an endpoint, in HTTP/1 and in HTTP/2: the waypoint stands, its client gets an answer or a break,
// and the next answer is the next request's own.

import assert from 'node:assert/strict';
import type { ClientHttp2Session } from 'node:http2';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import * as h2 from '../../tunnel/test-frames.ts';
import { Rig } from '../test-rig.ts';
import { type Door, rawEndpoint, say } from './test-door.ts';

const ASKED = 'GET / HTTP/1.1\r\nhost: w\r\nconnection: close\r\n\r\n';
const GOOD = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood';

const line = fc.constantFrom(
  'HTTP/1.1 200 OK',
  'HTTP/1.0 200 OK',
  'HTTP/1.1 204 N',
  'HTTP/1.1 304 N',
  'HTTP/1.1 100 C',
  'HTTP/1.1 103 H',
  'HTTP/1.1 101 S',
  'HTTP/1.1 102 P',
  'HTTP/1.1 599 X',
  'HTTP/1.1 600 X',
);
const header = fc.constantFrom(
  'content-length: 4',
  'content-length: 9',
  'transfer-encoding: chunked',
  'connection: close',

  'link: nonsense',
  'link: </a>; rel=preload',
  'upgrade: x\r\nconnection: upgrade',
  'trailer: a',

  'content-type: a\r\ncontent-type: b',
  'set-cookie: \xff\x80',
  'date: x\r\ndate: y',
  'te: gzip',
  'http2-settings: a',
  ':status: 500',
  '__proto__: x',
  'content-encoding: gzip',
  'x:',
  'x: \t',
);
const content = fc.constantFrom(
  '',
  'evil',
  '4\r\nevil\r\n0\r\n\r\n',
  '4\r\nevil\r\n0\r\nset-cookie: a\r\nx: \xff\r\n\r\n',
  '0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nevil',
  'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil',
);
const anything = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes));
const part = fc
  .tuple(line, fc.array(header, { maxLength: 4 }), content)
  .map(([first, headers, body]) =>
    Buffer.from(`${[first, ...headers].join('\r\n')}\r\n\r\n${body}`, 'latin1'),
  );
const answer = fc.array(fc.oneof({ weight: 5, arbitrary: part }, anything), { maxLength: 4 });

const field = fc.constantFrom(
  [':status', '200'],
  [':status', '101'],
  [':status', '103'],
  [':status', '999'],
  ['content-length', '4'],
  ['connection', 'close'],
  ['link', 'nonsense'],
  ['content-type', 'application/grpc'],
  ['grpc-status', '\xff'],
  ['x-a', 'b\r\nevil: c'],
  ['te', 'trailers'],
) as fc.Arbitrary<[string, string]>;
const frames = fc.array(
  fc.oneof(
    fc
      .tuple(fc.array(field, { maxLength: 4 }), fc.constantFrom(0, 1, 4, 5))
      .map(([list, flags]) => {
        const payload = h2.block(list);
        return h2.frame(h2.FRAME.headers, { flags, stream: 1, payload });
      }),
    fc
      .tuple(
        fc.integer({ min: 0, max: 10 }),
        fc.constantFrom(0, 1, 4, 8),
        fc.constantFrom(0, 1, 2, 3),
        fc.uint8Array({ maxLength: 12 }),
      )
      .map(([type, flags, stream, payload]) => h2.frame(type, { flags, stream, payload })),
    anything,
  ),
  { maxLength: 5 },
);

describe('whatever an endpoint answers', () => {
  let rig: Rig;
  let old: Door;
  let current: Door;
  let next: Buffer = Buffer.alloc(0);
  before(async () => {
    rig = await Rig.open({ idle: { streamMs: 500 } });
    old = await rawEndpoint(rig, 'old', (socket) => {
      socket.on('data', (chunk) => {
        if (String(chunk).includes('\r\n\r\n')) socket.end(next);
      });
    });
    current = await rawEndpoint(
      rig,
      'current',
      (socket) => {
        socket.write(h2.settings());
        socket.once('data', () => socket.end(next));
      },
      'http2',
    );
  });
  after(() => rig.close());

  function expectNoFault(): void {
    const faults = rig.lines.filter(({ message }) => String(message).includes('a fault'));
    assert.deepEqual(faults, []);
  }

  function ask2(session: ClientHttp2Session): Promise<void> {
    const stream = session.request({ ':path': '/' });
    stream.on('error', () => {});
    stream.resume();
    return new Promise((resolve) => stream.once('close', () => resolve()));
  }

  test('in HTTP/1, the waypoint stands', { timeout: 60_000 }, async () => {
    const session = await rig.http2(old);
    await fc.assert(
      fc.asyncProperty(answer, async (parts) => {
        next = Buffer.concat(parts);
        assert.ok((await say(rig, old, ASKED)).closed);
        await ask2(session);
        next = Buffer.from(GOOD);
        assert.match((await say(rig, old, ASKED)).text, /good$/);
      }),
      { numRuns: 100 },
    );
    expectNoFault();
  });

  test('in HTTP/2, the waypoint stands', { timeout: 60_000 }, async () => {
    const session = await rig.http2(current);
    await fc.assert(
      fc.asyncProperty(frames, async (all) => {
        next = Buffer.concat(all);
        await ask2(session);
        assert.ok((await say(rig, current, ASKED)).closed);
      }),
      { numRuns: 100 },
    );
    assert.equal((await rig.ask(rig.service('nobody'))).status, 503);
    expectNoFault();
  });
});
