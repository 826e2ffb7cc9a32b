import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { GlobalRateLimit } from '../../mesh/traffic-policy.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { GlobalRateLimiter, type StoreAnswer, type StoreFailure } from './global-rate-limit.ts';

const LIMIT: GlobalRateLimit = {
  redis: { service: 'shop/redis', port: 6379 },
  requests: 10,
  perMs: 1000,
  key: { by: 'route' },
  onFailure: 'allow',
  timeoutMs: 50,
};
const ALLOWED: StoreAnswer = { allowed: true, retryAfterMs: 0 };
const NEVER = new Promise<StoreAnswer>(() => {});

function rig(take: () => Promise<StoreAnswer>, limit: Partial<GlobalRateLimit> = {}) {
  const clock = new ManualClock();
  const failures: StoreFailure[] = [];
  const keys: string[] = [];
  let resets = 0;
  const store = {
    take: (key: string) => {
      keys.push(key);
      return take();
    },
    reset: () => {
      resets++;
    },
  };
  const limiter = new GlobalRateLimiter({ ...LIMIT, ...limit }, 'shop/p#0', {
    store,
    clock,
    count: (failure) => failures.push(failure),
  });
  return { clock, limiter, failures, keys, resets: () => resets };
}

describe('a global rate limit', () => {
  test('is what the store says, by scope and key', async () => {
    const { limiter, keys, clock } = rig(async () => ALLOWED);
    assert.deepEqual(await limiter.askKey('a'), { allowed: true, by: 'store' });
    assert.deepEqual(keys, ['8:shop/p#0:a']);
    assert.equal(clock.pending(), 0);
    const refusing = rig(async () => ({ allowed: false, retryAfterMs: 70 }));
    assert.deepEqual(await refusing.limiter.askKey('a'), {
      allowed: false,
      limit: 'global-rate-limit',
      retryAfterMs: 70,
    });
    assert.deepEqual(refusing.failures, []);
  });

  test('waits for the store as long as the policy says, then does as it says', async () => {
    for (const onFailure of ['allow', 'deny'] as const) {
      const { limiter, clock, failures } = rig(() => NEVER, { onFailure });
      let decided = false;
      const decision = limiter.askKey('a').finally(() => {
        decided = true;
      });
      await clock.advance(49);
      assert.equal(decided, false);
      await clock.advance(1);
      assert.deepEqual(
        await decision,
        onFailure === 'allow'
          ? { allowed: true, by: 'failure' }
          : { allowed: false, limit: 'global-rate-limit-unavailable', retryAfterMs: 1000 },
      );
      assert.deepEqual(failures, ['timeout']);
    }
  });

  test('does as the policy says at once when the store refuses', async () => {
    const { limiter, failures } = rig(() => Promise.reject(new Error('no connection')));
    assert.deepEqual(await limiter.askKey('a'), { allowed: true, by: 'failure' });
    assert.deepEqual(failures, ['error']);
  });
});

describe('a store that is away', () => {
  test('is not asked for a while after some failures, then by one request at a time', async () => {
    let answer: () => Promise<StoreAnswer> = () => Promise.reject(new Error('gone'));
    const { limiter, clock, failures, keys, resets } = rig(() => answer());
    for (let i = 0; i < 5; i++) await limiter.askKey('a');
    assert.deepEqual(failures, ['error', 'error', 'error', 'away', 'away']);
    assert.deepEqual([keys.length, resets()], [3, 1]);
    await clock.advance(1000);
    answer = () => NEVER;
    const probe = limiter.askKey('a');
    await limiter.askKey('b');
    assert.equal(failures.at(-1), 'away');
    await clock.advance(50);
    await probe;
    assert.equal(keys.length, 4);
    await clock.advance(1000);
    answer = async () => ALLOWED;
    assert.deepEqual(await limiter.askKey('a'), { allowed: true, by: 'store' });
    assert.deepEqual(await limiter.askKey('a'), { allowed: true, by: 'store' });
    assert.equal(keys.length, 6);
  });

  test('is one that fails in a row: an answer between starts the count anew', async () => {
    let fails = true;
    const { limiter, resets } = rig(async () => {
      fails = !fails;
      if (fails) throw new Error('gone');
      return ALLOWED;
    });
    for (let i = 0; i < 20; i++) await limiter.askKey('a');
    assert.equal(resets(), 0);
  });

  test('holds up so many requests and no more', async () => {
    const { limiter, clock, failures } = rig(() => NEVER);
    const asks = Array.from({ length: 1001 }, () => limiter.askKey('a'));
    await clock.advance(0);
    assert.deepEqual(failures, ['asks']);
    await clock.advance(50);
    await Promise.all(asks);
    assert.equal(failures.length, 1001);
  });
});
