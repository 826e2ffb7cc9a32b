// The small controllers: namespaces' furniture, node lifecycle, disruption budgets, StatefulSets and Jobs.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  CONFIG_MAPS,
  DISRUPTION_BUDGETS,
  JOBS,
  LEASES,
  NAMESPACES,
  NODES,
  PODS,
  SERVICE_ACCOUNTS,
  STATEFUL_SETS,
} from '../../runtime/kubernetes/resources.ts';
import { World } from '../../test/support/world.ts';
import { disruptionBudgets } from './disruption-budget.ts';
import { jobs } from './job.ts';
import { nodeLifecycle } from './node-lifecycle.ts';
import type {
  DisruptionBudget,
  Job,
  KubeObject,
  Lease,
  Node,
  Pod,
  StatefulSet,
} from './objects.ts';
import { conditionOf, isReady, isTerminating } from './pods.ts';
import { scheduler } from './scheduler.ts';
import { serviceAccounts } from './service-accounts.ts';
import { statefulSets } from './stateful-set.ts';
import { timestamp } from './status.ts';

describe('a namespace', () => {
  const furniture = [serviceAccounts({ caPem: 'PEM' })];

  test('gets its default ServiceAccount and the root certificate, and gets them back', () => {
    const world = new World();
    world.add(NAMESPACES, { metadata: { name: 'shop' } });
    world.settle(furniture);
    world.caches.remove(SERVICE_ACCOUNTS, world.get(SERVICE_ACCOUNTS, 'default'));
    const root = world.get(CONFIG_MAPS, 'kube-root-ca.crt');
    world.change(CONFIG_MAPS, { ...root, data: { 'ca.crt': 'FORGED' } } as KubeObject);
    world.settle(furniture);
    assert.ok(world.find(SERVICE_ACCOUNTS, 'default'));
    const kept = world.get<KubeObject & { data?: unknown }>(CONFIG_MAPS, 'kube-root-ca.crt');
    assert.deepEqual(kept.data, { 'ca.crt': 'PEM' });
  });

  test('gets nothing any more while it is being deleted', () => {
    const world = new World();
    const namespace = world.add(NAMESPACES, { metadata: { name: 'shop' } });
    world.remove(NAMESPACES, namespace);
    world.settle(furniture);
    assert.equal(world.list(SERVICE_ACCOUNTS).length, 0);
  });
});

describe('node lifecycle', () => {
  function heartbeat(world: World, name: string): void {
    const metadata = { name, namespace: 'kube-node-lease' };
    const lease: Lease = { metadata, spec: { renewTime: timestamp(world.now) } };
    if (world.find(LEASES, name, 'kube-node-lease')) {
      world.change(LEASES, { ...world.get<Lease>(LEASES, name, 'kube-node-lease'), ...lease });
    } else world.add(LEASES, lease);
  }

  function nodeWithPod(): World {
    const world = new World();
    world.addNode('node-a');
    heartbeat(world, 'node-a');
    world.add<Pod>(PODS, { metadata: { name: 'web' }, spec: { nodeName: 'node-a' } });
    world.kubelets();
    return world;
  }

  const taintsOf = (world: World) =>
    (world.get<Node>(NODES, 'node-a').spec?.taints ?? []).map(({ key }) => key);

  test('a node silent for 40 s is unknown and tainted, and its pods are not ready', () => {
    const world = nodeWithPod();
    world.now += 39_000;
    world.settle([nodeLifecycle]);
    assert.ok(isReady(world.get<Pod>(PODS, 'web')));
    world.now += 1000;
    world.settle([nodeLifecycle]);
    const ready = conditionOf(world.get<Node>(NODES, 'node-a'), 'Ready');
    assert.deepEqual([ready?.status, ready?.reason], ['Unknown', 'NodeStatusUnknown']);
    assert.deepEqual(taintsOf(world), ['node.kubernetes.io/unreachable']);
    assert.ok(!isReady(world.get<Pod>(PODS, 'web')));
  });

  test('the taint goes when the kubelet reports again', () => {
    const world = nodeWithPod();
    world.now += 50_000;
    world.settle([nodeLifecycle]);
    heartbeat(world, 'node-a');
    const node = world.get<Node>(NODES, 'node-a');
    const conditions = [{ type: 'Ready', status: 'True' as const }];
    world.change(NODES, { ...node, status: { conditions } });
    world.settle([nodeLifecycle]);
    assert.deepEqual(taintsOf(world), []);
  });

  test('pods of a node that was removed go without waiting for its kubelet', () => {
    const world = nodeWithPod();
    world.remove(NODES, world.get(NODES, 'node-a'));
    const { actions } = nodeLifecycle.reconcile('/node-a', world.caches, world.now);
    assert.deepEqual(
      actions.map((action) => action.verb === 'delete' && action.graceSeconds),
      [0],
    );
  });
});

describe('PodDisruptionBudget', () => {
  for (const { name, spec, allowed } of [
    { name: 'minAvailable 2 of 3', spec: { minAvailable: 2 }, allowed: 1 },
    { name: 'minAvailable 50% of 3, rounded up', spec: { minAvailable: '50%' }, allowed: 1 },
    { name: 'maxUnavailable 0', spec: { maxUnavailable: 0 }, allowed: 0 },
  ] as const) {
    test(`${name} allows ${allowed}`, () => {
      const world = new World();
      for (const pod of ['a', 'b', 'c']) {
        const metadata = { name: pod, labels: { app: 'web' } };
        world.add<Pod>(PODS, { metadata, spec: { nodeName: 'node-a' } });
      }
      world.kubelets();
      const selector = { matchLabels: { app: 'web' } };
      world.add<DisruptionBudget>(DISRUPTION_BUDGETS, {
        metadata: { name: 'web' },
        spec: { selector, ...spec },
      });
      world.settle([disruptionBudgets]);
      const { status } = world.get<DisruptionBudget>(DISRUPTION_BUDGETS, 'web');
      assert.equal(status?.['disruptionsAllowed'], allowed);
    });
  }
});

describe('StatefulSet', () => {
  function database(replicas: number, image = 'db:1'): StatefulSet {
    return {
      metadata: { name: 'db', namespace: 'shop' },
      spec: {
        replicas,
        serviceName: 'db',
        selector: { matchLabels: { app: 'db' } },
        template: {
          metadata: { labels: { app: 'db' } },
          spec: { containers: [{ name: 'db', image }] },
        },
      },
    };
  }

  const controllers = [statefulSets, scheduler()];
  const podNames = (world: World) => world.list<Pod>(PODS).map(({ metadata }) => metadata.name);

  test('starts its pods in order, each when the one before serves', () => {
    const world = new World();
    world.addNode('node-a');
    world.add(STATEFUL_SETS, database(3));
    const seen = [];
    for (let turn = 0; turn < 4; turn++) {
      world.settle(controllers);
      seen.push(podNames(world).length);
      world.kubelets();
    }
    assert.deepEqual(seen, [1, 2, 3, 3]);
    assert.deepEqual(podNames(world), ['db-0', 'db-1', 'db-2']);
    assert.equal(world.get<Pod>(PODS, 'db-1').spec?.subdomain, 'db');
  });

  test('updates from the last pod to the first, and never two at once', () => {
    const world = new World();
    world.addNode('node-a');
    world.add(STATEFUL_SETS, database(3));
    const turns = (count: number, each: () => void) => {
      for (let turn = 0; turn < count; turn++) {
        world.settle(controllers);
        each();
        world.kubelets();
      }
    };
    turns(5, () => {});
    const set = world.get<StatefulSet>(STATEFUL_SETS, 'db');
    world.change(STATEFUL_SETS, { ...set, spec: { ...database(3, 'db:2').spec } });
    const order: string[] = [];
    turns(12, () => {
      const leaving = world.list<Pod>(PODS).filter(isTerminating);
      assert.ok(leaving.length <= 1);
      for (const pod of leaving) order.push(pod.metadata.name);
    });
    assert.deepEqual(order, ['db-2', 'db-1', 'db-0']);
    const images = world.list<Pod>(PODS).map((pod) => pod.spec?.containers?.[0]?.['image']);
    assert.deepEqual(images, ['db:2', 'db:2', 'db:2']);
    const status = world.get<StatefulSet>(STATEFUL_SETS, 'db').status ?? {};
    assert.equal(status['currentRevision'], status['updateRevision']);
  });
});

describe('Job', () => {
  function work(spec: Job['spec'] = {}): World {
    const world = new World();
    world.add<Job>(JOBS, {
      metadata: { name: 'import' },
      spec: { template: { spec: { containers: [{ name: 'x' }] } }, ...spec },
    });
    world.settle([jobs]);
    return world;
  }

  function end(world: World, phase: string): void {
    for (const pod of world.list<Pod>(PODS)) {
      if (pod.status?.phase === undefined) world.run(pod, false, { phase });
    }
    world.settle([jobs]);
  }

  const conditionsOf = (world: World) =>
    (world.get<Job>(JOBS, 'import').status?.conditions ?? []).map(({ type }) => type);

  test('is complete when as many pods as wanted have succeeded, so many at a time', () => {
    const world = work({ completions: 3, parallelism: 2 });
    assert.equal(world.list(PODS).length, 2);
    end(world, 'Succeeded');
    assert.equal(world.list(PODS).length, 3);
    end(world, 'Succeeded');
    assert.deepEqual(conditionsOf(world), ['Complete']);
  });

  test('fails after more failures than its limit', () => {
    const world = work({ backoffLimit: 1 });
    end(world, 'Failed');
    assert.deepEqual(conditionsOf(world), []);
    end(world, 'Failed');
    assert.deepEqual(conditionsOf(world), ['Failed']);
  });

  test('is deleted its time-to-live after it ended', () => {
    const world = work({ ttlSecondsAfterFinished: 30 });
    end(world, 'Succeeded');
    assert.ok(world.find(JOBS, 'import'));
    world.now += 30_000;
    world.settle([jobs]);
    assert.ok(isTerminating(world.get(JOBS, 'import')));
  });
});
