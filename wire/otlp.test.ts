import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  type Attributes,
  decodeSpans,
  decodeSpansAnswer,
  encodeSpans,
  type SpanRecord,
} from './otlp.ts';
import { DecodeError } from './protobuf.ts';

const digits = (length: number): fc.Arbitrary<string> =>
  fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));
const text = fc.string({ unit: 'grapheme' });
const attributes: fc.Arbitrary<Attributes> = fc.dictionary(
  text.filter((key) => key !== '__proto__'),
  fc.oneof(text, fc.boolean(), fc.maxSafeInteger(), fc.double({ noNaN: true })),
  { noNullPrototype: true },
);
const microseconds = fc
  .integer({ min: 0, max: 4_000_000_000_000_000 })
  .map((micros) => micros / 1000);
const spans: fc.Arbitrary<SpanRecord> = fc.record({
  context: fc.record({
    traceId: digits(32),
    spanId: digits(16),
    sampled: fc.boolean(),
    state: text,
  }),
  parentSpanId: fc.option(digits(16), { nil: undefined }),
  name: text,
  kind: fc.constantFrom('server', 'client'),
  startMs: microseconds,
  endMs: microseconds,
  attributes,
  failure: fc.option(text, { nil: undefined }),
  link: fc.option(fc.record({ traceId: digits(32), spanId: digits(16) }), { nil: undefined }),
});

describe('spans in OTLP', () => {
  test('are read back as they were written', () => {
    fc.assert(
      fc.property(attributes, fc.array(spans, { maxLength: 3 }), (resource, spans) => {
        // a double that is a whole number comes back as one: -0 and 1.0 are the same to a collector
        assert.deepEqual(
          plain(decodeSpans(encodeSpans({ resource, spans }))),
          plain([{ resource, spans }]),
        );
      }),
    );
  });

  test('reading throws nothing but DecodeError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const read of [decodeSpans, decodeSpansAnswer]) {
          try {
            read(bytes);
          } catch (error) {
            assert.ok(error instanceof DecodeError);
          }
        }
      }),
    );
  });

  test('an empty answer is a whole success; a partial one says how much was left out', () => {
    assert.deepEqual(decodeSpansAnswer(new Uint8Array()), { rejected: 0, message: '' });
    const partial = Buffer.from('0a0708051203626164', 'hex');
    assert.deepEqual(decodeSpansAnswer(partial), { rejected: 5, message: 'bad' });
  });
});

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
