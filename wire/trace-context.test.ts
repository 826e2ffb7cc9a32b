import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { HeaderList } from '../mesh/http-request.ts';
import {
  formatTraceparent,
  NO_TRACE,
  newSpanId,
  newTrace,
  readTraceHeaders,
  readTraceparent,
  sampledByRatio,
  type TraceContext,
  withTrace,
} from './trace-context.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const W3C = `00-${TRACE}-${SPAN}-01`;

const digits = (length: number): fc.Arbitrary<string> =>
  fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`)).filter((text) => !/^0+$/.test(text));
const contexts: fc.Arbitrary<TraceContext> = fc.record({
  traceId: digits(32),
  spanId: digits(16),
  sampled: fc.boolean(),
  state: fc.constantFrom('', 'a=b', 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE'),
});
const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[0-9a-fd-]*$/));

describe('traceparent', () => {
  test('24 random bytes make one that is read back', () => {
    const made = newTrace(
      Uint8Array.from({ length: 24 }, (_, index) => index),
      false,
    );
    const text = formatTraceparent(made);
    assert.equal(text, '00-000102030405060708090a0b0c0d0e0f-1011121314151617-00');
    const { sampled, ...parent } = made;
    assert.deepEqual(readTraceparent(text), { parent, sampled, forms: ['w3c'] });
    assert.equal(newSpanId(new Uint8Array([0, 255, 1, 2, 3, 4, 5, 6])), '00ff010203040506');
  });

  test('wrong lengths, capitals, zero identifiers and version ff are none', () => {
    for (const text of [
      undefined,
      '',
      `ff-${TRACE}-${SPAN}-00`,
      `00-${TRACE}-${SPAN}`,
      `00-${TRACE}-${SPAN}-000`,
      `00-${TRACE}-${SPAN}-00-more`,
      `00-${TRACE.toUpperCase()}-${SPAN}-00`,
      `00-${'0'.repeat(32)}-${SPAN}-00`,
      `00-${TRACE}-${'0'.repeat(16)}-00`,
      `00-${TRACE}-${SPAN}-00\n`,
      `${W3C},${W3C}`,
    ]) {
      assert.equal(readTraceparent(text), undefined, String(text));
    }
  });

  test('of a later version is read as far as this one goes', () => {
    assert.equal(readTraceparent(`01-${TRACE}-${SPAN}-03-what.the`)?.parent?.spanId, SPAN);
    assert.equal(readTraceparent(`cc-${TRACE}-${SPAN}-01`)?.sampled, true);
  });
});

describe('the trace headers of a request', () => {
  const of = (...headers: [string, string][]) => readTraceHeaders(headers);

  test('none is no trace', () => {
    assert.equal(of(['host', 'web'], ['x-request-id', '1']), NO_TRACE);
    assert.equal(of(['traceparent', 'nonsense'], ['b3', '?']), NO_TRACE);
  });

  test('W3C counts more than B3, and both go on', () => {
    const read = of(['b3', `${'1'.repeat(32)}-${SPAN}-0`], ['traceparent', W3C]);
    assert.equal(read.parent?.traceId, TRACE);
    assert.equal(read.sampled, true);
    assert.deepEqual(read.forms, ['w3c', 'b3']);
  });

  test('a traceparent that came twice is none', () => {
    assert.equal(of(['traceparent', W3C], ['traceparent', W3C]), NO_TRACE);
  });

  test('tracestate of several lines is one; a broken one is left out, the trace holds', () => {
    const good = of(['traceparent', W3C], ['tracestate', 'a=1, b@x=2'], ['tracestate', ',c=3']);
    assert.equal(good.parent?.state, 'a=1,b@x=2,c=3');
    const many = Array.from({ length: 33 }, (_, n) => `k${n}=v`).join(',');
    for (const state of ['=', 'A=1', 'a', 'a=1\u0000', many, `a=${'v'.repeat(5000)}`]) {
      const read = of(['traceparent', W3C], ['tracestate', state]);
      assert.deepEqual([read.parent?.traceId, read.parent?.state], [TRACE, ''], state);
    }
    assert.equal(of(['tracestate', 'a=1']), NO_TRACE, 'alone it says nothing');
  });

  test('B3 in one header: with a decision, without one, and a decision alone', () => {
    const short = of(['b3', `a3ce929d0e0e4736-${SPAN}-d-05e3ac9a4f6e3b90`]);
    assert.equal(short.parent?.traceId, '0000000000000000a3ce929d0e0e4736');
    assert.equal(short.sampled, true);
    assert.equal(of(['b3', `${TRACE}-${SPAN}`]).sampled, undefined);
    assert.deepEqual(of(['b3', '0']), { parent: undefined, sampled: false, forms: ['b3'] });
  });

  test('B3 in several headers, capitals and old words for yes and no', () => {
    const read = of(
      ['x-b3-traceid', TRACE.toUpperCase()],
      ['x-b3-spanid', SPAN],
      ['x-b3-sampled', 'true'],
    );
    assert.deepEqual(read.parent, { traceId: TRACE, spanId: SPAN, state: '' });
    assert.equal(read.sampled, true);
    assert.equal(of(['x-b3-flags', '1']).sampled, true);
    assert.deepEqual(of(['x-b3-traceid', TRACE]), NO_TRACE, 'half of it is nothing');
  });

  test('are replaced by ours, in the forms of the caller', () => {
    const headers: HeaderList = [
      ['accept', '*/*'],
      ['x-b3-traceid', TRACE],
      ['x-b3-parentspanid', SPAN],
      ['b3', '0'],
    ];
    const context = { traceId: TRACE, spanId: 'a'.repeat(16), sampled: false, state: 'k=v' };
    assert.deepEqual(withTrace(headers, context, ['b3', 'b3-multi']), [
      ['accept', '*/*'],
      ['traceparent', `00-${TRACE}-${'a'.repeat(16)}-00`],
      ['tracestate', 'k=v'],
      ['b3', `${TRACE}-${'a'.repeat(16)}-0`],
      ['x-b3-traceid', TRACE],
      ['x-b3-spanid', 'a'.repeat(16)],
      ['x-b3-sampled', '0'],
    ]);
  });

  test('what is written is read back the same in every form', () => {
    const forms = fc.subarray(['w3c', 'b3', 'b3-multi'] as const);
    fc.assert(
      fc.property(contexts, forms, (context, forms) => {
        const read = readTraceHeaders(withTrace([['a', 'b']], context, forms));
        const { sampled, ...parent } = context;
        assert.deepEqual(read.parent, parent);
        assert.equal(read.sampled, sampled);
        assert.deepEqual(read.forms, ['w3c', ...forms.filter((form) => form !== 'w3c')]);
      }),
    );
  });

  test('reading never throws', () => {
    const name = fc.constantFrom(
      'traceparent',
      'tracestate',
      'b3',
      'x-b3-traceid',
      'x-b3-spanid',
      'x-b3-sampled',
      'a',
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(name, anyText)), (headers) => void readTraceHeaders(headers)),
    );
    fc.assert(fc.property(anyText, (text) => void readTraceparent(text)));
  });
});

describe('sampling by ratio', () => {
  test('nobody at 0, everybody at 1, and whoever is in a smaller part is in a larger one', () => {
    const ratios = fc.tuple(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
    );
    fc.assert(
      fc.property(digits(32), ratios, (traceId, [a, b]) => {
        assert.equal(sampledByRatio(traceId, 0), false);
        assert.equal(sampledByRatio(traceId, 1), true);
        if (sampledByRatio(traceId, Math.min(a, b))) {
          assert.equal(sampledByRatio(traceId, Math.max(a, b)), true);
        }
      }),
    );
  });

  test('takes its part of identifiers that are spread evenly', () => {
    const step = 2 ** 56 / 1000;
    const ends = Array.from({ length: 1000 }, (_, n) =>
      Math.floor((n + 0.5) * step)
        .toString(16)
        .padStart(14, '0'),
    );
    const sampled = ends.filter((end) => sampledByRatio(`${'a'.repeat(18)}${end}`, 0.01));
    assert.equal(sampled.length, 10);
  });
});
