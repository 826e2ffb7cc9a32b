import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LabelCounts, MAX_SERIES } from './label-counts.ts';
import { ManualClock } from './manual-clock.ts';

const MINUTE_MS = 60_000;
const beyond = () => ({ who: 'other' });

test('counts by labels', () => {
  const counts = new LabelCounts({ clock: new ManualClock() }, { beyond });
  for (const who of ['a', 'b', 'a']) counts.inc({ who });
  assert.deepEqual(
    [...counts.samples()].map(({ labels, value }) => [labels['who'], value]),
    [
      ['a', 2],
      ['b', 1],
    ],
  );
});

test('however many labels there are, their series are not', () => {
  const counts = new LabelCounts({ clock: new ManualClock() }, { beyond });
  for (let index = 0; index < MAX_SERIES + 100; index++) counts.inc({ who: `w${index}` });
  const samples = [...counts.samples()];
  assert.equal(samples.length, MAX_SERIES + 1);
  assert.deepEqual([samples.at(-1)?.labels, samples.at(-1)?.value], [{ who: 'other' }, 100]);
});

test('a series nobody added to for a quarter of an hour goes, one in use never falls', async () => {
  const clock = new ManualClock();
  const counts = new LabelCounts({ clock }, { beyond });
  counts.inc({ who: 'gone' });
  counts.inc({ who: 'here' });
  await clock.advance(10 * MINUTE_MS);
  counts.inc({ who: 'here' });
  await clock.advance(10 * MINUTE_MS);
  assert.deepEqual(
    [...counts.samples()].map(({ labels, value }) => [labels['who'], value]),
    [['here', 2]],
  );
});
