// A clock that is set is noticed whichever way it goes; time that merely passes is not.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { watchClock } from './clock-jumps.ts';
import { ManualClock } from './manual-clock.ts';

describe('watchClock()', () => {
  test('tells how far the clock was set, once, within ten seconds', async () => {
    const clock = new ManualClock();
    const jumps: number[] = [];
    const watch = watchClock(clock, (byMs) => jumps.push(byMs));
    await clock.advance(3_600_000);
    assert.deepEqual(jumps, []);
    clock.jump(25 * 3_600_000);
    await clock.advance(10_000);
    clock.jump(-50 * 3_600_000);
    await clock.advance(60_000);
    assert.deepEqual(jumps, [25 * 3_600_000, -50 * 3_600_000]);
    watch.close();
    assert.equal(clock.pending(), 0);
  });

  test('does not tell of what a time daemon does', async () => {
    const clock = new ManualClock();
    const jumps: number[] = [];
    const watch = watchClock(clock, (byMs) => jumps.push(byMs));
    for (let i = 0; i < 100; i++) {
      clock.jump(5);
      await clock.advance(10_000);
    }
    assert.deepEqual(jumps, []);
    watch.close();
  });
});
