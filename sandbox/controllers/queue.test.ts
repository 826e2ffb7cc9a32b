import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Expectations } from './expectations.ts';
import { WorkQueue } from './queue.ts';
import { RateBound } from './rate.ts';

describe('WorkQueue', () => {
  test('holds a key once, however often it is added', async () => {
    const queue = new WorkQueue({ clock: new ManualClock() });
    for (const key of ['a', 'a', 'b', 'a']) queue.add(key);
    assert.deepEqual([await queue.take(), await queue.take()], ['a', 'b']);
    queue.close();
    assert.equal(await queue.take(), undefined);
  });

  test('gives a key that changes while it is worked on to nobody else, and back afterwards', async () => {
    const queue = new WorkQueue({ clock: new ManualClock() });
    queue.add('a');
    await queue.take();
    queue.add('a');
    queue.add('b');
    assert.equal(await queue.take(), 'b');
    queue.done('a');
    assert.equal(await queue.take(), 'a');
    queue.close();
  });

  test('brings a failed key back after a wait that grows, and starts small again after a success', async () => {
    const clock = new ManualClock();
    const queue = new WorkQueue({ clock });
    const waits: number[] = [];
    for (const failure of [1, 2, 3, 4]) {
      const since = clock.monotonic();
      queue.retry('a');
      const taken = queue.take();
      let got = false;
      taken.then(() => {
        got = true;
      });
      while (!got) await clock.advance(1);
      waits.push(clock.monotonic() - since);
      queue.done('a');
      if (failure === 3) queue.succeeded('a');
    }
    const [first = 0, second = 0, third = 0, afterSuccess = 0] = waits;
    assert.ok(first < second && second < third, waits.join(' '));
    assert.ok(afterSuccess <= 13);
    queue.close();
  });

  test('of two waits for a key the sooner wins', async () => {
    const clock = new ManualClock();
    const queue = new WorkQueue({ clock });
    queue.addAfter('a', 1000);
    queue.addAfter('a', 10);
    queue.addAfter('a', 500);
    await clock.advance(10);
    assert.equal(await queue.take(), 'a');
    queue.done('a');
    assert.equal(clock.pending(), 0);
    queue.close();
  });

  test('close lets every waiting worker go', async () => {
    const queue = new WorkQueue({ clock: new ManualClock() });
    const workers = [queue.take(), queue.take()];
    queue.close();
    assert.deepEqual(await Promise.all(workers), [undefined, undefined]);
  });
});

describe('Expectations', () => {
  const pod = { metadata: { name: 'web', uid: 'u1' } };

  test('hold a key back until the watch shows what was created', () => {
    const expectations = new Expectations();
    expectations.expect('shop/web', 'u1', 'seen', 0);
    assert.ok(expectations.wait('shop/web', 1) > 0);
    assert.equal(expectations.observe('added', pod), 'shop/web');
    assert.equal(expectations.wait('shop/web', 2), 0);
  });

  test('take a deletion for done once the object is on its way out', () => {
    const expectations = new Expectations();
    expectations.expect('shop/web', 'u1', 'leaving', 0);
    assert.equal(expectations.observe('modified', pod), undefined);
    const leaving = { metadata: { ...pod.metadata, deletionTimestamp: 'now' } };
    assert.equal(expectations.observe('modified', leaving), 'shop/web');
  });

  test('give up on a watch that never shows it', () => {
    const expectations = new Expectations();
    expectations.expect('shop/web', 'u1', 'seen', 0);
    assert.equal(expectations.wait('shop/web', 30_001), 0);
  });
});

describe('RateBound', () => {
  test('lets a burst through and then so many a second', async () => {
    const clock = new ManualClock();
    const rate = new RateBound({ clock }, { perSecond: 10, burst: 5 });
    const { signal } = new AbortController();
    let through = 0;
    const all = Array.from({ length: 15 }, () => rate.take(signal).then(() => through++));
    await clock.advance(0);
    assert.equal(through, 5);
    await clock.advance(500);
    assert.equal(through, 10);
    await clock.advance(500);
    await Promise.all(all);
    assert.equal(through, 15);
  });
});
