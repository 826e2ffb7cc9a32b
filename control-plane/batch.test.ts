// Bursts: one run after a little quiet, and never later than the limit.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../runtime/manual-clock.ts';
import { batch } from './batch.ts';

function setup() {
  const clock = new ManualClock();
  const runs: number[] = [];
  const changes = batch(
    { clock, run: () => runs.push(clock.monotonic()) },
    { quietMs: 50, maxMs: 500 },
  );
  return { clock, runs, changes };
}

describe('batch()', () => {
  test('runs once, a little after the last change of a burst', async () => {
    const { clock, runs, changes } = setup();
    for (let i = 0; i < 5; i++) {
      changes.poke();
      await clock.advance(30);
    }
    await clock.advance(1000);
    assert.deepEqual(runs, [4 * 30 + 50]);
  });

  test('changes that never end do not put it off for ever', async () => {
    const { clock, runs, changes } = setup();
    for (let i = 0; i < 100; i++) {
      changes.poke();
      await clock.advance(20);
    }
    assert.ok(runs.length >= 3 && (runs[0] ?? 0) <= 500, `${runs.join()}`);
  });

  test('does not run after close', async () => {
    const { clock, runs, changes } = setup();
    changes.poke();
    changes.close();
    await clock.advance(1000);
    assert.deepEqual(runs, []);
  });
});
