import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '../../mesh/address.ts';
import type { HeaderList } from '../../mesh/http-request.ts';
import type { LoadShedding, PriorityClass } from '../../mesh/traffic-policy.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { AdaptiveConcurrency, type EndSample } from './adaptive-concurrency.ts';
import { priorityOf } from './priority.ts';

const POLICY: LoadShedding = {
  minLimit: 3,
  maxLimit: 1000,
  minRttWindowMs: 30_000,
  priorities: { header: undefined, rules: [] },
};
type Rig = { clock: ManualClock; control: AdaptiveConcurrency };
function rig(policy: Partial<LoadShedding> = {}, random = () => 0): Rig {
  const clock = new ManualClock();
  return { clock, control: new AdaptiveConcurrency({ ...POLICY, ...policy }, { clock, random }) };
}
/** One after the other, each taking `latencyMs` by its own word. */
function serve({ control }: Rig, count: number, latencyMs: number): void {
  for (let i = 0; i < count; i++) {
    const answer = control.ask('critical');
    assert.ok(answer.admitted);
    answer.done(latencyMs);
  }
}
async function turns(here: Rig, count: number, latencyMs: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    serve(here, 20, latencyMs);
    await here.clock.advance(100);
  }
  serve(here, 1, latencyMs);
}
function admitted({ control }: Rig, priority: PriorityClass, asked = 2000): EndSample[] {
  const answers = Array.from({ length: asked }, () => control.ask(priority));
  return answers.flatMap((answer) => (answer.admitted ? [answer.done] : []));
}

describe('the limit', () => {
  test('is the least until the round trip without load is known', () => {
    const here = rig();
    serve(here, 49, 10);
    assert.deepEqual(here.control.state(), { limit: 3, active: 0, minRttMs: undefined });
    assert.equal(admitted(here, 'critical').length, 3);
  });

  test('grows while answers take no longer, up to the most', async () => {
    const here = rig({ maxLimit: 200 });
    serve(here, 50, 10);
    assert.equal(here.control.state().minRttMs, 10);
    const limits: number[] = [];
    for (let i = 0; i < 30; i++) {
      await turns(here, 1, 10);
      limits.push(here.control.state().limit);
    }
    assert.deepEqual(
      limits,
      limits.toSorted((a, b) => a - b),
    );
    assert.equal(limits.at(-1), 200);
  });

  test('shrinks when answers take longer, down to the least', async () => {
    const here = rig();
    serve(here, 50, 10);
    await turns(here, 20, 10);
    const before = here.control.state().limit;
    assert.ok(before > 100, String(before));
    await turns(here, 1, 40);
    assert.ok(here.control.state().limit < before * 0.7);
    await turns(here, 30, 100);
    assert.ok(here.control.state().limit <= 6, String(here.control.state().limit));
  });

  test('stays without samples', async () => {
    const here = rig();
    serve(here, 50, 10);
    await turns(here, 5, 10);
    await here.clock.advance(100);
    here.control.ask('critical');
    const { limit } = here.control.state();
    for (let i = 0; i < 10; i++) {
      await here.clock.advance(100);
      const answer = here.control.ask('critical');
      if (answer.admitted) answer.done(undefined);
    }
    assert.equal(here.control.state().limit, limit);
  });

  test('is measured anew after the window, and comes back to what it was', async () => {
    const here = rig({}, () => 1);
    serve(here, 50, 10);
    await turns(here, 10, 10);
    const { limit } = here.control.state();
    await here.clock.advance(33_000);
    serve(here, 1, 10);
    assert.notEqual(here.control.state().limit, 3);
    await here.clock.advance(2_000);
    serve(here, 1, 10);
    assert.equal(here.control.state().limit, 3);
    serve(here, 50, 20);
    assert.equal(here.control.state().minRttMs, 20);
    assert.ok(here.control.state().limit >= limit);
  });

  test('is measured by what was sent while it was measured', async () => {
    const here = rig();
    serve(here, 50, 10);
    await turns(here, 10, 10);
    const old = admitted(here, 'critical', 60);
    assert.equal(old.length, 60);
    await here.clock.advance(35_000);
    here.control.ask('critical');
    assert.equal(here.control.state().limit, 3);
    for (const done of old) done(4000);
    assert.equal(here.control.state().minRttMs, undefined);
    serve(here, 50, 10);
    assert.equal(here.control.state().minRttMs, 10);
  });

  test('of a quiet service is not pinned for long while it is measured', async () => {
    const here = rig();
    serve(here, 5, 10);
    await here.clock.advance(5_000);
    serve(here, 1, 10);
    assert.equal(here.control.state().minRttMs, 10);
  });

  test('keeps its bounds whatever the latencies, and counts what is under way', async () => {
    const steps = fc.array(
      fc.record({ asks: fc.nat(30), latencyMs: fc.nat(5000), waitMs: fc.nat(20_000) }),
      { maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const here = rig({ minLimit: 2, maxLimit: 50 });
        for (const { asks, latencyMs, waitMs } of all) {
          const open = admitted(here, 'critical', asks);
          assert.equal(here.control.state().active, open.length);
          for (const done of open) done(latencyMs);
          for (const done of open) done(latencyMs);
          assert.equal(here.control.state().active, 0);
          const { limit } = here.control.state();
          assert.ok(limit >= 2 && limit <= 50, String(limit));
          await here.clock.advance(waitMs);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('follows a policy that changes', async () => {
    const here = rig();
    serve(here, 50, 10);
    await turns(here, 10, 10);
    here.control.update({ ...POLICY, maxLimit: 5 });
    assert.equal(here.control.state().limit, 5);
  });
});

describe('priorities', () => {
  test('leave the last places to what is critical', async () => {
    const here = rig({ minLimit: 100, maxLimit: 100 });
    serve(here, 50, 10);
    assert.equal(admitted(here, 'best-effort').length, 50);
    assert.equal(admitted(here, 'default').length, 40);
    assert.equal(admitted(here, 'critical').length, 10);
    assert.deepEqual(here.control.ask('critical'), { admitted: false, limit: 'concurrency' });
  });

  test('leave one place to everybody', () => {
    const here = rig({ minLimit: 1, maxLimit: 1 });
    assert.equal(admitted(here, 'best-effort').length, 1);
  });

  test('come from a header, then from the first rule that matches', () => {
    const match = { headers: [], source: { namespaces: ['batch'], principals: [] } };
    const priorities: LoadShedding['priorities'] = {
      header: 'x-priority',
      rules: [
        { match, class: 'best-effort' },
        { match, class: 'critical' },
      ],
    };
    const of = (namespace: string, headers: HeaderList = []): PriorityClass =>
      priorityOf(
        priorities,
        { method: 'GET', scheme: 'http', authority: 'a', path: '/', query: undefined, headers },
        {
          identity: { trustDomain: 'cluster.local', namespace, serviceAccount: 'a' },
          ip: parseIp('10.0.0.1'),
        },
      );
    assert.equal(of('shop'), 'default');
    assert.equal(of('batch'), 'best-effort');
    assert.equal(of('batch', [['x-priority', 'critical']]), 'critical');
    assert.equal(of('batch', [['x-priority', 'urgent']]), 'best-effort');
  });
});
