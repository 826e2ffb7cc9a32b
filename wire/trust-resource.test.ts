// Trust bundles and reports on the wire: field numbers, round trips, and bytes that are neither.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ANY_TRUST_BUNDLE } from '../mesh/test-arbitraries.ts';
import type { TrustReport } from '../mesh/trust.ts';
import { decodeClientFrame, encodeClientFrame } from './discovery.ts';
import { DecodeError } from './protobuf.ts';
import {
  decodeTrustBundle,
  decodeTrustReport,
  encodeTrustBundle,
  encodeTrustReport,
} from './trust-resource.ts';

const field = (number: number, body: string): Buffer =>
  Buffer.concat([Buffer.of((number << 3) | 2, body.length), Buffer.from(body)]);

const ANY_REPORT: fc.Arbitrary<TrustReport> = fc.record(
  {
    bundle: fc.string(),
    retiring: fc.array(fc.string(), { maxLength: 3 }),
    rootsInUse: fc.array(fc.string(), { maxLength: 3 }),
    earliestEnd: fc.integer({ min: 0, max: 4e12 }),
    failing: fc.nat(),
    error: fc.string(),
  },
  { noNullPrototype: true },
);

function onlyDecodeErrors(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof DecodeError, String(error));
  }
}

describe('a trust bundle on the wire', () => {
  test('has the numbers it was given once and for all', () => {
    const bytes = [
      [1, 'td'],
      [2, 'r1'],
      [2, 'r2'],
      [3, 'a'],
      [4, 'ff'],
      [6, 'crl'],
    ] as const;
    const body = Buffer.concat([
      ...bytes.map(([number, text]) => field(number, text)),
      Buffer.of(5 << 3, 7),
    ]);
    assert.deepEqual(decodeTrustBundle(body), {
      trustDomain: 'td',
      roots: ['r1', 'r2'],
      aliases: ['a'],
      retiring: ['ff'],
      renewWithinMs: 7,
      crls: ['crl'],
    });
  });

  test('is read back as it was written', () => {
    fc.assert(
      fc.property(ANY_TRUST_BUNDLE, (bundle) =>
        assert.deepEqual(decodeTrustBundle(encodeTrustBundle(bundle)), bundle),
      ),
    );
  });

  test('without a root or a trust domain is refused: it would end all trust', () => {
    assert.throws(() => decodeTrustBundle(field(1, 'td')), DecodeError);
    assert.throws(() => decodeTrustBundle(field(2, 'root')), DecodeError);
  });

  test('bytes give a bundle or a DecodeError, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        onlyDecodeErrors(() => decodeTrustBundle(bytes));
        onlyDecodeErrors(() => decodeTrustReport(bytes));
      }),
    );
  });
});

describe('a report on trust', () => {
  test('is read back as it was written, also inside a frame, also when it says nothing', () => {
    fc.assert(
      fc.property(ANY_REPORT, (report) => {
        assert.deepEqual(decodeTrustReport(encodeTrustReport(report)), report);
        const frame = { kind: 'trust-report', report } as const;
        assert.deepEqual(decodeClientFrame(encodeClientFrame(frame)), frame);
      }),
      {
        examples: [
          [{ bundle: '', retiring: [], rootsInUse: [], earliestEnd: 0, failing: 0, error: '' }],
        ],
      },
    );
  });
});
