import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { GrpcMessageCounter } from './grpc-messages.ts';

function message(body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + body.length);
  new DataView(bytes.buffer).setUint32(1, body.length);
  bytes.set(body, 5);
  return bytes;
}

describe('messages of gRPC', () => {
  test('are counted however the bytes are cut', () => {
    const bodies = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 });
    fc.assert(
      fc.property(bodies, fc.array(fc.integer({ min: 1, max: 50 })), (bodies, cuts) => {
        const counter = new GrpcMessageCounter();
        let rest = Buffer.concat(bodies.map(message));
        for (const cut of cuts) {
          counter.add(rest.subarray(0, cut));
          rest = rest.subarray(cut);
        }
        counter.add(rest);
        assert.equal(counter.count, bodies.length);
      }),
    );
  });

  test('of any length are skipped, not waited for', () => {
    const counter = new GrpcMessageCounter();
    counter.add(Buffer.from('01ffffffff', 'hex'));
    counter.add(Buffer.alloc(1000));
    assert.equal(counter.count, 1);
  });

  test('bytes that are none harm nothing', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (chunks) => {
        const counter = new GrpcMessageCounter();
        for (const chunk of chunks) counter.add(chunk);
      }),
    );
  });
});
