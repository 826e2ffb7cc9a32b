import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../runtime/manual-clock.ts';
import type { Release } from './release.ts';
import { RetryBudget } from './retry-budget.ts';

const OF_CONCURRENCY = { percent: 20, floor: { by: 'concurrency', minConcurrency: 3 } } as const;
const OF_RATE = { percent: 20, floor: { by: 'rate', minPerSecond: 1 } } as const;
const granted = (budget: RetryBudget, asked: number): number =>
  Array.from({ length: asked }, () => budget.retry()).filter((one) => one !== undefined).length;

describe('a budget of retries at once', () => {
  test('grants the floor to a service with few requests', () => {
    const budget = new RetryBudget(OF_CONCURRENCY, new ManualClock());
    assert.equal(granted(budget, 10), 3);
  });

  test('grants its share of the requests under way', () => {
    const budget = new RetryBudget(OF_CONCURRENCY, new ManualClock());
    const requests = Array.from({ length: 50 }, () => budget.request());
    assert.equal(granted(budget, 50), 10);
    for (const release of requests) release();
    assert.equal(granted(budget, 1), 0);
  });

  test('has the room again that a retry gives back, once', () => {
    const budget = new RetryBudget(OF_CONCURRENCY, new ManualClock());
    const retry = budget.retry();
    assert.equal(granted(budget, 5), 2);
    retry?.();
    retry?.();
    assert.equal(granted(budget, 5), 1);
  });

  test('never has more retries under way than floor or share, whatever comes and goes', () => {
    const steps = fc.array(fc.constantFrom('request', 'end', 'retry', 'retry-end'), {
      maxLength: 300,
    });
    fc.assert(
      fc.property(steps, (all) => {
        const budget = new RetryBudget(OF_CONCURRENCY, new ManualClock());
        const requests: Release[] = [];
        const retries: Release[] = [];
        for (const step of all) {
          if (step === 'request') requests.push(budget.request());
          if (step === 'end') requests.pop()?.();
          if (step === 'retry-end') retries.pop()?.();
          if (step !== 'retry') continue;
          const allowed = Math.max(3, Math.ceil(0.2 * requests.length));
          const release = budget.retry();
          assert.equal(release !== undefined, retries.length < allowed);
          if (release !== undefined) retries.push(release);
        }
      }),
    );
  });

  test('follows a policy that changes, with what is under way', () => {
    const budget = new RetryBudget(OF_CONCURRENCY, new ManualClock());
    assert.equal(granted(budget, 5), 3);
    budget.update({ percent: 0, floor: { by: 'concurrency', minConcurrency: 4 } });
    assert.equal(granted(budget, 5), 1);
  });
});

describe('a budget of retries a second', () => {
  test('grants a floor over ten seconds, and a share of their requests', () => {
    const budget = new RetryBudget(OF_RATE, new ManualClock());
    assert.equal(granted(budget, 20), 10);
    for (let i = 0; i < 100; i++) budget.request();
    assert.equal(granted(budget, 40), 20);
  });

  test('forgets what is more than ten seconds past, and nothing before', async () => {
    const clock = new ManualClock();
    const budget = new RetryBudget(OF_RATE, clock);
    assert.equal(granted(budget, 20), 10);
    await clock.advance(9_999);
    assert.equal(granted(budget, 1), 0);
    await clock.advance(1);
    assert.equal(granted(budget, 20), 10);
    await clock.advance(3_600_000);
    assert.equal(granted(budget, 20), 10);
  });
});
