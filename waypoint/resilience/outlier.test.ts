import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { OutlierDetection } from '../../mesh/traffic-policy.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { OutlierDetector, type TryResult, tryResultOf } from './outlier.ts';

const POLICY: OutlierDetection = {
  consecutive5xx: 5,
  consecutiveGatewayErrors: 0,
  consecutiveLocalFailures: 0,
  successRate: undefined,
  intervalMs: 10_000,
  baseEjectionMs: 30_000,
  maxEjectionPercent: 100,
  minHealthPercent: 0,
};
type Rig = { clock: ManualClock; detector: OutlierDetector; members: readonly string[] };
function rig(policy: Partial<OutlierDetection> = {}, count = 10): Rig {
  const clock = new ManualClock();
  const detector = new OutlierDetector({ ...POLICY, ...policy }, clock);
  const members = Array.from({ length: count }, (_, index) => `e${index}`);
  detector.setMembers(members);
  return { clock, detector, members };
}
function fail({ detector }: Rig, endpoint: string, times = 5, result: TryResult = 'server-error') {
  const events = Array.from({ length: times }, () => detector.record(endpoint, result));
  return events.filter((event) => event !== undefined);
}
const ejectedOf = ({ detector, members }: Rig): string[] =>
  members.filter((member) => detector.isEjected(member));

describe('consecutive failures', () => {
  test('eject at the count, and a success starts the count anew', () => {
    const here = rig();
    fail(here, 'e0', 4);
    here.detector.record('e0', 'success');
    assert.deepEqual(fail(here, 'e0', 4), []);
    assert.deepEqual(fail(here, 'e0', 1), [
      { kind: 'ejected', endpoint: 'e0', cause: 'consecutive-5xx', forMs: 30_000 },
    ]);
    assert.deepEqual(ejectedOf(here), ['e0']);
  });

  test('of each sort are counted by their own threshold; 0 is off', () => {
    const gateway = rig({ consecutive5xx: 0, consecutiveGatewayErrors: 2 });
    fail(gateway, 'e0', 9);
    assert.deepEqual(ejectedOf(gateway), []);
    fail(gateway, 'e0', 2, 'gateway-error');
    assert.deepEqual(ejectedOf(gateway), ['e0']);
    const local = rig({ consecutiveLocalFailures: 3 });
    const [event] = fail(local, 'e1', 3, 'local-failure');
    assert.equal(event?.kind === 'ejected' && event.cause, 'consecutive-local-failures');
  });

  test('of connections count as gateway errors where they have no threshold of their own', () => {
    const here = rig();
    fail(here, 'e0', 5, 'local-failure');
    assert.deepEqual(ejectedOf(here), ['e0']);
    const split = rig({ consecutiveLocalFailures: 9 });
    fail(split, 'e0', 5, 'local-failure');
    assert.deepEqual(ejectedOf(split), []);
  });

  test('that come in after the ejection change nothing', () => {
    const here = rig();
    fail(here, 'e0');
    assert.deepEqual(fail(here, 'e0', 20), []);
  });
});

describe('an ejection', () => {
  test('ends at a sweep after its time, and the next is longer', async () => {
    const here = rig();
    const { clock, detector } = here;
    fail(here, 'e0');
    await clock.advance(29_999);
    assert.deepEqual(detector.sweep(), []);
    await clock.advance(1);
    assert.deepEqual(detector.sweep(), [{ kind: 'returned', endpoint: 'e0' }]);
    const [again] = fail(here, 'e0');
    assert.equal(again?.kind === 'ejected' && again.forMs, 60_000);
  });

  test('grows shorter again by good intervals, and never longer than five minutes', async () => {
    const here = rig();
    const { clock, detector } = here;
    const ejectedFor: unknown[] = [];
    for (let i = 0; i < 12; i++) {
      const [event] = fail(here, 'e0');
      ejectedFor.push(event?.kind === 'ejected' && event.forMs);
      await clock.advance(300_000);
      detector.sweep();
    }
    assert.equal(ejectedFor.at(-1), 300_000);
    for (let i = 0; i < 12; i++) detector.sweep();
    const [event] = fail(here, 'e0');
    assert.equal(event?.kind === 'ejected' && event.forMs, 30_000);
  });

  test('is not made beyond the percentage, but one is in any case', () => {
    const here = rig({ maxEjectionPercent: 20 });
    const events = here.members.flatMap((member) => fail(here, member));
    assert.deepEqual(ejectedOf(here), ['e0', 'e1']);
    assert.equal(events.filter(({ kind }) => kind === 'spared').length, 8);
    const few = rig({ maxEjectionPercent: 10 }, 3);
    for (const member of few.members) fail(few, member);
    assert.deepEqual(ejectedOf(few), ['e0']);
    const never = rig({ maxEjectionPercent: 0 });
    fail(never, 'e0');
    assert.deepEqual(ejectedOf(never), []);
  });

  test('is forgotten with its endpoint', () => {
    const here = rig({ maxEjectionPercent: 10 });
    fail(here, 'e0');
    here.detector.setMembers(here.members.slice(1));
    here.detector.setMembers(here.members);
    assert.deepEqual(ejectedOf(here), []);
    fail(here, 'e1');
    assert.deepEqual(ejectedOf(here), ['e1']);
    assert.equal(here.detector.record('nobody', 'server-error'), undefined);
  });
});

describe('who is left', () => {
  const same = (endpoint: string): string => endpoint;

  test('are those that are not ejected', () => {
    const here = rig();
    assert.equal(here.detector.usable(here.members, same), here.members);
    fail(here, 'e3');
    assert.ok(!here.detector.usable(here.members, same).includes('e3'));
  });

  test('are all when the share of the healthy is too small, or nobody is', () => {
    const here = rig({ minHealthPercent: 50 });
    for (const member of here.members.slice(0, 5)) fail(here, member);
    assert.equal(here.detector.usable(here.members, same).length, 5);
    fail(here, 'e5');
    assert.equal(here.detector.usable(here.members, same).length, 10);
    const none = rig({}, 2);
    for (const member of none.members) fail(none, member);
    assert.equal(none.detector.usable(none.members, same).length, 2);
  });
});

describe('success rates', () => {
  const successRate = { minimumHosts: 5, requestVolume: 10, stdevFactor: 1900 };

  test('eject who succeeds markedly less often than the others', () => {
    const here = rig({ consecutive5xx: 0, successRate });
    for (const member of here.members) {
      for (let i = 0; i < 20; i++) {
        const bad = member === 'e7' ? i % 2 === 0 : i === 0;
        here.detector.record(member, bad ? 'server-error' : 'success');
      }
    }
    const [event] = here.detector.sweep();
    assert.equal(event?.kind === 'ejected' && event.endpoint, 'e7');
    assert.deepEqual(here.detector.sweep(), []);
  });

  test('judge nobody with few requests, nor among few endpoints', () => {
    const few = rig({ consecutive5xx: 0, successRate }, 4);
    fail(few, 'e0', 50);
    for (const member of few.members.slice(1)) fail(few, member, 50, 'success');
    assert.deepEqual(few.detector.sweep(), []);
    const idle = rig({ consecutive5xx: 0, successRate });
    fail(idle, 'e0', 9);
    for (const member of idle.members.slice(1)) fail(idle, member, 50, 'success');
    assert.deepEqual(idle.detector.sweep(), []);
  });
});

test('whatever happens, no more are ejected than may be, and all of them come back', async () => {
  const step = fc.record({
    endpoint: fc.nat(9),
    result: fc.constantFrom('success', 'server-error', 'gateway-error', 'local-failure'),
    waitMs: fc.constantFrom(0, 0, 0, 10_000),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 200 }), async (steps) => {
      const here = rig({ consecutive5xx: 2, maxEjectionPercent: 30 });
      for (const { endpoint, result, waitMs } of steps) {
        here.detector.record(`e${endpoint}`, result as TryResult);
        assert.ok(ejectedOf(here).length <= 3);
        if (waitMs === 0) continue;
        await here.clock.advance(waitMs);
        here.detector.sweep();
      }
      await here.clock.advance(300_000);
      here.detector.sweep();
      assert.deepEqual(ejectedOf(here), []);
    }),
    { numRuns: 50 },
  );
});

test('what a try tells of its endpoint', () => {
  assert.deepEqual(
    [200, 404, 429, 500, 501, 502, 503, 504, undefined].map((status) => tryResultOf(status)),
    [
      'success',
      'success',
      'success',
      'server-error',
      'server-error',
      'gateway-error',
      'gateway-error',
      'gateway-error',
      'local-failure',
    ],
  );
  assert.deepEqual(
    [0, 5, 14, 4, 13].map((grpcStatus) => tryResultOf(200, grpcStatus)),
    ['success', 'success', 'gateway-error', 'gateway-error', 'server-error'],
  );
});
