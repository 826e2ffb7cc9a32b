import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '../../mesh/address.ts';
import type { LimitKey, LocalRateLimit } from '../../mesh/traffic-policy.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { LocalRateLimiter, limitKeyOf } from './local-rate-limit.ts';

const LIMIT: LocalRateLimit = { requests: 10, perMs: 1000, burst: 5, key: { by: 'route' } };
function allowed(limiter: LocalRateLimiter, asked: number, key = ''): number {
  return Array.from({ length: asked }, () => limiter.askKey(key)).filter((one) => one.allowed)
    .length;
}

describe('a local rate limit', () => {
  test('lets a burst through, then as many as its rate says', async () => {
    const clock = new ManualClock();
    const limiter = new LocalRateLimiter(LIMIT, clock);
    assert.equal(allowed(limiter, 20), 5);
    await clock.advance(1000);
    assert.equal(allowed(limiter, 20), 5);
    let count = 0;
    for (let i = 0; i < 100; i++) {
      await clock.advance(100);
      count += allowed(limiter, 3);
    }
    assert.equal(count, 100);
  });

  test('says when to come again', async () => {
    const clock = new ManualClock();
    const limiter = new LocalRateLimiter(LIMIT, clock);
    allowed(limiter, 5);
    assert.deepEqual(limiter.askKey(''), {
      allowed: false,
      limit: 'rate-limit',
      retryAfterMs: 100,
    });
    await clock.advance(99);
    assert.equal(limiter.askKey('').allowed, false);
    await clock.advance(1);
    assert.equal(limiter.askKey('').allowed, true);
  });

  test('counts each key by itself', () => {
    const limiter = new LocalRateLimiter(LIMIT, new ManualClock());
    assert.equal(allowed(limiter, 9, 'a'), 5);
    assert.equal(allowed(limiter, 9, 'b'), 5);
  });

  test('never allows more than burst and rate in any stretch of time', async () => {
    const asks = fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 100 });
    await fc.assert(
      fc.asyncProperty(asks, async (gaps) => {
        const clock = new ManualClock();
        const limiter = new LocalRateLimiter(LIMIT, clock);
        const times: number[] = [];
        for (const gap of gaps) {
          await clock.advance(gap);
          if (limiter.askKey('').allowed) times.push(clock.monotonic());
        }
        for (const [i, from] of times.entries()) {
          for (const [j, to] of times.entries()) {
            if (j >= i) assert.ok(j - i + 1 <= 5 + (to - from) / 100 + 1e-6);
          }
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe('more keys than can be told apart', () => {
  test('share one bucket, by its own name, while nobody can be forgotten', () => {
    const limiter = new LocalRateLimiter(LIMIT, new ManualClock(), 2);
    limiter.askKey('a');
    limiter.askKey('b');
    const others = Array.from({ length: 10 }, (_, index) => limiter.askKey(`c${index}`));
    assert.equal(others.filter((one) => one.allowed).length, 5);
    assert.deepEqual(others.at(-1), {
      allowed: false,
      limit: 'rate-limit-keys',
      retryAfterMs: 100,
    });
    assert.equal(allowed(limiter, 9, 'a'), 4);
    assert.equal(limiter.keys, 2);
  });

  test('take the place of one whose bucket is full again, the longest unused first', async () => {
    const clock = new ManualClock();
    const limiter = new LocalRateLimiter(LIMIT, clock, 2);
    limiter.askKey('a');
    await clock.advance(100);
    allowed(limiter, 5, 'b');
    assert.equal(allowed(limiter, 9, 'c'), 5);
    assert.equal(limiter.keys, 2);
    assert.equal(allowed(limiter, 1, 'b'), 0);
  });
});

test('what requests are counted by', () => {
  const request = {
    method: 'GET',
    scheme: 'http',
    authority: 'web',
    path: '/',
    query: undefined,
    headers: [['x-tenant', 'red'.repeat(200)]],
  } as const;
  const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' };
  const source = { identity, ip: parseIp('10.0.0.1') };
  const by = (key: LimitKey, from: object = {}): string =>
    limitKeyOf(key, request, { ...source, ...from });
  assert.equal(by({ by: 'route' }), '');
  assert.equal(by({ by: 'identity' }), 'spiffe://cluster.local/ns/shop/sa/web');
  assert.equal(by({ by: 'identity' }, { identity: undefined }), '');
  assert.equal(by({ by: 'source-ip' }), '10.0.0.1');
  assert.equal(by({ by: 'header', name: 'x-none' }), '');
  assert.equal(by({ by: 'header', name: 'x-tenant' }).length, 256);
});
