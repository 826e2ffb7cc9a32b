// uriNames() against certificates of another library, and against damage.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import { uriNames } from './der.ts';
import { createTestCa, type TestCa } from './test-ca.ts';

const ID = 'spiffe://cluster.local/ns/a/sa/b';
let ca: TestCa;
before(async () => {
  ca = await createTestCa();
});

async function leafWith(uris: readonly string[]): Promise<Uint8Array> {
  const { chainPem } = await ca.svid(ID, { uris });
  return new X509Certificate(chainPem).raw;
}

describe('uriNames()', () => {
  test('gives every URI name in order, exactly as it is in the certificate', async () => {
    const uris = [ID, 'https://x.example/?a=b', 'x, URI:spiffe://evil/ns/a/sa/b', '"quoted"'];
    assert.deepEqual(uriNames(await leafWith(uris)), uris);
  });

  test('gives nothing for a certificate without names', () => {
    assert.deepEqual(uriNames(new X509Certificate(ca.rootPem).raw), []);
  });

  test('refuses more than 32 URI names', async () => {
    const many = Array.from({ length: 33 }, (_, i) => `spiffe://td/ns/a/sa/s${i}`);
    const certificate = await leafWith(many);
    assert.throws(() => uriNames(certificate), SyntaxError);
  });

  test('reads any URI that a certificate can hold (property)', async () => {
    const uri = fc.string({ minLength: 1, maxLength: 200, unit: 'grapheme-ascii' });
    await fc.assert(
      fc.asyncProperty(fc.array(uri, { minLength: 1, maxLength: 8 }), async (uris) => {
        assert.deepEqual(uriNames(await leafWith(uris)), uris);
      }),
      { numRuns: 30 },
    );
  });

  test('answers any damage with names or a SyntaxError, never otherwise (property)', async () => {
    const certificate = await leafWith([ID]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(certificate.length - 1), fc.nat(255)), { maxLength: 8 }),
        fc.nat(certificate.length),
        (changes, length) => {
          const damaged = Uint8Array.from(certificate);
          for (const [at, value] of changes) damaged[at] = value;
          try {
            uriNames(damaged.subarray(0, length));
          } catch (error) {
            assert.ok(error instanceof SyntaxError, String(error));
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('refuses random bytes (property)', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        assert.throws(() => uriNames(bytes), SyntaxError);
      }),
    );
  });
});
