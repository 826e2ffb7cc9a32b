import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DEPLOYMENTS, PODS, REPLICA_SETS } from '../../runtime/kubernetes/resources.ts';
import { World } from '../../test/support/world.ts';
import { deployments } from './deployment.ts';
import type { Deployment, DeploymentSpec, Pod, ReplicaSet } from './objects.ts';
import { conditionOf, isReady, isTerminating } from './pods.ts';
import { replicaSets } from './replica-set.ts';
import { scheduler } from './scheduler.ts';

const CONTROLLERS = [deployments, replicaSets, scheduler()];
const REVISION = 'deployment.kubernetes.io/revision';

function web(spec: Partial<DeploymentSpec> = {}, image = 'web:1'): Deployment {
  return {
    metadata: { name: 'web', namespace: 'shop' },
    spec: {
      replicas: 3,
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'web', image }] },
      },
      ...spec,
    },
  };
}

function withImage(deployment: Deployment, image: string): Deployment {
  const { template } = web({}, image).spec ?? {};
  return { ...deployment, spec: { ...deployment.spec, ...(template ? { template } : {}) } };
}

function runningWorld(spec: Partial<DeploymentSpec> = {}): World {
  const world = new World();
  world.addNode('node-a');
  world.addNode('node-b');
  world.add(DEPLOYMENTS, web(spec));
  finish(world);
  return world;
}

function finish(world: World, each: () => void = () => {}): void {
  for (let turn = 0; turn < 20; turn++) {
    world.settle(CONTROLLERS, each);
    world.kubelets();
    each();
  }
}

const deploymentIn = (world: World) => world.get<Deployment>(DEPLOYMENTS, 'web');
const podsIn = (world: World) => world.list<Pod>(PODS).filter((pod) => !isTerminating(pod));
const images = (world: World) =>
  [...new Set(podsIn(world).map((pod) => String(pod.spec?.containers?.[0]?.['image'])))].sort();

describe('Deployment', () => {
  test('makes one ReplicaSet with its template hash, and as many pods as wanted', () => {
    const world = runningWorld();
    const [set, ...others] = world.list<ReplicaSet>(REPLICA_SETS);
    assert.equal(others.length, 0);
    const hash = set?.metadata.labels?.['pod-template-hash'] ?? '';
    assert.equal(set?.metadata.name, `web-${hash}`);
    assert.equal(podsIn(world).length, 3);
    for (const pod of podsIn(world)) {
      assert.equal(pod.metadata.labels?.['pod-template-hash'], hash);
      assert.match(pod.metadata.name, new RegExp(`^web-${hash}-`));
    }
  });

  test('is complete in the words that kubectl rollout status reads', () => {
    const { status, metadata } = deploymentIn(runningWorld());
    assert.equal(status?.observedGeneration, metadata.generation);
    assert.deepEqual(
      [status?.replicas, status?.updatedReplicas, status?.availableReplicas],
      [3, 3, 3],
    );
    assert.equal(conditionOf({ status: status ?? {} }, 'Available')?.status, 'True');
    const progressing = conditionOf({ status: status ?? {} }, 'Progressing');
    assert.equal(progressing?.reason, 'NewReplicaSetAvailable');
    assert.equal(metadata.annotations?.[REVISION], '1');
  });

  test('rolls to a new template within its surge and unavailability', () => {
    const world = runningWorld({
      strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } },
    });
    world.change(DEPLOYMENTS, withImage(deploymentIn(world), 'web:2'));
    finish(world, () => {
      const wanted = world
        .list<ReplicaSet>(REPLICA_SETS)
        .reduce((sum, set) => sum + (set.spec?.replicas ?? 0), 0);
      assert.ok(wanted <= 4, `${wanted} pods wanted with 3 desired and a surge of 1`);
    });
    assert.deepEqual(images(world), ['web:2']);
    assert.equal(deploymentIn(world).metadata.annotations?.[REVISION], '2');
  });

  test('keeps the old pods while the new ones do not turn ready', () => {
    const world = runningWorld({
      strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    });
    world.change(DEPLOYMENTS, withImage(deploymentIn(world), 'web:broken'));
    for (let turn = 0; turn < 5; turn++) {
      world.settle(CONTROLLERS);
      world.kubelets((pod) => pod.spec?.containers?.[0]?.['image'] !== 'web:broken');
    }
    const old = podsIn(world).filter((pod) => pod.spec?.containers?.[0]?.['image'] === 'web:1');
    assert.equal(old.filter(isReady).length, 3);
    assert.equal(podsIn(world).length, 4);
  });

  test('says that it exceeded its progress deadline, and recovers when fixed', () => {
    const world = runningWorld({ progressDeadlineSeconds: 60 });
    world.change(DEPLOYMENTS, withImage(deploymentIn(world), 'web:broken'));
    world.settle(CONTROLLERS);
    world.now += 61_000;
    world.settle(CONTROLLERS);
    const failed = conditionOf(deploymentIn(world), 'Progressing');
    assert.deepEqual([failed?.status, failed?.reason], ['False', 'ProgressDeadlineExceeded']);
    world.change(DEPLOYMENTS, withImage(deploymentIn(world), 'web:3'));
    finish(world);
    assert.equal(conditionOf(deploymentIn(world), 'Progressing')?.reason, 'NewReplicaSetAvailable');
  });

  test('an undo takes the old ReplicaSet back under a new revision', () => {
    const world = runningWorld();
    const first = world.list<ReplicaSet>(REPLICA_SETS)[0]?.metadata.name;
    world.change(DEPLOYMENTS, withImage(deploymentIn(world), 'web:2'));
    finish(world);
    world.change(DEPLOYMENTS, withImage(deploymentIn(world), 'web:1'));
    finish(world);
    const sets = world.list<ReplicaSet>(REPLICA_SETS);
    assert.equal(sets.length, 2);
    const current = sets.find((set) => set.spec?.replicas === 3);
    assert.equal(current?.metadata.name, first);
    assert.equal(current?.metadata.annotations?.[REVISION], '3');
    assert.equal(current?.metadata.annotations?.[`${REVISION}-history`], '1');
    assert.equal(deploymentIn(world).metadata.annotations?.[REVISION], '3');
  });

  test('Recreate starts no new pod before the last old one is gone', () => {
    const world = runningWorld({ strategy: { type: 'Recreate' } });
    world.change(DEPLOYMENTS, withImage(deploymentIn(world), 'web:2'));
    finish(world, () => {
      const all = world.list<Pod>(PODS).map((pod) => pod.spec?.containers?.[0]?.['image']);
      assert.ok(new Set(all).size <= 1, `old and new pods side by side: ${all.join(', ')}`);
    });
    assert.deepEqual(images(world), ['web:2']);
  });

  test('a paused one neither rolls nor forgets, and goes on when resumed', () => {
    const world = runningWorld();
    const paused = withImage(deploymentIn(world), 'web:2');
    world.change(DEPLOYMENTS, { ...paused, spec: { ...paused.spec, paused: true } });
    finish(world);
    assert.deepEqual(images(world), ['web:1']);
    assert.equal(conditionOf(deploymentIn(world), 'Progressing')?.reason, 'DeploymentPaused');
    const resumed = deploymentIn(world);
    world.change(DEPLOYMENTS, { ...resumed, spec: { ...resumed.spec, paused: false } });
    finish(world);
    assert.deepEqual(images(world), ['web:2']);
  });

  test('keeps no more old ReplicaSets than its history limit', () => {
    const world = runningWorld({ revisionHistoryLimit: 2 });
    for (const image of ['web:2', 'web:3', 'web:4', 'web:5']) {
      world.change(DEPLOYMENTS, withImage(deploymentIn(world), image));
      finish(world);
    }
    const revisions = world
      .list<ReplicaSet>(REPLICA_SETS)
      .map((set) => set.metadata.annotations?.[REVISION] ?? '')
      .sort();
    assert.deepEqual(revisions, ['3', '4', '5']);
  });

  test('counts a pod as available only after minReadySeconds', () => {
    const world = new World();
    world.addNode('node-a');
    world.add(DEPLOYMENTS, web({ minReadySeconds: 30 }));
    finish(world);
    assert.equal(deploymentIn(world).status?.readyReplicas, 3);
    assert.equal(deploymentIn(world).status?.availableReplicas, 0);
    world.now += 30_000;
    finish(world);
    assert.equal(deploymentIn(world).status?.availableReplicas, 3);
  });

  test('whatever the sizes and bounds, a rollout ends, and never below what shall be available', () => {
    const counts = fc.record({
      replicas: fc.integer({ min: 0, max: 8 }),
      next: fc.integer({ min: 0, max: 8 }),
      maxSurge: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom('25%', '50%', '100%')),
      maxUnavailable: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom('0%', '50%')),
    });
    fc.assert(
      fc.property(counts, ({ replicas, next, maxSurge, maxUnavailable }) => {
        const world = runningWorld({
          replicas,
          strategy: { rollingUpdate: { maxSurge, maxUnavailable } },
        });
        const percent = Number.parseInt(String(maxUnavailable), 10);
        const share = typeof maxUnavailable === 'number' ? percent : (replicas * percent) / 100;
        // with neither surge nor unavailability (also by rounding) one pod may be missing, or nothing could move
        const down = Math.max(Math.floor(share), maxSurge === 0 ? 1 : 0);
        world.change(DEPLOYMENTS, withImage(deploymentIn(world), 'web:2'));
        finish(world, () => {
          const ready = podsIn(world).filter(isReady).length;
          assert.ok(ready >= replicas - down, `${ready} of ${replicas}`);
        });
        assert.deepEqual(images(world), replicas === 0 ? [] : ['web:2']);
        // and a change of size in the middle of the next rollout ends at that size
        const again = withImage(deploymentIn(world), 'web:3');
        world.change(DEPLOYMENTS, again);
        world.round(CONTROLLERS);
        const scaled = deploymentIn(world);
        world.change(DEPLOYMENTS, { ...scaled, spec: { ...scaled.spec, replicas: next } });
        finish(world);
        assert.deepEqual(images(world), next === 0 ? [] : ['web:3']);
        assert.equal(podsIn(world).length, next);
      }),
      {
        numRuns: 60,
        examples: [[{ replicas: 1, next: 0, maxSurge: 0, maxUnavailable: '50%' }]],
      },
    );
  });
});
