import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DAEMON_SETS, NODES, PODS } from '../../runtime/kubernetes/resources.ts';
import { World } from '../../test/support/world.ts';
import { daemonSets } from './daemon-set.ts';
import type { ControllerRevision, DaemonSet, Node, Pod } from './objects.ts';
import { isReady, isTerminating } from './pods.ts';
import { CONTROLLER_REVISIONS } from './resources.ts';
import { scheduler } from './scheduler.ts';

const CONTROLLERS = [daemonSets, scheduler()];

function agent(
  rollingUpdate: { maxSurge?: number | string; maxUnavailable?: number | string } = {},
  nodeSelector?: Readonly<Record<string, string>>,
): DaemonSet {
  return {
    metadata: { name: 'agent', namespace: 'shop' },
    spec: {
      selector: { matchLabels: { app: 'agent' } },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate },
      template: {
        metadata: { labels: { app: 'agent' } },
        spec: {
          containers: [{ name: 'agent', image: 'agent:1' }],
          ...(nodeSelector === undefined ? {} : { nodeSelector }),
        },
      },
    },
  };
}

function running(set: DaemonSet, nodes = ['node-a', 'node-b', 'node-c']): World {
  const world = new World();
  for (const node of nodes) world.addNode(node);
  world.add(DAEMON_SETS, set);
  finish(world);
  return world;
}

function finish(world: World, each: () => void = () => {}): void {
  for (let turn = 0; turn < 12; turn++) {
    world.settle(CONTROLLERS, each);
    world.kubelets();
    each();
  }
}

function newImage(world: World, image: string): void {
  const set = world.get<DaemonSet>(DAEMON_SETS, 'agent');
  const template = {
    ...set.spec?.template,
    spec: { containers: [{ name: 'agent', image }] },
  };
  world.change(DAEMON_SETS, { ...set, spec: { ...set.spec, template } });
}

const living = (world: World) => world.list<Pod>(PODS).filter((pod) => !isTerminating(pod));
const imagesByNode = (world: World) =>
  Object.fromEntries(
    living(world).map((pod) => [pod.spec?.nodeName, pod.spec?.containers?.[0]?.['image']]),
  );
const statusOf = (world: World) => world.get<DaemonSet>(DAEMON_SETS, 'agent').status ?? {};

describe('DaemonSet', () => {
  test('puts one pod on every node, and on a node that joins later', () => {
    const world = running(agent());
    world.addNode('node-d');
    finish(world);
    assert.deepEqual(
      living(world)
        .map((pod) => pod.spec?.nodeName ?? '')
        .sort(),
      ['node-a', 'node-b', 'node-c', 'node-d'],
    );
    assert.equal(statusOf(world)['desiredNumberScheduled'], 4);
    assert.equal(statusOf(world)['numberAvailable'], 4);
  });

  test('leaves out nodes that do not match its selector, and goes when they stop matching', () => {
    const world = running(agent({}, { role: 'edge' }));
    assert.equal(living(world).length, 0);
    const node = world.get<Node>(NODES, 'node-b');
    const labels = { ...node.metadata.labels, role: 'edge' };
    world.change(NODES, { ...node, metadata: { ...node.metadata, labels } });
    finish(world);
    assert.deepEqual(Object.keys(imagesByNode(world)), ['node-b']);
    world.change(NODES, { ...world.get<Node>(NODES, 'node-b'), metadata: node.metadata });
    world.change(NODES, node);
    finish(world);
    assert.equal(living(world).length, 0);
  });

  test('stays on a cordoned node', () => {
    const world = running(agent());
    const node = world.get<Node>(NODES, 'node-a');
    world.change(NODES, { ...node, spec: { unschedulable: true } });
    finish(world);
    assert.equal(living(world).length, 3);
  });

  test('with maxUnavailable 1 replaces pod by pod', () => {
    const world = running(agent({ maxUnavailable: 1 }));
    newImage(world, 'agent:2');
    finish(world, () => {
      const ready = living(world).filter(isReady).length;
      assert.ok(ready >= 2, `only ${ready} of 3 ready`);
    });
    assert.deepEqual(new Set(Object.values(imagesByNode(world))), new Set(['agent:2']));
    assert.equal(statusOf(world)['updatedNumberScheduled'], 3);
  });

  test('with maxSurge 1 and maxUnavailable 0 no node is ever without a ready pod', () => {
    const world = running(agent({ maxSurge: 1, maxUnavailable: 0 }));
    newImage(world, 'agent:2');
    finish(world, () => {
      const covered = new Set(
        living(world)
          .filter(isReady)
          .map((pod) => pod.spec?.nodeName),
      );
      assert.equal(covered.size, 3);
      assert.ok(living(world).length <= 4);
    });
    assert.deepEqual(new Set(Object.values(imagesByNode(world))), new Set(['agent:2']));
  });

  test('keeps a revision for each template, the current one numbered highest', () => {
    const world = running(agent());
    newImage(world, 'agent:2');
    finish(world);
    newImage(world, 'agent:1');
    finish(world);
    const revisions = world
      .list<ControllerRevision>(CONTROLLER_REVISIONS)
      .map((one) => one.revision)
      .sort((a, b) => a - b);
    assert.deepEqual(revisions, [2, 3]);
  });

  test('replaces a pod that finished', () => {
    const world = running(agent(), ['node-a']);
    const [pod] = living(world);
    world.run(pod!, false, { phase: 'Failed' });
    world.settle(CONTROLLERS);
    world.kubelets((one) => one.metadata.name !== pod?.metadata.name);
    finish(world);
    assert.equal(living(world).length, 1);
    assert.notEqual(living(world)[0]?.metadata.name, pod?.metadata.name);
  });
});
