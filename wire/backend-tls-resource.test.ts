import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type BackendTls, type BackendTlsTerms, backendTlsKey } from '../mesh/backend-tls.ts';
import { closedBackendTls, decodeBackendTls, encodeBackendTls } from './backend-tls-resource.ts';
import { DecodeError } from './protobuf.ts';

const terms: fc.Arbitrary<BackendTlsTerms> = fc.oneof(
  fc.record({
    kind: fc.constant('verify' as const),
    serverName: fc.string(),
    names: fc.array(
      fc.record({ kind: fc.constantFrom('dns' as const, 'uri' as const), value: fc.string() }),
      { maxLength: 3 },
    ),
    roots: fc.option(fc.string(), { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('broken' as const), why: fc.string() }),
);
const anyBackendTls: fc.Arbitrary<BackendTls> = fc.record({
  service: fc.string({ minLength: 1 }),
  port: fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined }),
  terms,
});

describe('TLS of a backend as a resource of discovery', () => {
  test('what was encoded is decoded', () => {
    fc.assert(
      fc.property(anyBackendTls, (value) => {
        const decoded = decodeBackendTls(encodeBackendTls(value));
        assert.deepEqual(JSON.parse(JSON.stringify(decoded)), JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test('bytes of any sort decode or give a DecodeError', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          decodeBackendTls(bytes);
        } catch (error) {
          assert.ok(error instanceof DecodeError);
        }
      }),
    );
  });

  test('what cannot be read closes the way it was for, and no other', () => {
    for (const port of [undefined, 443]) {
      const key = backendTlsKey({ service: 'shop/web.shop.svc', port });
      const closed = closedBackendTls(key, 'because');
      assert.deepEqual(closed, {
        service: 'shop/web.shop.svc',
        port,
        terms: { kind: 'broken', why: 'because' },
      });
    }
    assert.equal(closedBackendTls('nothing of ours', 'because'), undefined);
    assert.equal(closedBackendTls('shop/web:0443', 'because'), undefined);
  });
});
