// Leaving the mesh: the tunnel outlives the wish until everybody knows, but never for long, and never a dead pod.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CAPTURE_EVERYTHING } from '../mesh/capture-options.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { Retirement } from './retirement.ts';
import type { PlacedEnrolment } from './translate/world.ts';

const placed = (podUid: string): PlacedEnrolment => ({
  node: 'n1',
  enrolment: {
    podUid,
    workloadUid: podUid,
    name: podUid,
    namespace: 'shop',
    identity: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' },
    addresses: [],
    capture: CAPTURE_EVERYTHING,
  },
});
const all = () => true;

function setup() {
  const clock = new ManualClock();
  let due = 0;
  const retirement = new Retirement({ clock, onDue: () => due++ });
  const plan = (wanted: string[], alive: (uid: string) => boolean = all) =>
    retirement.plan(wanted.map(placed), alive).map(({ enrolment }) => enrolment.podUid);
  return { clock, retirement, plan, due: () => due };
}

describe('Retirement', () => {
  test('keeps an enrolment until every agent has the version that told of its end', () => {
    const { retirement, plan, due } = setup();
    plan(['a', 'b']);
    retirement.published(1);
    assert.deepEqual(plan(['b']), ['b', 'a']);
    retirement.published(2);
    retirement.progress((version) => version < 2);
    assert.equal(due(), 0);
    assert.deepEqual(plan(['b']), ['b', 'a'], 'other changes do not hurry it');
    retirement.published(3);
    retirement.progress((version) => version <= 2);
    assert.equal(due(), 1);
    assert.deepEqual(plan(['b']), ['b']);
  });

  test('does not wait for an agent that never answers', async () => {
    const { clock, retirement, plan, due } = setup();
    plan(['a']);
    plan([]);
    retirement.published(2);
    await clock.advance(4999);
    assert.equal(due(), 0);
    await clock.advance(1);
    assert.equal(due(), 1);
    assert.deepEqual(plan([]), []);
    assert.equal(clock.pending(), 0);
  });

  test('a pod that is gone has nothing to keep', () => {
    const { plan } = setup();
    plan(['a', 'b']);
    assert.deepEqual(
      plan([], (uid) => uid === 'a'),
      ['a'],
    );
  });

  test('one that is wanted again simply stays', async () => {
    const { clock, retirement, plan } = setup();
    plan(['a']);
    plan([]);
    retirement.published(2);
    assert.deepEqual(plan(['a']), ['a']);
    retirement.progress(all);
    await clock.advance(10_000);
    assert.deepEqual(plan(['a']), ['a']);
  });
});
