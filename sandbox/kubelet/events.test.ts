import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KubeError } from '../../runtime/kubernetes/client.ts';
import type { Event } from '../../runtime/kubernetes/objects.ts';
import { EVENTS } from '../../runtime/kubernetes/resources.ts';
import { silentLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { type News, recordEvents } from './events.ts';
import { MemoryKube } from './test-support/memory-kube.ts';

const POD = { namespace: 'demo', name: 'web', uid: 'u1' };
const NEWS: News = { type: 'Warning', reason: 'BackOff', message: 'again' };

test('equal news is one event with a count, different news is another', async () => {
  const clock = new ManualClock();
  const kube = new MemoryKube(() => clock.now());
  const events = recordEvents({ client: kube, clock, log: silentLog }, { nodeName: 'node-1' });
  for (let times = 0; times < 3; times++) events.record(POD, NEWS);
  events.record(POD, { ...NEWS, message: 'other' });
  await events.close();
  const { items } = await kube.list<Event>(EVENTS);
  assert.deepEqual(items.map(({ message, count }) => `${message} ${count}`).toSorted(), [
    'again 3',
    'other 1',
  ]);
  assert.equal(items[0]?.source?.host, 'node-1');
});

test('an API server that refuses events is no fault of the caller', async () => {
  const clock = new ManualClock();
  const kube = new MemoryKube(() => clock.now());
  kube.create = () => Promise.reject(new KubeError(403, 'Forbidden', 'the namespace is ending'));
  const events = recordEvents({ client: kube, clock, log: silentLog }, { nodeName: 'node-1' });
  events.record(POD, NEWS);
  await events.close();
  assert.deepEqual((await kube.list(EVENTS)).items, []);
});
