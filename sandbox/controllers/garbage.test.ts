import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  CONFIG_MAPS,
  DEPLOYMENTS,
  EVENTS,
  NAMESPACES,
  PODS,
  REPLICA_SETS,
  type Resource,
  SECRETS,
} from '../../runtime/kubernetes/resources.ts';
import { World } from '../../test/support/world.ts';
import { collect, garbage } from './garbage.ts';
import { namespaces } from './namespaces.ts';
import type { KubeObject, Namespace } from './objects.ts';
import { typeMetaOf } from './resources.ts';

function owned(
  world: World,
  resource: Resource,
  name: string,
  owners: readonly { resource: Resource; object: KubeObject; blocks?: boolean }[],
): KubeObject {
  const ownerReferences = owners.map(({ resource: kind, object, blocks = true }) => ({
    ...typeMetaOf(kind),
    name: object.metadata.name,
    uid: object.metadata.uid ?? '',
    blockOwnerDeletion: blocks,
  }));
  return world.add(resource, { metadata: { name, ownerReferences } });
}

/** A Deployment with a ReplicaSet with a Pod. */
function family(world: World) {
  const deployment = world.add(DEPLOYMENTS, { metadata: { name: 'web' } });
  const set = owned(world, REPLICA_SETS, 'web-1', [{ resource: DEPLOYMENTS, object: deployment }]);
  const pod = owned(world, PODS, 'web-1-x', [{ resource: REPLICA_SETS, object: set }]);
  return { deployment, set, pod };
}

const names = (world: World) =>
  world.caches.resources().flatMap((resource) => world.list(resource).map((o) => o.metadata.name));

describe('garbage collection', () => {
  test('dependents of what is gone go, and theirs after them', () => {
    const world = new World();
    const { deployment } = family(world);
    world.remove(DEPLOYMENTS, deployment);
    world.settle([garbage]);
    assert.deepEqual(names(world), []);
  });

  test('an absence is checked against the live API before anything is deleted', () => {
    const world = new World();
    const { deployment, set } = family(world);
    world.caches.remove(DEPLOYMENTS, deployment);
    const [action] = collect(set.metadata.uid ?? '', world.caches).actions;
    assert.deepEqual(action?.verb === 'delete' && action.unless, set.metadata.ownerReferences);
  });

  test('an object with one owner left stays', () => {
    const world = new World();
    const one = world.add(CONFIG_MAPS, { metadata: { name: 'one' } });
    const other = world.add(CONFIG_MAPS, { metadata: { name: 'other' } });
    owned(world, SECRETS, 'shared', [
      { resource: CONFIG_MAPS, object: one },
      { resource: CONFIG_MAPS, object: other },
    ]);
    world.remove(CONFIG_MAPS, one);
    world.settle([garbage]);
    assert.ok(world.find(SECRETS, 'shared'));
    world.remove(CONFIG_MAPS, other);
    world.settle([garbage]);
    assert.equal(world.find(SECRETS, 'shared'), undefined);
  });

  test('an owner of a kind that is not watched is taken to live', () => {
    const world = new World();
    const owner = { apiVersion: 'example.com/v1', kind: 'Widget', name: 'w', uid: 'w' };
    world.add(SECRETS, { metadata: { name: 'kept', ownerReferences: [owner] } });
    world.settle([garbage]);
    assert.ok(world.find(SECRETS, 'kept'));
  });

  test('foreground: the owner goes after the dependents that block it', () => {
    const world = new World();
    const { deployment, pod } = family(world);
    world.change(PODS, { ...pod, spec: { nodeName: 'node-a' } } as KubeObject);
    world.remove(DEPLOYMENTS, deployment, ['foregroundDeletion']);
    world.settle([garbage]);
    // the pod still ends on its node: nobody above it is gone
    assert.deepEqual(names(world).sort(), ['web', 'web-1', 'web-1-x']);
    world.kubelets();
    world.settle([garbage]);
    assert.deepEqual(names(world), []);
  });

  test('foreground does not wait for dependents that do not block', () => {
    const world = new World();
    const deployment = world.add(DEPLOYMENTS, { metadata: { name: 'web' } });
    const owners = [{ resource: DEPLOYMENTS, object: deployment, blocks: false }];
    const set = owned(world, REPLICA_SETS, 'web-1', owners);
    world.change(REPLICA_SETS, { ...set, metadata: { ...set.metadata, finalizers: ['x/held'] } });
    world.remove(DEPLOYMENTS, deployment, ['foregroundDeletion']);
    world.settle([garbage]);
    assert.equal(world.find(DEPLOYMENTS, 'web'), undefined);
  });

  test('orphan: dependents lose their owner and stay', () => {
    const world = new World();
    const { deployment } = family(world);
    world.remove(DEPLOYMENTS, deployment, ['orphan']);
    world.settle([garbage]);
    assert.deepEqual(names(world).sort(), ['web-1', 'web-1-x']);
    assert.deepEqual(world.get(REPLICA_SETS, 'web-1').metadata.ownerReferences, []);
  });
});

describe('namespace deletion', () => {
  function doomed(): World {
    const world = new World();
    const namespace: Namespace = {
      metadata: { name: 'shop' },
      spec: { finalizers: ['kubernetes'] },
    };
    world.add(NAMESPACES, namespace);
    world.add(CONFIG_MAPS, { metadata: { name: 'settings' } });
    world.add(EVENTS, { metadata: { name: 'told' } });
    world.add(CONFIG_MAPS, { metadata: { name: 'elsewhere', namespace: 'other' } });
    return world;
  }

  test('empties the namespace, events last, and then ends it; others are untouched', () => {
    const world = doomed();
    world.remove(NAMESPACES, world.get(NAMESPACES, 'shop'));
    world.settle([namespaces]);
    assert.deepEqual(names(world), ['elsewhere']);
  });

  test('waits for finalizers, and says what it waits for', () => {
    const world = doomed();
    const held = world.get(CONFIG_MAPS, 'settings');
    world.change(CONFIG_MAPS, { ...held, metadata: { ...held.metadata, finalizers: ['x/held'] } });
    world.remove(NAMESPACES, world.get(NAMESPACES, 'shop'));
    world.settle([namespaces]);
    const { status } = world.get<Namespace>(NAMESPACES, 'shop');
    assert.match(status?.conditions?.[0]?.message ?? '', /configmaps has 1 resource instances/);
    assert.ok(world.find(EVENTS, 'told'));
    world.caches.remove(CONFIG_MAPS, held);
    world.settle([namespaces]);
    assert.equal(world.find(NAMESPACES, 'shop'), undefined);
  });

  test('a living namespace is left alone', () => {
    const world = doomed();
    world.settle([namespaces]);
    assert.equal(names(world).length, 4);
  });
});
