// Reports: the newest word on each pod, told once on each connection, bounded.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EnrolmentReport } from '../mesh/enrolment.ts';
import { Reports } from './reports.ts';

const report = (podUid: string, state: 'enabled' | 'removed'): EnrolmentReport => ({
  podUid,
  name: podUid,
  namespace: 'shop',
  state,
});
const told = (reports: Reports) =>
  [...reports.untold()].map(({ podUid, state }) => `${podUid} ${state}`);

describe('Reports', () => {
  test('tells the newest word on each pod once, and all of it again on a new connection', () => {
    const reports = new Reports();
    reports.add(report('a', 'enabled'));
    reports.add(report('b', 'enabled'));
    reports.add(report('a', 'removed'));
    assert.deepEqual(told(reports), ['b enabled', 'a removed']);
    assert.deepEqual(told(reports), []);
    reports.add(report('b', 'removed'));
    assert.deepEqual(told(reports), ['b removed']);
    reports.reconnected();
    assert.deepEqual(told(reports), ['a removed', 'b removed']);
  });

  test('forgets pods that left before those that are here', () => {
    const reports = new Reports();
    reports.add(report('here', 'enabled'));
    reports.add(report('left', 'removed'));
    for (let i = 0; i < 4094; i++) assert.equal(reports.add(report(`p${i}`, 'enabled')), true);
    assert.equal(reports.add(report('one-more', 'enabled')), true, 'the one that left made room');
    assert.equal(reports.add(report('too-many', 'enabled')), false, 'one that is here had to go');
    assert.equal(told(reports).length, 4096);
  });
});
