import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { StreamProtocolError } from '../session.ts';
import { encodeFrame, type Frame, FrameReader } from './frames.ts';

const id = fc.integer({ min: 1, max: 0x7fffffff });
const number = fc.integer({ min: 0, max: 0x7fffffff });
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));

/** Records as the code makes them: with a prototype. */
const anyFrame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({
    type: fc.constant('synStream' as const),
    streamId: id,
    fin: fc.boolean(),
    unidirectional: fc.boolean(),
    block: bytes,
  }),
  fc.record({
    type: fc.constantFrom('synReply' as const, 'headers' as const),
    streamId: id,
    fin: fc.boolean(),
    block: bytes,
  }),
  fc.record({ type: fc.constant('rstStream' as const), streamId: id, status: number }),
  fc.record({
    type: fc.constant('settings' as const),
    settings: fc.array(fc.record({ id: fc.integer({ min: 1, max: 8 }), value: number }), {
      maxLength: 9,
    }),
  }),
  fc.record({ type: fc.constant('ping' as const), id: number }),
  fc.record({ type: fc.constant('goAway' as const), lastStreamId: number, status: number }),
  fc.record({ type: fc.constant('windowUpdate' as const), streamId: number, delta: number }),
  fc.record({
    type: fc.constant('data' as const),
    streamId: id,
    fin: fc.boolean(),
    payload: bytes,
  }),
);

/** Without fast-check's null prototypes. */
const frame = anyFrame.map(
  (value): Frame =>
    value.type === 'settings'
      ? { ...value, settings: value.settings.map((setting) => ({ ...setting })) }
      : { ...value },
);

/** DATA is handed on in pieces: joins them, so that lists can be compared. */
function joined(frames: readonly Frame[]): Frame[] {
  const result: Frame[] = [];
  let open: Extract<Frame, { type: 'data' }> | undefined;
  for (const next of frames) {
    if (next.type !== 'data') {
      if (open !== undefined) result.push(open);
      open = undefined;
      result.push(next);
    } else if (open !== undefined && open.streamId === next.streamId && !open.fin) {
      open = { ...next, payload: Buffer.concat([open.payload, next.payload]) };
    } else {
      if (open !== undefined) result.push(open);
      open = next;
    }
  }
  if (open !== undefined) result.push(open);
  return result;
}

describe('FrameReader', () => {
  test('reads back every sequence of frames, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 8 }),
        fc.integer({ min: 1, max: 40 }),
        (sent, size) => {
          const wire = Buffer.concat(sent.map(encodeFrame));
          const reader = new FrameReader();
          const received: Frame[] = [];
          for (let offset = 0; offset < wire.length; offset += size) {
            received.push(...reader.push(wire.subarray(offset, offset + size)));
          }
          assert.deepEqual(joined(received), joined(sent));
        },
      ),
    );
  });

  test('reads one byte at a time', () => {
    fc.assert(
      fc.property(frame, (sent) => {
        const reader = new FrameReader();
        const received = [...encodeFrame(sent)].flatMap((byte) => reader.push(Buffer.from([byte])));
        assert.deepEqual(joined(received), [sent]);
      }),
    );
  });

  test('answers arbitrary bytes with frames or a StreamProtocolError', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 }), (chunks) => {
        const reader = new FrameReader();
        try {
          for (const chunk of chunks) reader.push(Buffer.from(chunk));
        } catch (error) {
          assert.ok(error instanceof StreamProtocolError);
        }
      }),
    );
  });

  test('hands on DATA before the whole frame has come', () => {
    const wire = encodeFrame({
      type: 'data',
      streamId: 1,
      fin: true,
      payload: Buffer.alloc(100_000),
    });
    const [first] = new FrameReader().push(wire.subarray(0, 1008));
    assert.ok(first?.type === 'data');
    assert.equal(first.payload.length, 1000);
    assert.equal(first.fin, false);
  });

  test('refuses a control frame above the limit by its length alone', () => {
    const header = Buffer.from('8003000100ffffff', 'hex');
    assert.throws(() => new FrameReader().push(header), /control frame of 16777215 bytes/);
  });

  test('refuses another version', () => {
    assert.throws(
      () => new FrameReader().push(Buffer.from('8002000600000004', 'hex')),
      /version 2/,
    );
  });

  test('ignores control frames it does not know', () => {
    const credential = Buffer.from('8003000a00000002abcd', 'hex');
    const ping: Frame = { type: 'ping', id: 7 };
    const read = new FrameReader().push(Buffer.concat([credential, encodeFrame(ping)]));
    assert.deepEqual(read, [ping]);
  });
});
