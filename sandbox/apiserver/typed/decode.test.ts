import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Writer } from 'protobufjs/minimal.js';
import { StatusError } from '../errors.ts';
import { decodeTypedBody, typeOfProtobuf } from './decode.ts';

const text = (writer: Writer, number: number, value: string): Writer =>
  writer.uint32((number << 3) | 2).string(value);
const nested = (writer: Writer, number: number, inner: Writer): Writer =>
  writer.uint32((number << 3) | 2).bytes(inner.finish());

function body(apiVersion: string, kind: string, raw: Writer): Buffer {
  const type = text(text(Writer.create(), 1, apiVersion), 2, kind);
  const unknown = nested(nested(Writer.create(), 1, type), 2, raw);
  return Buffer.concat([Buffer.from('k8s\0', 'latin1'), unknown.finish()]);
}

describe('decodeTypedBody()', () => {
  test('reads names, maps, and drops what Go sends for nothing', () => {
    const label = text(text(Writer.create(), 1, 'app'), 2, 'web');
    const metadata = nested(text(text(Writer.create(), 1, 'shop'), 3, ''), 11, label);
    // the zero creationTimestamp is an empty message
    nested(metadata, 8, Writer.create());
    const raw = nested(Writer.create(), 1, metadata);
    assert.deepEqual(decodeTypedBody(body('v1', 'Namespace', raw)), {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels: { app: 'web' } },
    });
  });

  test('keeps a zero that means something, and drops one that does not', () => {
    const spec = Writer.create()
      .uint32((1 << 3) | 0)
      .int32(0)
      .uint32((5 << 3) | 0)
      .int32(0);
    const { spec: read } = decodeTypedBody(
      body('apps/v1', 'Deployment', nested(Writer.create(), 2, spec)),
    );
    assert.deepEqual(read, { replicas: 0 });
  });

  test('reads int-or-string, quantities, inlined messages and times', () => {
    const port = nested(
      nested(
        Writer.create()
          .uint32((3 << 3) | 0)
          .int32(80),
        4,
        text(Writer.create().uint32(8).int64(1), 3, 'http'),
      ),
      6,
      Writer.create(),
    );
    const service = nested(Writer.create(), 2, nested(Writer.create(), 1, port));
    const { spec } = decodeTypedBody(body('v1', 'Service', service)) as {
      spec: { ports: unknown[] };
    };
    assert.deepEqual(spec.ports[0], { port: 80, targetPort: 'http' });
    const lease = nested(
      Writer.create(),
      2,
      nested(
        Writer.create(),
        4,
        Writer.create().uint32(8).int64(1_700_000_000).uint32(16).int32(5_000_000),
      ),
    );
    assert.deepEqual(decodeTypedBody(body('coordination.k8s.io/v1', 'Lease', lease))['spec'], {
      renewTime: '2023-11-14T22:13:20.005000Z',
    });
  });

  test('an unknown kind is named in the refusal', () => {
    assert.throws(
      () => decodeTypedBody(body('v1', 'Gizmo', Writer.create())),
      /v1 Gizmo is not taken in protobuf/,
    );
  });

  test('any bytes are read or refused with 400, never anything else', () => {
    const kinds = fc.constantFrom(
      ['v1', 'Pod'],
      ['apps/v1', 'Deployment'],
      ['v1', 'Event'],
      ['batch/v1', 'CronJob'],
    );
    fc.assert(
      fc.property(kinds, fc.uint8Array({ maxLength: 60 }), ([apiVersion, kind], bytes) => {
        const raw = Writer.create().raw(bytes);
        try {
          decodeTypedBody(body(apiVersion ?? '', kind ?? '', raw));
        } catch (error) {
          assert.ok(error instanceof StatusError && error.code === 400, String(error));
        }
      }),
    );
  });

  test('a body cut anywhere is refused or still an object', () => {
    const metadata = text(Writer.create(), 1, 'shop');
    const whole = body('v1', 'Namespace', nested(Writer.create(), 1, metadata));
    for (let length = 0; length < whole.length; length += 1) {
      const cut = whole.subarray(0, length);
      const type = typeOfProtobuf(cut);
      if (type === undefined) assert.throws(() => decodeTypedBody(cut), StatusError);
    }
  });
});
