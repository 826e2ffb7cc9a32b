// Deployer: writes what differs, once, as the leader; leaves what is not its own; goes on where it was refused.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KubeError } from '../../runtime/kubernetes/client.ts';
import { MemoryKube } from '../../runtime/kubernetes/memory.ts';
import type { KubeObject } from '../../runtime/kubernetes/objects.ts';
import {
  GATEWAY_CLASSES,
  type Resource,
  SERVICE_ACCOUNTS,
  SERVICES,
} from '../../runtime/kubernetes/resources.ts';
import { silentLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Deployer } from './deployer.ts';
import type { DesiredObject } from './desired.ts';

type Thing = KubeObject & { readonly spec?: Record<string, unknown> };

const OWNER = { apiVersion: 'v1', kind: 'Gateway', name: 'g', uid: 'u-g', controller: true };
function wanted(
  name: string,
  spec: Record<string, unknown> = {},
  resource = SERVICES,
): DesiredObject {
  const labels = { 'ambit-mesh.io/managed': 'waypoint' };
  const object: Thing = {
    metadata: { name, namespace: 'shop', labels, ownerReferences: [OWNER] },
    spec,
  };
  return { resource, object };
}

/** The informers of this test are never behind, unless they are told to be. */
async function setup() {
  const client = new Refusing();
  const clock = new ManualClock();
  const state = { leader: true, blind: false, failures: 0 };
  const kept = new Map<string, DesiredObject>();
  const look = async (): Promise<void> => {
    kept.clear();
    for (const resource of [SERVICES, SERVICE_ACCOUNTS]) {
      for (const object of (await client.list(resource)).items) {
        kept.set(`${resource.plural}/${object.metadata.name}`, { resource, object });
      }
    }
  };
  const deployer = new Deployer({
    client,
    clock,
    log: silentLog,
    isLeader: () => state.leader,
    observed: (resource, _, name) =>
      state.blind ? undefined : kept.get(`${resource.plural}/${name}`)?.object,
    managed: () =>
      [...kept.values()].filter(({ object }) => object.metadata.labels?.['ambit-mesh.io/managed']),
    onFailure: () => state.failures++,
  });
  const wish = async (desired: DesiredObject[], untouched: string[] = []): Promise<void> => {
    await look();
    deployer.wish({ desired, untouched: new Set(untouched), known: new Set(['u-g']) });
    await clock.advance(1000);
    await look();
  };
  const get = (name: string, resource: Resource = SERVICES) =>
    client.get<Thing>(resource, name, 'shop');
  const writes = (): string[] => client.calls.filter((call) => !/^(get|list)/.test(call));
  return { client, clock, state, deployer, wish, look, get, writes };
}

class Refusing extends MemoryKube {
  refusal: Error | undefined;
  override async apply<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    if (this.refusal !== undefined) throw this.refusal;
    return super.apply(resource, object);
  }
}

describe('Deployer', () => {
  test('makes what is not there, changes what differs, and leaves what is as it should be', async () => {
    const { wish, get, writes, deployer } = await setup();
    await wish([wanted('a', { x: 1 })]);
    assert.deepEqual((await get('a'))?.spec, { x: 1 });
    assert.equal(writes().length, 1);
    await wish([wanted('a', { x: 1 })]);
    assert.equal(writes().length, 1);
    await wish([wanted('a', { x: 2 })]);
    assert.deepEqual((await get('a'))?.spec, { x: 2 });
    assert.equal(writes().length, 2);
    await deployer.close();
  });

  test('puts back what somebody changed, and lets stand what an API server adds', async () => {
    const { wish, get, client, clock, deployer } = await setup();
    await wish([wanted('a', { x: 1 })]);
    await client.patch(SERVICES, 'a', 'shop', { spec: { x: 3, added: true } });
    await wish([wanted('a', { x: 1 })]);
    await clock.advance(5000);
    assert.deepEqual((await get('a'))?.spec, { x: 1, added: true });
    await deployer.close();
  });

  test('does not write again and again what others keep in a list', async () => {
    const { wish, client, writes, deployer } = await setup();
    await wish([wanted('a', { list: [1] })]);
    // a webhook that adds its own to whatever is written
    const apply = client.apply.bind(client);
    client.apply = async (resource, object) => {
      await apply(resource, object);
      return client.patch(resource, 'a', 'shop', { spec: { list: [1, 2] } });
    };
    await client.patch(SERVICES, 'a', 'shop', { spec: { list: [1, 2] } });
    await wish([wanted('a', { list: [1] })]);
    const before = writes().length;
    await wish([wanted('a', { list: [1] })]);
    await wish([wanted('a', { list: [1] })]);
    assert.equal(writes().length, before);
    await deployer.close();
  });

  test('waits for its informers before it writes the same again', async () => {
    const { wish, state, clock, writes, deployer } = await setup();
    state.blind = true;
    await wish([wanted('a')]);
    await wish([wanted('a')]);
    assert.equal(writes().length, 1);
    await clock.advance(5000);
    assert.equal(writes().length, 2);
    await deployer.close();
  });

  test('deletes what it made and nobody needs any more, and nothing else', async () => {
    const { wish, get, client, deployer } = await setup();
    const foreign = {
      kind: 'Deployment',
      apiVersion: 'apps/v1',
      name: 'x',
      uid: 'u-x',
      controller: true,
    };
    const labels = { 'ambit-mesh.io/managed': 'waypoint' };
    const here = (name: string, more: object): Thing => ({
      metadata: { name, namespace: 'shop', ...more },
    });
    await client.create(SERVICES, here('unlabelled', { ownerReferences: [OWNER] }));
    await client.create(SERVICES, here('labelled', { labels }));
    await client.create(SERVICES, here('of-another', { labels, ownerReferences: [foreign] }));
    await client.create(
      SERVICES,
      here('of-a-gateway-we-do-not-know', { labels, ownerReferences: [{ ...OWNER, uid: 'u-z' }] }),
    );
    await wish([wanted('a'), wanted('b')]);
    await wish([wanted('a')], ['u-g']);
    assert.ok(await get('b'), 'left as it is while its Gateway is not understood');
    await wish([wanted('a')]);
    assert.equal(await get('b'), undefined);
    const { items } = await client.list(SERVICES);
    assert.deepEqual(
      items.map(({ metadata }) => metadata.name),
      ['a', 'labelled', 'of-a-gateway-we-do-not-know', 'of-another', 'unlabelled'],
    );
    await deployer.close();
  });

  test('leaves alone what has the name and was not made for the Gateway, and says so', async () => {
    const { wish, get, client, deployer, state, clock } = await setup();
    await client.create<Thing>(SERVICES, {
      metadata: { name: 'a', namespace: 'shop' },
      spec: { x: 9 },
    });
    await wish([wanted('a', { x: 1 }), wanted('b')]);
    assert.deepEqual((await get('a'))?.spec, { x: 9 });
    assert.ok(await get('b'), 'others do not wait for it');
    assert.match(deployer.failureOf('u-g') ?? '', /Service shop\/a is there already/);
    assert.equal(state.failures, 1);
    await client.delete(SERVICES, 'a', 'shop');
    await clock.advance(15_000);
    assert.deepEqual((await get('a'))?.spec, { x: 1 });
    assert.equal(deployer.failureOf('u-g'), undefined);
    assert.equal(state.failures, 2);
    await deployer.close();
  });

  test('is content with an account that somebody has set up', async () => {
    const { wish, client, deployer } = await setup();
    await client.create(SERVICE_ACCOUNTS, { metadata: { name: 'a', namespace: 'shop' } });
    await wish([wanted('a', {}, SERVICE_ACCOUNTS)]);
    assert.equal(deployer.failureOf('u-g'), undefined);
    await deployer.close();
  });

  test('tells why an object was refused, goes on with others, and tries again later or when it changes', async () => {
    const { wish, get, client, clock, deployer } = await setup();
    client.refusal = new KubeError(403, 'Forbidden', 'Cannot apply: exceeded quota');
    await wish([wanted('a', { x: 1 })]);
    assert.match(deployer.failureOf('u-g') ?? '', /exceeded quota/);
    client.refusal = undefined;
    await wish([wanted('a', { x: 1 })]);
    assert.equal(await get('a'), undefined, 'the same is not asked again at once');
    await wish([wanted('a', { x: 2 })]);
    assert.ok(await get('a'), 'something else is');
    client.refusal = new KubeError(422, 'Invalid', 'no');
    await wish([wanted('a', { x: 3 })]);
    client.refusal = undefined;
    await clock.advance(20_000);
    assert.deepEqual((await get('a'))?.spec, { x: 3 });
    await deployer.close();
  });

  test('keeps trying while the API server is away', async () => {
    const { wish, get, client, clock, deployer } = await setup();
    client.refusal = new KubeError(0, 'Unreachable', 'down');
    await wish([wanted('a')]);
    client.refusal = undefined;
    await clock.advance(30_000);
    assert.ok(await get('a'));
    await deployer.close();
  });

  test('does without the Gateway API where there is none', async () => {
    const { wish, client, deployer, state } = await setup();
    client.refusal = new KubeError(
      404,
      'NotFound',
      'the server could not find the requested resource',
    );
    const object = { metadata: { name: 'ambit-waypoint' } };
    await wish([{ resource: GATEWAY_CLASSES, object }]);
    assert.equal(state.failures, 0);
    await deployer.close();
  });

  test('writes nothing unless it leads', async () => {
    const { wish, state, writes, get, deployer } = await setup();
    state.leader = false;
    await wish([wanted('a')]);
    assert.equal(writes().length, 0);
    state.leader = true;
    await wish([wanted('a')]);
    assert.ok(await get('a'));
    await deployer.close();
  });
});
