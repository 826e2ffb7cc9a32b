import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeText, encodeText } from './grpc-message.ts';

describe('gRPC message of one text', () => {
  test('is what the specification says', () => {
    assert.equal(encodeText('abc').toString('hex'), '00000000050a03616263');
    assert.equal(encodeText('').toString('hex'), '0000000000');
  });

  test('comes back as it was, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40_000 }), (text) => {
        assert.equal(decodeText(encodeText(text)), text);
      }),
    );
  });

  test('bytes that are none give an Error that says why, never a text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          assert.equal(typeof decodeText(Buffer.from(bytes)), 'string');
        } catch (error) {
          assert.match((error as Error).message, /gRPC message/);
        }
      }),
    );
    for (const [bytes, why] of [
      ['0100000000', /compressed/],
      ['00ffffffff', /too long/],
      ['00000000050a', /ended after 1/],
      ['00000000020a05', /cut off/],
      ['00000000021205', /field 1/],
    ] as const) {
      assert.throws(() => decodeText(Buffer.from(bytes, 'hex')), why);
    }
  });
});
