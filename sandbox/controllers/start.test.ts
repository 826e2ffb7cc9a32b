// The runner against an API in memory: watches, queues, executions and their failures. The reconcilers' rules have
// their own tests; here it is that the right ones run, once each, and go on after trouble.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '../../runtime/clock.ts';
import { KubeError } from '../../runtime/kubernetes/client.ts';
import { MemoryKube } from '../../runtime/kubernetes/memory.ts';
import {
  CONFIG_MAPS,
  DEPLOYMENTS,
  NAMESPACES,
  PODS,
  REPLICA_SETS,
  type Resource,
  SERVICE_ACCOUNTS,
} from '../../runtime/kubernetes/resources.ts';
import { silentLog } from '../../runtime/log.ts';
import type { KubeObject } from './objects.ts';
import { keyOf } from './plan.ts';
import { type ControllerSettings, startControllers } from './start.ts';

const NAMESPACE = { metadata: { name: 'shop' }, status: { phase: 'Active' } };
const WEB = {
  metadata: { name: 'web', namespace: 'shop', generation: 1 },
  spec: {
    replicas: 3,
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web' }] } },
  },
};

function start(client: MemoryKube, settings: Partial<ControllerSettings> = {}) {
  const parts = { client, clock: systemClock, log: silentLog };
  const controllers = startControllers(parts, { caPem: 'PEM', ...settings });
  return { [Symbol.asyncDispose]: () => controllers.close() };
}

/** Resolves when `done` holds for the resource's objects; looks at each change, never at the clock. */
async function until(
  client: MemoryKube,
  resource: Resource,
  done: (objects: readonly KubeObject[]) => boolean,
): Promise<void> {
  const stop = new AbortController();
  const { items, resourceVersion } = await client.list<KubeObject>(resource);
  const objects = new Map(items.map((object) => [keyOf(object), object]));
  if (done([...objects.values()])) return;
  const over = new Error('seen');
  await client
    .watch<KubeObject>(
      resource,
      { resourceVersion },
      ({ type, object }) => {
        if (type === 'DELETED') objects.delete(keyOf(object));
        else objects.set(keyOf(object), object);
        if (done([...objects.values()])) stop.abort(over);
      },
      stop.signal,
    )
    .catch((error: unknown) => {
      if (error !== over) throw error;
    });
}

describe('startControllers()', () => {
  test('a Deployment becomes a ReplicaSet and exactly as many pods as wanted', async () => {
    const client = new MemoryKube();
    await client.create(DEPLOYMENTS, WEB);
    await using _controllers = start(client);
    await until(client, REPLICA_SETS, (sets) =>
      sets.some((set) => (set as { status?: { replicas?: number } }).status?.replicas === 3),
    );
    assert.equal((await client.list(PODS)).items.length, 3);
    assert.equal(client.calls.filter((call) => call === 'create pods').length, 3);
  });

  test('every namespace is furnished, those of before and those of later', async () => {
    const client = new MemoryKube();
    await client.create(NAMESPACES, NAMESPACE);
    await using _controllers = start(client);
    await until(client, CONFIG_MAPS, (maps) => maps.length === 1);
    await client.create(NAMESPACES, { metadata: { name: 'later' } });
    await until(client, SERVICE_ACCOUNTS, (accounts) => accounts.length === 2);
  });

  test('goes on where it was after an outage of the API server', async () => {
    const client = new MemoryKube();
    await using _controllers = start(client, { only: ['serviceaccount-controller'] });
    await client.create(NAMESPACES, NAMESPACE);
    await until(client, SERVICE_ACCOUNTS, (accounts) => accounts.length === 1);
    client.breakDown(new KubeError(0, 'Unreachable', 'The API server is down'));
    client.restore();
    await client.create(NAMESPACES, { metadata: { name: 'later' } });
    await until(client, SERVICE_ACCOUNTS, (accounts) => accounts.length === 2);
  });

  test('`only` runs those named, and refuses a name it does not know', async () => {
    const client = new MemoryKube();
    await client.create(DEPLOYMENTS, WEB);
    await client.create(NAMESPACES, NAMESPACE);
    await using _controllers = start(client, { only: ['serviceaccount-controller'] });
    await until(client, SERVICE_ACCOUNTS, (accounts) => accounts.length === 1);
    assert.equal((await client.list(REPLICA_SETS)).items.length, 0);
    assert.throws(() => start(client, { only: ['nonsense'] }), /there are default-scheduler/);
  });

  test('closes at any time, also before the first list is complete', async () => {
    const client = new MemoryKube();
    client.breakDown();
    const controllers = start(client);
    await controllers[Symbol.asyncDispose]();
    assert.equal(client.watching, 0);
  });
});
