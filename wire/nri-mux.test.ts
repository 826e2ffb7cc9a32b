import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { encodePieces, MuxReader, PLUGIN_CONNECTION, RUNTIME_CONNECTION } from './nri-mux.ts';
import { DecodeError } from './protobuf.ts';

const CONNECTION = fc.constantFrom(PLUGIN_CONNECTION, RUNTIME_CONNECTION, 77);

describe('the multiplexer of NRI', () => {
  test('puts connection and length before each piece', () =>
    assert.equal(
      Buffer.from(encodePieces(PLUGIN_CONNECTION, Uint8Array.of(5, 6))).toString('hex'),
      '00000001000000020506',
    ));

  test('sends no piece larger than the 4 KiB the other end reads at once', () => {
    const sizes = new Map<number, number>();
    const bytes = encodePieces(RUNTIME_CONNECTION, new Uint8Array(10_000));
    for (let at = 0; at < bytes.length; ) {
      const size = new DataView(bytes.buffer).getUint32(at + 4);
      sizes.set(size, (sizes.get(size) ?? 0) + 1);
      at += 8 + size;
    }
    assert.deepEqual(
      [...sizes],
      [
        [4096, 2],
        [1808, 1],
      ],
    );
  });

  test('gives each connection its bytes in order, however the stream is cut', () =>
    fc.assert(
      fc.property(
        fc.array(fc.tuple(CONNECTION, fc.uint8Array({ maxLength: 60 })), { maxLength: 8 }),
        fc.integer({ min: 1, max: 30 }),
        (writes, size) => {
          const stream = Buffer.concat(writes.map(([to, bytes]) => encodePieces(to, bytes)));
          const reader = new MuxReader();
          const read = new Map<number, number[]>();
          const sent = new Map<number, number[]>();
          for (const [to, bytes] of writes) {
            if (bytes.length > 0) sent.set(to, [...(sent.get(to) ?? []), ...bytes]);
          }
          for (let at = 0; at < stream.length; at += size) {
            for (const { connection, bytes } of reader.take(stream.subarray(at, at + size))) {
              read.set(connection, [...(read.get(connection) ?? []), ...bytes]);
            }
          }
          assert.deepEqual(read, sent);
        },
      ),
    ));

  test('a piece larger than any peer sends is refused by its header alone', () =>
    assert.throws(
      () => new MuxReader().take(Uint8Array.of(0, 0, 0, 1, 255, 255, 255, 255)),
      DecodeError,
    ));

  test('garbage gives pieces or a DecodeError, nothing else', () =>
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }), (parts) => {
        const reader = new MuxReader();
        try {
          for (const part of parts) reader.take(part);
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
      }),
    ));
});
