// Clients of HTTP/2 that break its connection, or wear it out: it ends within a second, told of by name, nothing of it reaches
// the endpoint, and the waypoint serves whoever comes next.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as h2 from '../../tunnel/test-frames.ts';
import { Rig } from '../test-rig.ts';
import { refusalLine, Witness } from './test-door.ts';
import { body, GET, head, peerTo, posted, times, WHOLE } from './test-http2.ts';

const { END_HEADERS, END_STREAM, FRAME, block, frame } = h2;

type Row = readonly [name: string, ...frames: Buffer[]];

/** The whole connection ends. */
const BROKEN: readonly Row[] = [
  [
    'an index that is none',
    frame(FRAME.headers, { stream: 1, flags: WHOLE, payload: Buffer.of(0x80) }),
  ],
  ['a stream of its own choice', head(GET, 2)],
  ['a push', frame(FRAME.pushPromise, { stream: 1, flags: END_HEADERS, payload: h2.number(2) })],
  ['data of no stream', body('x')],
  ['a frame that is too long', frame(FRAME.data, { stream: 1, payload: Buffer.alloc(20_000) })],
  [
    'more padding than frame',
    posted(),
    frame(FRAME.data, { stream: 1, flags: h2.PADDED, payload: Buffer.of(9, 1) }),
  ],
  ['a window that grows by nothing', frame(FRAME.windowUpdate, { payload: h2.number(0) })],
  [
    'a window beyond its limit',
    times(2, () => frame(FRAME.windowUpdate, { payload: h2.number(2 ** 31 - 1) })),
  ],
  ['a hundred settings', h2.settings(Array.from({ length: 100 }, () => [4, 65_535] as const))],
  ['settings without an end', times(20_000, () => h2.settings())],
  [
    'priorities without an end',
    times(50_000, () => frame(FRAME.priority, { stream: 1, payload: Buffer.alloc(5) })),
  ],
  [
    'frames nobody knows without an end',
    times(50_000, () => frame(77, { payload: Buffer.alloc(1) })),
  ],
  [
    'a header block without an end',
    frame(FRAME.headers, { stream: 1, flags: END_STREAM, payload: block(GET) }),
    times(10_000, () => frame(FRAME.continuation, { stream: 1 })),
  ],
  ['empty data without an end', posted(), times(50_000, () => body('', 0))],
  [
    'requests that are taken back',
    times(5000, (at) => Buffer.concat([head(GET, 1 + 2 * at), h2.reset(1 + 2 * at)])),
  ],
  [
    'requests that have us take them back',
    times(5000, (at) =>
      Buffer.concat([
        head(GET, 1 + 2 * at, END_HEADERS),
        frame(FRAME.windowUpdate, { stream: 1 + 2 * at, payload: h2.number(0) }),
      ]),
    ),
  ],
  [
    'requests that are none, without an end',
    times(5000, (at) => head([...GET, ['connection', 'close']], 1 + 2 * at)),
  ],
];

describe('a connection of HTTP/2 with', () => {
  let rig: Rig;
  let web: Witness;
  before(async () => {
    rig = await Rig.open({ headTimeoutMs: 300 });
    web = await Witness.open(rig, 'web');
  });
  after(() => rig.close());

  const peer = (...frames: readonly Buffer[]) => peerTo(rig, web.service, ...frames);

  for (const [name, ...frames] of BROKEN) {
    test(`${name} ends`, async () => {
      const [before, seen] = [rig.lines.length, web.seen.length];
      const raw = await peer(...frames);
      assert.notEqual(await raw.end(), 0);
      const line = await refusalLine(rig, before);
      assert.equal(line['protocol'], 'http2');
      assert.equal(web.seen.length, seen);
      assert.ok(await web.stillServes());
    });
  }

  test('half a header block ends when it stays out', async () => {
    const before = rig.lines.length;
    const raw = await peer(frame(FRAME.headers, { stream: 1, payload: block(GET) }));
    await raw.end();
    assert.equal((await refusalLine(rig, before))['reason'], 'slow_head');
  });

  test('half a frame of headers ends when it stays out', async () => {
    const before = rig.lines.length;
    const raw = await peer(head(GET).subarray(0, 20));
    await raw.end();
    assert.equal((await refusalLine(rig, before))['reason'], 'slow_head');
  });

  test('windows without an end ends', async () => {
    const before = rig.lines.length;
    const raw = await peer(
      times(450_000, () => frame(FRAME.windowUpdate, { payload: h2.number(1) })),
    );
    await raw.end();
    assert.equal((await refusalLine(rig, before))['reason'], 'overhead');
  });
});
