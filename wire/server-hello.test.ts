import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readServerHello } from './server-hello.ts';

// record 16 0303, handshake 02, version 0303, random 32 x aa, no session id, suite 1302, extension 43 = 0304
const TLS13 = Buffer.from(
  `16 0303 0032 02 00002e 0303 ${'aa'.repeat(32)} 00 1302 00 0006 002b 0002 0304`.replaceAll(
    ' ',
    '',
  ),
  'hex',
);

describe('readServerHello()', () => {
  test('reads the chosen version and cipher suite', () => {
    assert.deepEqual(readServerHello(TLS13), { version: 0x0304, cipherSuite: 0x1302 });
  });

  test('a message cut anywhere is not one', () => {
    for (let end = 0; end < TLS13.length; end++)
      assert.equal(readServerHello(TLS13.subarray(0, end)), undefined);
  });

  test('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readServerHello(bytes)),
    );
    fc.assert(
      fc.property(fc.nat(TLS13.length - 1), fc.nat(255), (index, value) => {
        const bytes = Buffer.from(TLS13);
        bytes[index] = value;
        readServerHello(bytes);
      }),
    );
  });
});
