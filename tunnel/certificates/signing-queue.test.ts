// Who asks the CA next: the limit, the order, promotion, and that whoever gives up leaves no trace.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Priority, SigningQueue } from './signing-queue.ts';

const never = new AbortController().signal;

/** A queue of one that is busy until `open` is called; what runs after it is noted. */
function busy() {
  const queue = new SigningQueue({ limit: 1 });
  const gate = Promise.withResolvers<void>();
  const order: string[] = [];
  const first = queue.run('background', () => gate.promise, never);
  const add = (name: string, priority: Priority, signal = never) =>
    queue.run(priority, async () => void order.push(name), signal);
  return { queue, order, add, first, open: gate.resolve };
}

describe('SigningQueue', () => {
  test('lets what a connection waits for go first, then warm-ups, then renewals', async () => {
    const { add, order, open } = busy();
    const all = [
      add('renewal', 'background'),
      add('warm-up', 'warmup'),
      add('wanted', 'realtime'),
      add('wanted too', 'realtime'),
    ];
    open();
    await Promise.all(all.map(({ done }) => done));
    assert.deepEqual(order, ['wanted', 'wanted too', 'warm-up', 'renewal']);
  });

  test('moves a request ahead when a connection comes to wait for it, and never back', async () => {
    const { add, order, open, queue } = busy();
    const renewal = add('renewal', 'background');
    const warmUp = add('warm-up', 'warmup');
    renewal.promote('realtime');
    renewal.promote('background');
    assert.equal(queue.waiting('realtime'), 1);
    open();
    await Promise.all([renewal.done, warmUp.done]);
    assert.deepEqual(order, ['renewal', 'warm-up']);
    renewal.promote('realtime');
    assert.equal(queue.waiting('realtime'), 0, 'what has run is not queued again');
  });

  test('forgets who gives up while waiting', async () => {
    const { add, order, open, queue, first } = busy();
    const stop = new AbortController();
    const given = add('given up', 'realtime', stop.signal);
    const other = add('other', 'background');
    stop.abort(new Error('the pod is gone'));
    await assert.rejects(given.done, /the pod is gone/);
    open();
    await Promise.all([first.done, other.done]);
    assert.deepEqual([order, queue.running], [['other'], 0]);
    await assert.rejects(add('late', 'realtime', stop.signal).done, /the pod is gone/);
  });

  test('never runs more than its limit, and everybody comes to his turn, failing or not', async () => {
    const request = fc.record({
      priority: fc.constantFrom<Priority>('realtime', 'warmup', 'background'),
      fails: fc.boolean(),
      promote: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(request, { maxLength: 30 }),
        fc.integer({ min: 1, max: 8 }),
        async (requests, limit) => {
          const queue = new SigningQueue({ limit });
          let [running, most, ran] = [0, 0, 0];
          const tickets = requests.map(({ priority, fails }) =>
            queue.run(
              priority,
              async () => {
                most = Math.max(most, ++running);
                await Promise.resolve();
                running--;
                ran++;
                if (fails) throw new Error('no');
              },
              never,
            ),
          );
          for (const [at, { promote }] of requests.entries()) {
            if (promote) tickets[at]?.promote('realtime');
          }
          await Promise.allSettled(tickets.map(({ done }) => done));
          assert.ok(most <= limit);
          assert.deepEqual([ran, queue.running], [requests.length, 0]);
        },
      ),
      { numRuns: 200 },
    );
  });
});
