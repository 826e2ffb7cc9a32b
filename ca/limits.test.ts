// What one caller may ask for, and that nobody else pays for him.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../runtime/manual-clock.ts';
import { Limits } from './limits.ts';

describe('Limits', () => {
  test('an address has so many requests under way, others are not touched, and places come back', () => {
    const limits = new Limits({ clock: new ManualClock() });
    const ends = Array.from({ length: 64 }, () => limits.enter('10.0.0.1'));
    assert.ok(ends.every((end) => end !== undefined));
    assert.equal(limits.enter('10.0.0.1'), undefined);
    assert.ok(limits.enter('10.0.0.2'));
    ends[0]?.();
    assert.ok(limits.enter('10.0.0.1'));
  });

  test('a caller has the burst of the largest node, then ten a second, and others theirs', async () => {
    const clock = new ManualClock();
    const limits = new Limits({ clock });
    const granted = (): number =>
      Array.from({ length: 1000 }, () => limits.take('a')).filter(Boolean).length;
    assert.equal(granted(), 512);
    assert.ok(limits.take('b'));
    await clock.advance(3000);
    assert.equal(granted(), 30);
    await clock.advance(3_600_000);
    assert.equal(granted(), 512);
  });

  test('a clock that is set gives nobody more', () => {
    const clock = new ManualClock();
    const limits = new Limits({ clock });
    for (let i = 0; i < 512; i++) limits.take('a');
    clock.jump(3_600_000);
    assert.ok(!limits.take('a'));
  });

  test('what is remembered of callers is bounded', () => {
    const limits = new Limits({ clock: new ManualClock() });
    for (let i = 0; i < 25_000; i++) limits.take(`caller-${i}`);
    assert.equal(limits.callers, 10_000);
  });
});
