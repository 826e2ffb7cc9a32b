import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KUBERNETES_RESTARTS, RestartDelay } from './restart-delay.ts';

test('at once, then 10 s, doubling to 5 min; a long run clears the past', () => {
  const delay = new RestartDelay(KUBERNETES_RESTARTS);
  const waits = Array.from({ length: 8 }, () => delay.next(1000) / 1000);
  assert.deepEqual(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
  assert.equal(delay.next(600_000), 0);
  assert.equal(delay.next(1000), 10_000);
});
