// Turns: the limit holds, the urgent go first, an abandoned place is given on.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Turns } from './turns.ts';

const NEVER = new AbortController().signal;

describe('Turns', () => {
  test('runs no more than its limit at once, and all of it in the end', async () => {
    const turns = new Turns({ limit: 3 });
    let running = 0;
    let most = 0;
    let done = 0;
    await Promise.all(
      Array.from({ length: 20 }, () =>
        turns.run(
          false,
          async () => {
            most = Math.max(most, ++running);
            await new Promise((resolve) => setImmediate(resolve));
            running--;
            done++;
          },
          NEVER,
        ),
      ),
    );
    assert.deepEqual([most, done], [3, 20]);
  });

  test('lets the urgent go first, each kind in its order', async () => {
    const turns = new Turns({ limit: 1 });
    const gate = Promise.withResolvers<void>();
    const order: string[] = [];
    const all = [turns.run(false, () => gate.promise, NEVER)];
    for (const [name, urgent] of [
      ['a', false],
      ['b', true],
      ['c', false],
      ['d', true],
    ] as const) {
      all.push(turns.run(urgent, async () => void order.push(name), NEVER));
    }
    gate.resolve();
    await Promise.all(all);
    assert.deepEqual(order, ['b', 'd', 'a', 'c']);
  });

  test('goes on after work that failed, and without work that was abandoned', async () => {
    const turns = new Turns({ limit: 1 });
    const abort = new AbortController();
    const failing = turns.run(false, () => Promise.reject(new Error('broken')), NEVER);
    const abandoned = turns.run(false, () => assert.fail('must not run'), abort.signal);
    abort.abort(new Error('not wanted'));
    await assert.rejects(failing, /broken/);
    await assert.rejects(abandoned, /not wanted/);
    assert.equal(await turns.run(false, async () => 'next', NEVER), 'next');
  });
});
