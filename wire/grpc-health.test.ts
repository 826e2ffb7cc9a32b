// The bytes of gRPC's health checking protocol.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { encodeHealthCheck, isServing } from './grpc-health.ts';
import { DecodeError } from './protobuf.ts';

describe('a health check of gRPC', () => {
  test('asks for a service by name', () => {
    assert.deepEqual([...encodeHealthCheck('ab')], [0, 0, 0, 0, 4, 0x0a, 2, 0x61, 0x62]);
    assert.deepEqual([...encodeHealthCheck('')], [0, 0, 0, 0, 0]);
  });

  test('only SERVING is well', () => {
    const status = (code: number): Uint8Array => Uint8Array.of(0, 0, 0, 0, 2, 0x08, code);
    assert.equal(isServing(status(1)), true);
    for (const code of [0, 2, 3, 77]) assert.equal(isServing(status(code)), false);
    assert.equal(isServing(Uint8Array.of(0, 0, 0, 0, 0)), false);
  });

  test('bytes give an answer or a DecodeError, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          assert.equal(typeof isServing(bytes), 'boolean');
        } catch (error) {
          assert.ok(error instanceof DecodeError);
        }
      }),
    );
  });
});
