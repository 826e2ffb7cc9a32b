import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PODS, REPLICA_SETS } from '../../runtime/kubernetes/resources.ts';
import { World } from '../../test/support/world.ts';
import type { KubeObject, Pod, ReplicaSet } from './objects.ts';
import { isControlledBy, isTerminating } from './pods.ts';
import { replicaSets } from './replica-set.ts';
import { scheduler } from './scheduler.ts';

const CONTROLLERS = [replicaSets, scheduler()];

function setOf(replicas: number): ReplicaSet {
  return {
    metadata: { name: 'web', namespace: 'shop' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web' }] } },
    },
  };
}

function running(replicas: number): World {
  const world = new World();
  world.addNode('node-a');
  world.addNode('node-b');
  world.add(REPLICA_SETS, setOf(replicas));
  world.settle(CONTROLLERS);
  world.kubelets();
  world.settle(CONTROLLERS);
  return world;
}

function resize(world: World, replicas: number): void {
  const set = world.get<ReplicaSet>(REPLICA_SETS, 'web');
  world.change(REPLICA_SETS, { ...set, spec: { ...set.spec, replicas } });
  world.settle(CONTROLLERS);
}

const living = (world: World) => world.list<Pod>(PODS).filter((pod) => !isTerminating(pod));

describe('ReplicaSet', () => {
  test('replaces a pod that failed or was deleted', () => {
    const world = running(2);
    const [first, second] = living(world);
    world.run(first!, false, { phase: 'Failed' });
    world.remove(PODS, second!);
    world.settle(CONTROLLERS);
    const active = living(world).filter((pod) => pod.status?.phase !== 'Failed');
    assert.equal(active.length, 2);
    assert.ok(active.every((pod) => pod !== first && pod !== second));
  });

  test('gives up pods that are not ready before ready ones', () => {
    const world = running(4);
    const broken = living(world)[2]!;
    world.run(broken, false);
    resize(world, 3);
    assert.ok(living(world).every((pod) => pod.metadata.name !== broken.metadata.name));
  });

  test('gives up pods from the more crowded node first', () => {
    const world = running(4);
    resize(world, 2);
    assert.deepEqual(
      living(world)
        .map((pod) => pod.spec?.nodeName ?? '')
        .sort(),
      ['node-a', 'node-b'],
    );
  });

  test('adopts a matching orphan instead of making another pod', () => {
    const world = new World();
    world.addNode('node-a');
    const orphan = { metadata: { name: 'web-1', labels: { app: 'web' } }, spec: {} } as KubeObject;
    world.add(PODS, orphan);
    world.add(REPLICA_SETS, setOf(1));
    world.settle(CONTROLLERS);
    const uid = world.get(REPLICA_SETS, 'web').metadata.uid;
    assert.deepEqual(
      living(world).map((pod) => isControlledBy(pod, uid)),
      [true],
    );
  });

  test('releases a pod whose labels no longer match, and makes another', () => {
    const world = running(1);
    const [pod] = living(world);
    const metadata = { ...pod!.metadata, labels: { app: 'debugged' } };
    world.change(PODS, { ...pod!, metadata });
    world.settle(CONTROLLERS);
    const released = world.get(PODS, pod!.metadata.name);
    assert.deepEqual(released.metadata.ownerReferences, []);
    assert.equal(living(world).length, 2);
  });

  test('does not touch pods that another controller owns', () => {
    const world = running(1);
    const owner = { apiVersion: 'v1', kind: 'Other', name: 'x', uid: 'x', controller: true };
    const metadata = { name: 'theirs', labels: { app: 'web' }, ownerReferences: [owner] };
    world.add(PODS, { metadata } as KubeObject);
    world.settle(CONTROLLERS);
    assert.equal(living(world).length, 2);
  });
});
