// Leadership: one leader at a time, given up before another can have it, released on stop.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { silentLog } from '../log.ts';
import { ManualClock } from '../manual-clock.ts';
import { elect } from './lease.ts';
import { MemoryKube } from './memory.ts';
import type { Lease } from './objects.ts';
import { LEASES } from './resources.ts';

function candidate(kube: MemoryKube, clock: ManualClock, holder: string) {
  const stop = new AbortController();
  const turns: string[] = [];
  const settings = { namespace: 'ambit-system', name: 'lead', holder };
  const done = elect(
    { client: kube, clock, log: silentLog },
    settings,
    (signal) =>
      new Promise((resolve) => {
        turns.push('lead');
        signal.addEventListener('abort', () => {
          turns.push('lost');
          resolve();
        });
      }),
    stop.signal,
  );
  return { turns, stop: () => stop.abort(new Error('stop')), done };
}

describe('elect()', () => {
  test('one leads, the other takes over at once when the first stops', async () => {
    const kube = new MemoryKube();
    const clock = new ManualClock();
    const a = candidate(kube, clock, 'a');
    await clock.advance(0);
    const b = candidate(kube, clock, 'b');
    await clock.advance(60_000);
    assert.deepEqual([a.turns, b.turns], [['lead'], []]);
    a.stop();
    await a.done;
    assert.equal((await kube.get<Lease>(LEASES, 'lead', 'ambit-system'))?.spec?.holderIdentity, '');
    await clock.advance(2000);
    assert.deepEqual([a.turns, b.turns], [['lead', 'lost'], ['lead']]);
    b.stop();
    await b.done;
  });

  test('a leader that cannot renew gives up before the lease runs out', async () => {
    const kube = new MemoryKube();
    const clock = new ManualClock();
    const a = candidate(kube, clock, 'a');
    await clock.advance(0);
    kube.breakDown();
    await clock.advance(9_999);
    assert.deepEqual(a.turns, ['lead']);
    await clock.advance(1);
    assert.deepEqual(a.turns, ['lead', 'lost']);
    kube.restore();
    await clock.advance(5000);
    assert.deepEqual(a.turns, ['lead', 'lost', 'lead'], 'and leads again when the API is back');
    a.stop();
    await a.done;
  });

  test('a crashed leader is followed once its lease was not renewed for its duration', async () => {
    const kube = new MemoryKube();
    const clock = new ManualClock();
    await kube.create<Lease>(LEASES, {
      metadata: { name: 'lead', namespace: 'ambit-system' },
      spec: { holderIdentity: 'crashed', leaseDurationSeconds: 15 },
    });
    const b = candidate(kube, clock, 'b');
    await clock.advance(14_000);
    assert.deepEqual(b.turns, []);
    await clock.advance(4000);
    assert.deepEqual(b.turns, ['lead']);
    b.stop();
    await b.done;
  });

  test('work that ends by itself ends the election; work that fails rejects it; both release', async () => {
    const kube = new MemoryKube();
    const clock = new ManualClock();
    const settings = { namespace: 'ambit-system', name: 'once', holder: 'a' };
    const parts = { client: kube, clock, log: silentLog };
    const never = new AbortController().signal;
    await elect(parts, settings, async () => {}, never);
    const failing = elect(
      parts,
      settings,
      async () => {
        throw new Error('no luck');
      },
      never,
    );
    await assert.rejects(failing, /no luck/);
    assert.equal((await kube.get<Lease>(LEASES, 'once', 'ambit-system'))?.spec?.holderIdentity, '');
    assert.equal(clock.pending(), 0, 'no timer is left');
  });

  test('an edit of the Lease by somebody else does not cost the leader its place', async () => {
    const kube = new MemoryKube();
    const clock = new ManualClock();
    const a = candidate(kube, clock, 'a');
    await clock.advance(0);
    await kube.patch(LEASES, 'lead', 'ambit-system', { metadata: { labels: { team: 'x' } } });
    await clock.advance(60_000);
    assert.deepEqual(a.turns, ['lead']);
    a.stop();
    await a.done;
  });
});
