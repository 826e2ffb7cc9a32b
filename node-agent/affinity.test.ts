import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../runtime/manual-clock.ts';
import { Affinity } from './affinity.ts';
import { portOf, serviceOf, workloadOf } from './test-support/world.ts';

const CLIENT = workloadOf({ name: 'client', uid: 'c', addresses: ['10.0.0.1'] });
const OTHER = workloadOf({ name: 'other', uid: 'o', addresses: ['10.0.0.2'] });
const PORT = portOf(80, 8080);
const sticky = (name: string) => ({
  ...serviceOf(name, '10.96.0.1', [PORT]),
  sessionAffinitySeconds: 60,
});
const WEB = sticky('web');

describe('session affinity', () => {
  test('is for one client, one service and one port', () => {
    const affinity = new Affinity({ clock: new ManualClock() });
    affinity.note(CLIENT, WEB, PORT, 'a');
    assert.equal(affinity.of(CLIENT, WEB, PORT), 'a');
    assert.equal(affinity.of(OTHER, WEB, PORT), undefined);
    assert.equal(affinity.of(CLIENT, sticky('db'), PORT), undefined);
    assert.equal(affinity.of(CLIENT, WEB, portOf(81, 8080)), undefined);
  });

  test('ends when the client has not connected for the service’s time, and begins anew when it has', async () => {
    const clock = new ManualClock();
    const affinity = new Affinity({ clock });
    affinity.note(CLIENT, WEB, PORT, 'a');
    await clock.advance(59_999);
    assert.equal(affinity.of(CLIENT, WEB, PORT), 'a');
    affinity.note(CLIENT, WEB, PORT, 'a');
    await clock.advance(59_999);
    assert.equal(affinity.of(CLIENT, WEB, PORT), 'a');
    await clock.advance(1);
    assert.equal(affinity.of(CLIENT, WEB, PORT), undefined);
  });

  test('remembers a bounded number of clients, the latest', () => {
    const affinity = new Affinity({ clock: new ManualClock() });
    const client = (i: number) => ({ ...CLIENT, uid: `client-${i}` });
    for (let i = 0; i < 65_537; i++) affinity.note(client(i), WEB, PORT, 'a');
    assert.equal(affinity.of(client(0), WEB, PORT), undefined);
    assert.equal(affinity.of(client(1), WEB, PORT), 'a');
    assert.equal(affinity.of(client(65_536), WEB, PORT), 'a');
  });

  test('of a service that wants none is none', () => {
    const affinity = new Affinity({ clock: new ManualClock() });
    const free = { ...WEB, sessionAffinitySeconds: undefined };
    affinity.note(CLIENT, free, PORT, 'a');
    assert.equal(affinity.of(CLIENT, free, PORT), undefined);
  });
});
