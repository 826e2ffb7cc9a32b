import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { deadlineOf, formatGrpcTimeout, parseGrpcTimeout, remainingMs } from './deadline.ts';

describe("gRPC's timeout", () => {
  test('has eight digits and a unit', () => {
    const texts = ['1H', '2M', '3S', '4m', '5000u', '1000000n', '99999999S', '0m'];
    assert.deepEqual(
      texts.map(parseGrpcTimeout),
      [3_600_000, 120_000, 3000, 4, 5, 1, 99_999_999_000, 0],
    );
  });

  test('is nothing in any other form', () => {
    for (const text of [
      '',
      'S',
      '5',
      '-1S',
      '+1S',
      '1.5S',
      '1s',
      '100000000S',
      ' 1S',
      '1S ',
      '1SS',
    ]) {
      assert.equal(parseGrpcTimeout(text), undefined, text);
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        const ms = parseGrpcTimeout(text);
        assert.ok(ms === undefined || ms >= 0);
      }),
    );
  });

  test('never tells the next hop more than is left, and not much less', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e14, noNaN: true }), (ms) => {
        const told = parseGrpcTimeout(formatGrpcTimeout(ms));
        assert.ok(told !== undefined && told <= ms && told >= ms * 0.99 - 0.001, String(told));
      }),
    );
    assert.deepEqual([-5, 0, 1.5, 250, 99_999_999].map(formatGrpcTimeout), [
      '0u',
      '0u',
      '1500u',
      '250000u',
      '99999999m',
    ]);
    assert.equal(formatGrpcTimeout(Number.MAX_VALUE), '99999999H');
  });
});

describe('a deadline', () => {
  test('is the shortest of those that were given', () => {
    assert.deepEqual(deadlineOf(1000, undefined, undefined), { at: undefined });
    assert.deepEqual(deadlineOf(1000, 500, undefined, 200), { at: 1200 });
  });

  test('leaves less with time, and never less than nothing', () => {
    const deadline = deadlineOf(1000, 500);
    assert.deepEqual(
      [1000, 1499, 1500, 9000].map((now) => remainingMs(deadline, now)),
      [500, 1, 0, 0],
    );
    assert.equal(remainingMs(deadlineOf(1000), 9000), undefined);
  });
});
