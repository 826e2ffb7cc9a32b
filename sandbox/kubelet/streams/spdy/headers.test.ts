import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { constants, deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { StreamProtocolError } from '../session.ts';
import { DICTIONARY } from './dictionary.ts';
import { HeaderDecoder, HeaderEncoder } from './headers.ts';

function adler32(bytes: Buffer): number {
  let low = 1;
  let high = 0;
  for (const byte of bytes) {
    low = (low + byte) % 65_521;
    high = (high + low) % 65_521;
  }
  return ((high << 16) | low) >>> 0;
}

const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);

describe('header blocks', () => {
  test('the dictionary is the one of the protocol', () => {
    assert.equal(DICTIONARY.length, 1423);
    assert.equal(adler32(DICTIONARY), 0xe3c6a7c2);
  });

  test('come back as they were sent, one after the other on one zlib stream', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(fc.tuple(name, fc.string()))), async (blocks) => {
        using encoder = new HeaderEncoder();
        using decoder = new HeaderDecoder();
        for (const entries of blocks) {
          const headers = new Map(entries);
          assert.deepEqual(await decoder.decode(await encoder.encode(headers)), headers);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('have lower-case names', async () => {
    using encoder = new HeaderEncoder();
    using decoder = new HeaderDecoder();
    const block = await encoder.encode(new Map([['StreamType', 'Data']]));
    assert.deepEqual(await decoder.decode(block), new Map([['streamtype', 'Data']]));
  });

  test('that inflate beyond the limit are refused', async () => {
    using decoder = new HeaderDecoder();
    const bomb = deflateSync(Buffer.alloc(10_000_000), {
      dictionary: DICTIONARY,
      finishFlush: constants.Z_SYNC_FLUSH,
    });
    await assert.rejects(decoder.decode(bomb), StreamProtocolError);
  });

  test('of arbitrary content are read or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (content) => {
        using decoder = new HeaderDecoder();
        const block = deflateSync(content, {
          dictionary: DICTIONARY,
          finishFlush: constants.Z_SYNC_FLUSH,
        });
        await decoder.decode(block).catch((error: unknown) => {
          assert.ok(error instanceof StreamProtocolError);
        });
      }),
      { numRuns: 100 },
    );
  });

  test('that are not deflated are refused', async () => {
    using decoder = new HeaderDecoder();
    await assert.rejects(decoder.decode(Buffer.from('hello world')), StreamProtocolError);
  });
});
