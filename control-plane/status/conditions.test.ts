// ConditionWriter: says what is so, once, as the leader, at a bounded pace, and keeps trying.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KubeError } from '../../runtime/kubernetes/client.ts';
import { MemoryKube } from '../../runtime/kubernetes/memory.ts';
import type { Condition, KubeObject } from '../../runtime/kubernetes/objects.ts';
import { AUTHORIZATION_POLICIES, GATEWAYS } from '../../runtime/kubernetes/resources.ts';
import { silentLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import type { Finding, Outcome } from '../translate/outcome.ts';
import { ConditionWriter } from './conditions.ts';

type Policy = KubeObject & { readonly status?: { readonly conditions: readonly Condition[] } };

const ACCEPTED: Finding = {
  type: 'Accepted',
  status: 'True',
  reason: 'Accepted',
  message: 'The policy is valid',
};
const REFUSED: Finding = { ...ACCEPTED, status: 'False', reason: 'UnsupportedValue' };

async function setup(names: readonly string[] = ['p']) {
  const client = new MemoryKube();
  const clock = new ManualClock();
  let leader = true;
  const results: string[] = [];
  const writer = new ConditionWriter({
    client,
    clock,
    log: silentLog,
    isLeader: () => leader,
    count: (kind, result) => results.push(`${kind} ${result}`),
  });
  for (const name of names) {
    await client.create<Policy>(AUTHORIZATION_POLICIES, {
      metadata: { name, namespace: 'shop', generation: 1 },
    });
  }
  const read = async (name = 'p'): Promise<Policy> =>
    (await client.get<Policy>(AUTHORIZATION_POLICIES, name, 'shop')) ?? assert.fail('gone');
  const outcome = async (finding: Finding, name = 'p'): Promise<Outcome> => ({
    resource: AUTHORIZATION_POLICIES,
    object: await read(name),
    findings: [finding],
  });
  return {
    client,
    clock,
    writer,
    read,
    outcome,
    lead: (now: boolean) => {
      leader = now;
    },
    results,
    writes: () => client.calls.filter((call) => call.startsWith('patch')).length,
  };
}

describe('ConditionWriter', () => {
  test('writes a condition with its generation and time, and nothing when it stands there already', async () => {
    const { writer, clock, read, outcome, writes } = await setup();
    writer.wish([await outcome(ACCEPTED)]);
    await clock.advance(100);
    assert.deepEqual((await read()).status, {
      observedGeneration: 1,
      conditions: [
        { ...ACCEPTED, lastTransitionTime: '2023-11-14T22:13:20Z', observedGeneration: 1 },
      ],
    });
    writer.wish([await outcome(ACCEPTED)]);
    await clock.advance(10_000);
    assert.equal(writes(), 1);
    await writer.close();
  });

  test('fields that an API server gives back in another order are not written again', async () => {
    const { client, writer, clock, read, outcome, writes } = await setup();
    const fields = { addresses: [{ value: '240.240.0.1', host: 'a.example' }] };
    writer.wish([{ ...(await outcome(ACCEPTED)), fields }]);
    await clock.advance(100);
    const { status } = await read();
    await client.patch(AUTHORIZATION_POLICIES, 'p', 'shop', {
      status: { ...status, addresses: [{ host: 'a.example', value: '240.240.0.1' }] },
    });
    const before = writes();
    writer.wish([{ ...(await outcome(ACCEPTED)), fields }]);
    await clock.advance(10_000);
    assert.equal(writes(), before);
    await writer.close();
  });

  test('the transition time moves with the status only, not with reason, message or generation', async () => {
    const { client, writer, clock, read, outcome } = await setup();
    const time = async (): Promise<string | undefined> =>
      (await read()).status?.conditions[0]?.lastTransitionTime;
    writer.wish([await outcome(ACCEPTED)]);
    await clock.advance(5000);
    const first = await time();
    await client.patch(AUTHORIZATION_POLICIES, 'p', 'shop', { metadata: { generation: 2 } });
    writer.wish([await outcome({ ...ACCEPTED, message: 'on 2 workloads' })]);
    await clock.advance(5000);
    const [condition] = (await read()).status?.conditions ?? [];
    assert.deepEqual(
      [condition?.message, condition?.observedGeneration, condition?.lastTransitionTime],
      ['on 2 workloads', 2, first],
    );
    writer.wish([await outcome(REFUSED)]);
    await clock.advance(5000);
    assert.notEqual(await time(), first);
    await writer.close();
  });

  test('an informer that is behind causes no second write', async () => {
    const { writer, clock, outcome, writes } = await setup();
    const stale = await outcome(ACCEPTED);
    writer.wish([stale]);
    await clock.advance(5000);
    writer.wish([stale]);
    await clock.advance(5000);
    assert.equal(writes(), 1);
    await writer.close();
  });

  test('what somebody else took out is written again', async () => {
    const { client, writer, clock, outcome, read, writes } = await setup();
    writer.wish([await outcome(ACCEPTED)]);
    await clock.advance(5000);
    await client.patch(AUTHORIZATION_POLICIES, 'p', 'shop', { status: { conditions: [] } });
    writer.wish([await outcome(ACCEPTED)]);
    await clock.advance(5000);
    assert.equal((await read()).status?.conditions.length, 1);
    assert.equal(writes(), 3);
    await writer.close();
  });

  test('only the leader writes; a new leader writes what is wished then', async () => {
    const { writer, clock, outcome, writes, lead } = await setup();
    lead(false);
    writer.wish([await outcome(ACCEPTED)]);
    await clock.advance(5000);
    assert.equal(writes(), 0);
    lead(true);
    writer.wish([await outcome(ACCEPTED)]);
    await clock.advance(5000);
    assert.equal(writes(), 1);
    await writer.close();
  });

  test('one object is written every two seconds at most, with the newest words', async () => {
    const { writer, clock, outcome, read, writes } = await setup();
    for (let count = 0; count < 100; count++) {
      writer.wish([await outcome({ ...ACCEPTED, message: `on ${count} workloads` })]);
      await clock.advance(100);
    }
    assert.ok(writes() <= 6, `${writes()} writes in 10 s`);
    await clock.advance(2000);
    assert.equal((await read()).status?.conditions[0]?.message, 'on 99 workloads');
    await writer.close();
  });

  test('many objects are written at fifty a second at most', async () => {
    const names = Array.from({ length: 200 }, (_, i) => `p${i}`);
    const { writer, clock, outcome, writes } = await setup(names);
    writer.wish(await Promise.all(names.map((name) => outcome(ACCEPTED, name))));
    for (let ms = 0; ms < 1000; ms += 20) await clock.advance(20);
    assert.ok(writes() > 30 && writes() <= 52, `${writes()} writes in the first second`);
    for (let ms = 0; ms < 6000; ms += 20) await clock.advance(20);
    assert.equal(writes(), 200);
    await writer.close();
  });

  test('while the API server is away it tries again, and writes once it is back', async () => {
    const { client, writer, clock, outcome, read, results } = await setup();
    const wished = await outcome(ACCEPTED);
    client.breakDown();
    writer.wish([wished]);
    for (let i = 0; i < 20; i++) await clock.advance(1000);
    client.restore();
    for (let i = 0; i < 40; i++) await clock.advance(1000);
    assert.equal((await read()).status?.conditions[0]?.status, 'True');
    assert.equal(results.at(-1), 'AuthorizationPolicy written');
    assert.ok(results.length > 3 && results.slice(0, -1).every((one) => one.endsWith('failed')));
    await writer.close();
  });

  test('one that is refused for its content does not hold up the others', async () => {
    const { client, writer, clock, outcome, read, results } = await setup(['bad', 'good']);
    const wished = [await outcome(ACCEPTED, 'bad'), await outcome(ACCEPTED, 'good')];
    const apply = client.apply.bind(client);
    client.apply = async (resource, object) => {
      if (object.metadata.name === 'bad') throw new KubeError(422, 'Invalid', 'no such field');
      return apply(resource, object);
    };
    writer.wish(wished);
    for (let i = 0; i < 10; i++) await clock.advance(20);
    assert.equal((await read('good')).status?.conditions.length, 1);
    assert.deepEqual(results, ['AuthorizationPolicy refused', 'AuthorizationPolicy written']);
    await writer.close();
  });
});

describe('ConditionWriter: parts of a status', () => {
  type Gateway = KubeObject & { readonly status?: Readonly<Record<string, unknown>> };
  const listener = (finding: Finding, attachedRoutes = 0) => ({
    name: 'mesh',
    fields: { attachedRoutes },
    findings: [finding],
  });

  test('keep the time of a condition that stays, move it with the status, and know no generation of the whole', async () => {
    const { client, writer, clock } = await setup([]);
    await client.create<Gateway>(GATEWAYS, {
      metadata: { name: 'g', namespace: 'shop', generation: 2 },
    });
    const read = async () => (await client.get<Gateway>(GATEWAYS, 'g', 'shop')) ?? assert.fail();
    const say = async (finding: Finding, attachedRoutes?: number) => {
      writer.wish([
        {
          resource: GATEWAYS,
          object: await read(),
          findings: [ACCEPTED],
          parts: { listeners: [listener(finding, attachedRoutes)] },
        },
      ]);
      await clock.advance(10_000);
      return (await read()).status;
    };
    const stamped = (finding: Finding, seconds: string) => ({
      ...finding,
      lastTransitionTime: `2023-11-14T22:13:${seconds}Z`,
      observedGeneration: 2,
    });
    assert.deepEqual(await say(ACCEPTED), {
      conditions: [stamped(ACCEPTED, '20')],
      listeners: [{ name: 'mesh', attachedRoutes: 0, conditions: [stamped(ACCEPTED, '20')] }],
    });
    const before = client.calls.length;
    await say(ACCEPTED);
    assert.equal(client.calls.slice(before).filter((call) => call.startsWith('patch')).length, 0);
    assert.deepEqual((await say(ACCEPTED, 3))?.['listeners'], [
      { name: 'mesh', attachedRoutes: 3, conditions: [stamped(ACCEPTED, '20')] },
    ]);
    assert.deepEqual((await say(REFUSED, 3))?.['listeners'], [
      { name: 'mesh', attachedRoutes: 3, conditions: [stamped(REFUSED, '50')] },
    ]);
    await writer.close();
  });
});
