import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DecodeError } from './protobuf.ts';
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  MAX_MESSAGE_BYTES,
  TtrpcReader,
} from './ttrpc.ts';

const STREAM = fc.integer({ min: 1, max: 0xffff_ffff });
const BYTES = fc.uint8Array({ maxLength: 300 });

/** The same bytes in pieces of other sizes. */
function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? bytes.length;
    parts.push(bytes.subarray(at, at + size));
    at += size;
  }
  return parts;
}

describe('ttrpc frames', () => {
  test('have the header the protocol gives: length, stream, type, flags', () => {
    const bytes = encodeRequest(3, {
      service: 's',
      method: 'm',
      payload: Uint8Array.of(7),
      timeoutMs: 0,
    });
    assert.deepEqual(
      Buffer.from(bytes).toString('hex'),
      // 9 bytes; stream 3; request; no flags; then fields 1, 2 and 3
      `${'00000009'}${'00000003'}01000a01731201${'6d'}1a0107`,
    );
  });

  test('come back whole and in order, however the bytes are cut', () =>
    fc.assert(
      fc.property(
        fc.array(fc.record({ stream: STREAM, payload: BYTES }), { maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        (calls, sizes) => {
          const bytes = Buffer.concat(
            calls.map(({ stream, payload }) =>
              encodeRequest(stream, { service: 'a.B', method: 'C', payload, timeoutMs: 2000 }),
            ),
          );
          const reader = new TtrpcReader();
          const read = cut(bytes, sizes).flatMap((part) => reader.take(part));
          assert.deepEqual(
            read.map(({ kind, stream, body }) => {
              const request = decodeRequest(body);
              return { kind, stream, ...request, payload: [...request.payload] };
            }),
            calls.map(({ stream, payload }) => ({
              kind: 'request',
              stream,
              service: 'a.B',
              method: 'C',
              payload: [...payload],
              timeoutMs: 2000,
            })),
          );
        },
      ),
    ));

  test('of a later version are told apart and skipped', () => {
    const reader = new TtrpcReader();
    const bytes = Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 1, 9, 0, 42, 0, 0, 0, 0, 0, 0, 0, 2, 3, 4);
    assert.deepEqual(
      reader.take(bytes).map(({ kind, stream, body }) => [kind, stream, body.length]),
      [
        ['other', 1, 1],
        ['data', 2, 0],
      ],
    );
  });

  test('larger than the protocol allows are refused by their header alone', () => {
    const header = Uint8Array.of(0, 64, 0, 1, 0, 0, 0, 1, 1, 0);
    assert.throws(() => new TtrpcReader().take(header), DecodeError);
    const payload = new Uint8Array(MAX_MESSAGE_BYTES);
    assert.throws(
      () => encodeRequest(1, { service: '', method: '', payload, timeoutMs: 0 }),
      RangeError,
    );
  });

  test('garbage gives frames or a DecodeError, nothing else', () =>
    fc.assert(
      fc.property(fc.array(BYTES, { maxLength: 6 }), (parts) => {
        const reader = new TtrpcReader();
        try {
          for (const part of parts) reader.take(part);
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
      }),
    ));
});

describe('a ttrpc answer', () => {
  const body = (bytes: Uint8Array): Uint8Array => new TtrpcReader().take(bytes)[0]?.body as never;

  test('is a payload, or a status with its message', () => {
    const good = { ok: true, payload: Uint8Array.of(1, 2) } as const;
    const bad = { ok: false, code: 2, message: 'no rules' } as const;
    assert.deepEqual(decodeResponse(body(encodeResponse(1, good))), good);
    assert.deepEqual(decodeResponse(body(encodeResponse(1, bad))), bad);
  });

  test('bytes give an answer or a DecodeError, whatever they are', () =>
    fc.assert(
      fc.property(BYTES, (bytes) => {
        for (const decode of [decodeRequest, decodeResponse]) {
          try {
            decode(bytes);
          } catch (error) {
            assert.ok(error instanceof DecodeError, String(error));
          }
        }
      }),
    ));
});
