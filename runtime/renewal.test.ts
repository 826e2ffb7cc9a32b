// When to renew: properties over every life a CA may write.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { overdueAt, renewAt } from './renewal.ts';

const HOUR = 3_600_000;

describe('renewal', () => {
  test('is due in the two fifths to one half of a life, and overdue after four fifths', () => {
    const life = { notBefore: 0, notAfter: 10 * HOUR, receivedAt: 0 };
    assert.equal(renewAt(life, 0), 5 * HOUR);
    assert.equal(renewAt(life, 1), 4 * HOUR);
    assert.equal(overdueAt(life), 8 * HOUR);
  });

  test('of a short life does not count the time the CA back-dated', () => {
    const life = { notBefore: -120_000, notAfter: 20_000, receivedAt: 0 };
    assert.equal(renewAt(life, 0), 10_000);
  });

  test('is always before it is overdue, and both before the end, whatever the clocks say', () => {
    const time = fc.integer({ min: 0, max: 1e13 });
    fc.assert(
      fc.property(time, time, time, fc.double({ min: 0, max: 1, noNaN: true }), (a, b, at, r) => {
        const life = { notBefore: Math.min(a, b), notAfter: Math.max(a, b), receivedAt: at };
        assert.ok(renewAt(life, r) <= overdueAt(life));
        assert.ok(overdueAt(life) <= life.notAfter);
        assert.ok(renewAt(life, r) >= life.notBefore);
      }),
    );
  });
});
