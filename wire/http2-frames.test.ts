import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FrameHeads } from './http2-frames.ts';

function frame(type: number, flags: number, stream: number, payload: readonly number[]): number[] {
  const { length } = payload;
  const id = [(stream >>> 24) & 255, (stream >>> 16) & 255, (stream >>> 8) & 255, stream & 255];
  return [length >> 16, (length >> 8) & 255, length & 255, type, flags, ...id, ...payload];
}

function readIn(bytes: readonly number[], pieces: readonly number[], preface = 0) {
  const resets: [number, number][] = [];
  const heads = new FrameHeads(preface, (stream, code) => void resets.push([stream, code]));
  let at = 0;
  for (const size of pieces) heads.push(Uint8Array.from(bytes.slice(at, (at += size))));
  heads.push(Uint8Array.from(bytes.slice(at)));
  return { resets, inHeaders: heads.inHeaders };
}

const frames = fc.record({
  type: fc.integer({ min: 0, max: 12 }),
  flags: fc.constantFrom(0, 1, 4, 5),
  stream: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  payload: fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 40 }),
});

describe('the heads of frames', () => {
  test('are the same in whichever pieces the bytes come', () => {
    const pieces = fc.array(fc.integer({ min: 0, max: 30 }));
    fc.assert(
      fc.property(fc.array(frames), pieces, (all, sizes) => {
        const bytes = all.flatMap((one) => frame(one.type, one.flags, one.stream, one.payload));
        const expected = all
          .filter(({ type, payload }) => type === 3 && payload.length >= 4)
          .map(({ stream, payload: [a = 0, b = 0, c = 0, d = 0] }) => [
            stream,
            a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d,
          ]);
        assert.deepEqual(readIn(bytes, sizes).resets, expected);
      }),
    );
  });

  test('never throw, whatever comes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => new FrameHeads(0).push(bytes)),
    );
  });

  test('tell of a header block from its first byte to its last', () => {
    const half = frame(1, 0, 1, [1, 2, 3]);
    const rest = frame(9, 4, 1, [4]);
    const both = [...half, ...rest];
    assert.equal(readIn(half, []).inHeaders, true);
    assert.equal(readIn(both, []).inHeaders, false);
    assert.equal(readIn(both.slice(0, -1), []).inHeaders, true);
    assert.equal(readIn(frame(1, 4, 1, []), []).inHeaders, false);
  });

  test('begin after the preface', () => {
    assert.deepEqual(readIn([9, 9, 9, ...frame(3, 0, 5, [0, 0, 0, 8])], [2], 3).resets, [[5, 8]]);
  });
});
