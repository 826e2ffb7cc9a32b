// Balancers that go by weight, turns and load: how requests are spread, and what happens to endpoints that come and go.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { RequestBalancing } from '../../../mesh/traffic-policy.ts';
import { ManualClock } from '../../../runtime/manual-clock.ts';
import type { Balancer } from './balancer.ts';
import { EndpointLoads } from './endpoint-loads.ts';
import { makeBalancer } from './make-balancer.ts';
import { WarmUp } from './slow-start.ts';
import { ANYONE, countsOf, endpoint, endpoints, generator, uidOf } from './test-endpoints.ts';

type Algorithm = RequestBalancing['algorithm'];
const ALGORITHMS: readonly Algorithm[] = [
  'least-request',
  'round-robin',
  'random',
  'peak-ewma',
  'ring-hash',
  'maglev',
];
type Rig = { clock: ManualClock; loads: EndpointLoads; warmUp: WarmUp; balancer: Balancer };
function rig(algorithm: Algorithm): Rig {
  const clock = new ManualClock();
  const loads = new EndpointLoads(clock);
  const policy = { windowMs: 10_000, minWeightPercent: 10, aggression: 1 };
  const warmUp = new WarmUp(policy, clock);
  const random = generator();
  return { clock, loads, warmUp, balancer: makeBalancer({ algorithm }, { loads, warmUp, random }) };
}
const near = (actual: number | undefined, expected: number, part: number): void =>
  assert.ok(
    Math.abs((actual ?? 0) - expected) <= expected * part,
    `${actual} is not within ${part * 100} % of ${expected}`,
  );

for (const algorithm of ALGORITHMS) {
  describe(algorithm, () => {
    test('picks nobody where nobody is, or everybody is to be avoided', () => {
      const { balancer } = rig(algorithm);
      assert.equal(balancer.pick([], ANYONE), undefined);
      const avoid = new Set(['e0', 'e1', 'e2']);
      assert.equal(balancer.pick(endpoints(3), { hash: undefined, avoid }), undefined);
      assert.equal(balancer.pick(endpoints(3), { hash: 1, avoid }), undefined);
    });

    test('never picks whom it shall avoid, nor one without capacity', () => {
      const candidates = [...endpoints(4), endpoint('empty', 0)];
      const tried = fc.subarray(['e0', 'e1', 'e2'], { minLength: 1 });
      const { balancer } = rig(algorithm);
      fc.assert(
        fc.property(tried, fc.option(fc.nat(), { nil: undefined }), (uids, hash) => {
          const picked = uidOf(balancer.pick(candidates, { hash, avoid: new Set(uids) }));
          assert.ok(!uids.includes(picked) && picked !== 'empty' && picked !== 'nobody', picked);
        }),
      );
    });

    test('spreads evenly over equals, and twice as much to one of twice the size', () => {
      const { balancer } = rig(algorithm);
      const counts = countsOf(balancer, endpoints(4), 8000);
      for (const one of endpoints(4)) near(counts[one.workload.uid], 2000, 0.1);
      const unequal = [endpoint('small', 1), endpoint('large', 2)];
      const shares = countsOf(rig(algorithm).balancer, unequal, 9000);
      if (algorithm === 'least-request' || algorithm === 'peak-ewma') return;
      near(shares['large'], 6000, 0.1);
    });
  });
}

describe('round-robin', () => {
  test('gives everybody one turn before anybody has two', () => {
    const { balancer } = rig('round-robin');
    const candidates = endpoints(5);
    for (let round = 0; round < 10; round++) {
      const turn = new Set(candidates.map(() => uidOf(balancer.pick(candidates, ANYONE))));
      assert.equal(turn.size, 5);
    }
  });

  test('spreads the turns of a heavy one between those of others', () => {
    const { balancer } = rig('round-robin');
    const candidates = [endpoint('heavy', 2), endpoint('a'), endpoint('b')];
    const picks = Array.from({ length: 40 }, () => uidOf(balancer.pick(candidates, ANYONE)));
    for (let i = 2; i < picks.length; i++) {
      assert.ok(picks.slice(i - 2, i + 1).some((uid) => uid !== 'heavy'));
    }
    assert.equal(picks.filter((uid) => uid === 'heavy').length, 20);
  });

  test('gives one that comes, or comes back, its turn and no more', () => {
    const { balancer } = rig('round-robin');
    const [first, ...others] = endpoints(3);
    countsOf(balancer, others, 1000);
    const counts = countsOf(balancer, endpoints(3), 30);
    near(counts[uidOf(first)], 10, 0.1);
  });
});

describe('least-request', () => {
  test('takes the one with fewer requests under way', () => {
    const { balancer, loads } = rig('least-request');
    const busy = Array.from({ length: 5 }, () => loads.begin('e0'));
    const candidates = endpoints(2);
    assert.deepEqual(countsOf(balancer, candidates, 100), { e1: 100 });
    for (const end of busy) end(undefined);
    assert.ok((countsOf(balancer, candidates, 100)['e0'] ?? 0) > 0);
  });

  test('bears twice as many on one of twice the size', () => {
    const { balancer, loads } = rig('least-request');
    const candidates = [endpoint('small', 1), endpoint('large', 2)];
    for (let i = 0; i < 300; i++) loads.begin(uidOf(balancer.pick(candidates, ANYONE)));
    near(loads.active('large'), 200, 0.02);
  });
});

describe('peak-ewma', () => {
  test('takes the faster of two', () => {
    const { balancer, loads } = rig('peak-ewma');
    loads.setMembers(['e0', 'e1']);
    loads.begin('e0')(100);
    loads.begin('e1')(10);
    assert.deepEqual(countsOf(balancer, endpoints(2), 100), { e1: 100 });
  });

  test('minds a peak at once, and forgets it with time', async () => {
    const { balancer, clock, loads } = rig('peak-ewma');
    loads.setMembers(['e0', 'e1']);
    loads.begin('e0')(1);
    loads.begin('e1')(10);
    loads.begin('e0')(500);
    assert.equal(uidOf(balancer.pick(endpoints(2), ANYONE)), 'e1');
    await clock.advance(60_000);
    loads.begin('e1')(10);
    assert.equal(uidOf(balancer.pick(endpoints(2), ANYONE)), 'e0');
  });

  test('tries one that nobody knows, but by one request until it answers', () => {
    const { balancer, loads } = rig('peak-ewma');
    loads.setMembers(['e0', 'e1']);
    loads.begin('e0')(5);
    assert.equal(uidOf(balancer.pick(endpoints(2), ANYONE)), 'e1');
    loads.begin('e1');
    assert.deepEqual(countsOf(balancer, endpoints(2), 50), { e0: 50 });
  });
});

describe('loads', () => {
  test('are kept of members only, and what is under way until it ends', () => {
    const loads = new EndpointLoads(new ManualClock());
    loads.setMembers(['a']);
    const end = loads.begin('a');
    loads.setMembers(['b']);
    assert.equal(loads.active('a'), 1);
    end(50);
    end(50);
    assert.equal(loads.active('a'), 0);
    assert.equal(loads.cost('a'), 0);
  });
});

describe('slow start', () => {
  for (const algorithm of ['least-request', 'round-robin', 'random', 'peak-ewma'] as const) {
    test(`gives a new endpoint less at first (${algorithm})`, async () => {
      const { balancer, clock, warmUp } = rig(algorithm);
      warmUp.setMembers(['e0']);
      await clock.advance(60_000);
      warmUp.setMembers(['e0', 'e1']);
      await clock.advance(2_500);
      const early = countsOf(balancer, endpoints(2), 5000);
      near(early['e1'], 1000, 0.1);
      await clock.advance(7_500);
      near(countsOf(balancer, endpoints(2), 5000)['e1'], 2500, 0.1);
    });
  }

  test('never starves the new one, is off without a policy, and takes the first members for warm', () => {
    const clock = new ManualClock();
    const warmUp = new WarmUp({ windowMs: 10_000, minWeightPercent: 10, aggression: 1 }, clock);
    warmUp.setMembers(['old']);
    warmUp.setMembers(['old', 'new']);
    assert.deepEqual([warmUp.factor('old'), warmUp.factor('new')], [1, 0.1]);
    warmUp.update({ windowMs: 10_000, minWeightPercent: 0, aggression: 1 });
    assert.ok(warmUp.factor('new') > 0);
    warmUp.update(undefined);
    assert.equal(warmUp.factor('new'), 1);
  });

  test('with aggression comes up faster, and always within bounds', async () => {
    const clock = new ManualClock();
    const warmUps = [1, 2, 10].map((aggression) => {
      const warmUp = new WarmUp({ windowMs: 1000, minWeightPercent: 5, aggression }, clock);
      warmUp.setMembers([]);
      warmUp.setMembers(['new']);
      return warmUp;
    });
    for (let age = 0; age <= 1100; age += 100) {
      const [linear = 0, faster = 0, fastest = 0] = warmUps.map((one) => one.factor('new'));
      assert.ok(0.05 <= linear && linear <= faster && faster <= fastest && fastest <= 1);
      if (age === 500) assert.deepEqual([linear, faster.toFixed(3)], [0.5, '0.707']);
      await clock.advance(100);
    }
  });
});
