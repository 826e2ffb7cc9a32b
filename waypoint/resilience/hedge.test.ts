import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Hedging } from '../../mesh/traffic-policy.ts';
import { type HedgeQuestion, Hedger } from './hedge.ts';
import { LatencyWindow } from './latency-window.ts';

const BY_TIME: Hedging = { after: { by: 'time', ms: 40 }, maxExtra: 2 };
const BY_PERCENTILE: Hedging = { after: { by: 'percentile', percentile: 95 }, maxExtra: 1 };
function ask(hedger: Hedger, parts: Partial<HedgeQuestion> = {}): string | number {
  const decision = hedger.decide({
    method: 'GET',
    bodyReplayable: true,
    extra: 0,
    responseForwarded: false,
    remainingMs: undefined,
    ...parts,
  });
  return decision.hedge ? decision.afterMs : `not: ${decision.reason}`;
}

describe('a hedged request', () => {
  test('is sent after a fixed time', () => assert.equal(ask(new Hedger(BY_TIME)), 40));

  test('is sent when the first takes longer than most, once enough are known', () => {
    const hedger = new Hedger(BY_PERCENTILE);
    for (let ms = 1; ms < 50; ms++) hedger.saw(ms);
    assert.equal(ask(hedger), 'not: samples');
    for (let ms = 50; ms <= 100; ms++) hedger.saw(ms);
    assert.equal(ask(hedger), 95);
  });

  test('follows latencies that change, and a policy that does', () => {
    const hedger = new Hedger(BY_PERCENTILE);
    for (let i = 0; i < 1000; i++) hedger.saw(10);
    for (let i = 0; i < 1000; i++) hedger.saw(500);
    assert.equal(ask(hedger), 500);
    hedger.update(BY_TIME);
    assert.equal(ask(hedger), 40);
    hedger.update(BY_PERCENTILE);
    assert.equal(ask(hedger), 500);
  });

  test('is not sent where twice is not as good as once, or it would come too late', () => {
    const hedger = new Hedger(BY_TIME);
    assert.equal(ask(hedger, { method: 'POST' }), 'not: not-idempotent');
    assert.equal(ask(hedger, { bodyReplayable: false }), 'not: body');
    assert.equal(ask(hedger, { responseForwarded: true }), 'not: response-forwarded');
    assert.equal(ask(hedger, { extra: 1 }), 40);
    assert.equal(ask(hedger, { extra: 2 }), 'not: max-extra');
    assert.equal(ask(hedger, { remainingMs: 41 }), 40);
    assert.equal(ask(hedger, { remainingMs: 40 }), 'not: deadline');
  });
});

describe('a window of latencies', () => {
  test('has the percentiles of the newest samples', () => {
    const samples = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { maxLength: 60 });
    fc.assert(
      fc.property(samples, fc.integer({ min: 0, max: 100 }), (all, percent) => {
        const window = new LatencyWindow(20);
        for (const ms of all) window.add(ms);
        const newest = all.slice(-20).toSorted((a, b) => a - b);
        assert.equal(window.count, newest.length);
        const rank = Math.max(0, Math.ceil((percent / 100) * newest.length) - 1);
        assert.equal(window.percentile(percent), newest[rank]);
      }),
    );
  });

  test('is empty after it was cleared', () => {
    const window = new LatencyWindow(3);
    window.add(1);
    window.clear();
    assert.deepEqual([window.count, window.percentile(50)], [0, undefined]);
  });
});
