// knownSource(): at once, after discovery caught up, or SOURCE_UNKNOWN after five seconds.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../runtime/manual-clock.ts';
import { knownSource } from './known-source.ts';
import { HandmadeDiscovery, workloadOf, workloadUid } from './test-support/world.ts';

const POD = { name: 'web', uid: 'web', addresses: ['10.0.0.1'] };

describe('knownSource()', () => {
  test('gives a workload that is known, with the snapshot that knows it', async () => {
    const [clock, discovery] = [new ManualClock(), new HandmadeDiscovery()];
    discovery.push({ kind: 'workload', workload: workloadOf(POD) });
    const { source, snapshot } = await knownSource({ clock, discovery }, workloadUid(POD));
    assert.equal(snapshot.workloadByUid(workloadUid(POD)), source);
  });

  test('waits for discovery, and leaves no timer behind', async () => {
    const [clock, discovery] = [new ManualClock(), new HandmadeDiscovery()];
    const known = knownSource({ clock, discovery }, workloadUid(POD));
    await clock.advance(4000);
    discovery.push({ kind: 'workload', workload: workloadOf(POD) });
    assert.equal((await known).source.name, 'web');
    assert.equal(clock.pending(), 0);
  });

  test('gives up after 5 s', async () => {
    const [clock, discovery] = [new ManualClock(), new HandmadeDiscovery()];
    const known = knownSource({ clock, discovery }, workloadUid(POD));
    known.catch(() => {});
    await clock.advance(5000);
    await assert.rejects(known, { code: 'SOURCE_UNKNOWN' });
  });
});
