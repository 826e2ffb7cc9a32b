import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { HealthChecks } from '../../mesh/traffic-policy.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { HealthChecker, type HealthEvent, type HealthState, nextHealth } from './health-check.ts';

const CHECKS: HealthChecks = {
  probe: { kind: 'tcp' },
  intervalMs: 1000,
  timeoutMs: 300,
  healthyThreshold: 2,
  unhealthyThreshold: 3,
};
const UNKNOWN: HealthState = { kind: 'unknown', failures: 0 };
const after = (results: readonly boolean[]): HealthState =>
  results.reduce<HealthState>((state, success) => nextHealth(state, success, CHECKS), UNKNOWN);

describe('nextHealth()', () => {
  test('takes the first success, so many failures in a row, and so many successes in a row', () => {
    assert.equal(after([true]).kind, 'healthy');
    assert.equal(after([false, false]).kind, 'unknown');
    assert.equal(after([false, false, false]).kind, 'unhealthy');
    assert.equal(after([false, false, true, false, false]).kind, 'healthy');
    assert.equal(after([false, false, false, true]).kind, 'unhealthy');
    assert.equal(after([false, false, false, true, false, true]).kind, 'unhealthy');
    assert.equal(after([false, false, false, true, true]).kind, 'healthy');
  });

  test('is what the last results in a row say, whatever came before', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean()), (results) => {
        assert.equal(after([...results, false, false, false]).kind, 'unhealthy');
        assert.equal(after([...results, true, true]).kind, 'healthy');
      }),
    );
  });
});

type Rig = {
  clock: ManualClock;
  checker: HealthChecker;
  events: HealthEvent[];
  /** Endpoints in the order they were probed. */
  probed: string[];
  answers: Map<string, boolean | 'throws' | 'hangs'>;
  open: () => number;
};
function rig(): Rig {
  const clock = new ManualClock();
  const events: HealthEvent[] = [];
  const probed: string[] = [];
  const answers: Rig['answers'] = new Map();
  let open = 0;
  const checker = new HealthChecker(CHECKS, {
    clock,
    random: () => 0.5,
    emit: (event) => events.push(event),
    async probe(endpoint, signal) {
      probed.push(endpoint);
      const answer = answers.get(endpoint) ?? true;
      if (answer === 'throws') throw new Error('refused');
      if (answer !== 'hangs') return answer;
      open++;
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          open--;
          reject(signal.reason as Error);
        });
      });
    },
  });
  return { clock, checker, events, probed, answers, open: () => open };
}

describe('health checks', () => {
  test('probe each endpoint at the interval, the first time somewhere within it', async () => {
    const { checker, clock, probed, events } = rig();
    checker.setMembers(['a', 'b']);
    await clock.advance(499);
    assert.deepEqual(probed, []);
    await clock.advance(1);
    assert.deepEqual(probed, ['a', 'b']);
    await clock.advance(2000);
    assert.equal(probed.length, 6);
    assert.deepEqual(events, []);
    checker.close();
  });

  test('tell when an endpoint falls sick and when it is well again', async () => {
    const { answers, checker, clock, events } = rig();
    answers.set('a', false);
    checker.setMembers(['a', 'b']);
    await clock.advance(1500);
    assert.ok(checker.isHealthy('a'));
    await clock.advance(1000);
    assert.ok(!checker.isHealthy('a') && checker.isHealthy('b'));
    answers.set('a', true);
    await clock.advance(2000);
    assert.deepEqual(events, [
      { endpoint: 'a', healthy: false },
      { endpoint: 'a', healthy: true },
    ]);
    checker.close();
  });

  test('count a probe that throws or takes too long as a failure, and end it', async () => {
    const { answers, checker, clock, open } = rig();
    answers.set('a', 'throws').set('b', 'hangs');
    checker.setMembers(['a', 'b']);
    await clock.advance(500);
    assert.equal(open(), 1);
    await clock.advance(300);
    assert.equal(open(), 0);
    await clock.advance(3600);
    assert.ok(!checker.isHealthy('a') && !checker.isHealthy('b'));
    checker.close();
  });

  test('forget an endpoint that goes, and leave nothing behind', async () => {
    const { answers, checker, clock, events, open } = rig();
    answers.set('a', 'hangs').set('b', false);
    checker.setMembers(['a', 'b']);
    await clock.advance(3500);
    assert.ok(!checker.isHealthy('b'));
    checker.setMembers(['a']);
    assert.ok(checker.isHealthy('b'));
    checker.setMembers(['a', 'b']);
    assert.ok(checker.isHealthy('b'));
    checker.close();
    assert.deepEqual([open(), clock.pending()], [0, 0]);
    await clock.advance(10_000);
    assert.deepEqual(
      events.filter(({ healthy }) => healthy),
      [],
    );
  });

  test('probe so many at once and no more, and the others in their turn', async () => {
    const { answers, checker, clock, open, probed } = rig();
    const many = Array.from({ length: 100 }, (_, index) => `e${index}`);
    for (const endpoint of many) answers.set(endpoint, 'hangs');
    checker.setMembers(many);
    await clock.advance(500);
    assert.equal(open(), 64);
    await clock.advance(300);
    assert.equal(open(), 36);
    assert.equal(new Set(probed).size, 100);
    checker.close();
    assert.deepEqual([open(), clock.pending()], [0, 0]);
  });
});
