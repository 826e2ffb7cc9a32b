import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NODES, PODS } from '../../runtime/kubernetes/resources.ts';
import { World } from '../../test/support/world.ts';
import type { Node, Pod, PodSpec } from './objects.ts';
import type { Action } from './plan.ts';
import { conditionOf } from './pods.ts';
import { quantity, schedule, scheduler } from './scheduler.ts';

function worldWith(...nodes: string[]): World {
  const world = new World();
  for (const node of nodes) world.addNode(node, { zone: node.slice(-1) });
  return world;
}

function pod(world: World, name: string, spec: PodSpec = {}, owner?: string): Pod {
  const ownerReferences =
    owner === undefined
      ? []
      : [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: owner, uid: owner, controller: true }];
  return world.add<Pod>(PODS, { metadata: { name, ownerReferences }, spec });
}

function nodeFor(world: World, name: string): string | undefined {
  const { actions } = schedule(`shop/${name}`, world.caches, world.now);
  const binding = actions.find((action) => action.verb === 'bind');
  return (binding as Extract<Action, { verb: 'bind' }> | undefined)?.node;
}

function refusal(world: World, name: string): string | undefined {
  world.settle([scheduler()]);
  return conditionOf(world.get<Pod>(PODS, name), 'PodScheduled')?.message;
}

describe('scheduler', () => {
  test('spreads the pods of one owner, however many others there are', () => {
    const world = worldWith('node-a', 'node-b');
    for (const name of ['x', 'y', 'z']) pod(world, name, { nodeName: 'node-a' });
    pod(world, 'web-1', { nodeName: 'node-b' }, 'web');
    pod(world, 'web-2', {}, 'web');
    assert.equal(nodeFor(world, 'web-2'), 'node-a');
  });

  test('spreads a burst of pods before any binding is visible', () => {
    const world = worldWith('node-a', 'node-b', 'node-c');
    const assumed = new Map();
    const nodes = ['web-1', 'web-2', 'web-3'].map((name) => {
      pod(world, name, {}, 'web');
      const [bind] = schedule(`shop/${name}`, world.caches, world.now, assumed).actions;
      return bind?.verb === 'bind' ? bind.node : '';
    });
    assert.deepEqual(nodes.sort(), ['node-a', 'node-b', 'node-c']);
  });

  test('obeys nodeSelector', () => {
    const world = worldWith('node-a', 'node-b');
    pod(world, 'web', { nodeSelector: { zone: 'b' } });
    assert.equal(nodeFor(world, 'web'), 'node-b');
  });

  test('obeys required node affinity: any term, all of its expressions', () => {
    const world = worldWith('node-a', 'node-b');
    const matchExpressions = [
      { key: 'zone', operator: 'NotIn', values: ['a'] },
      { key: 'kubernetes.io/hostname', operator: 'Exists' },
    ];
    const nodeSelectorTerms = [
      { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['node-x'] }] },
      { matchExpressions },
    ];
    const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } };
    pod(world, 'web', { affinity: { nodeAffinity: required } });
    assert.equal(nodeFor(world, 'web'), 'node-b');
  });

  test('keeps off tainted and cordoned nodes unless the pod tolerates that', () => {
    const world = worldWith('node-a', 'node-b');
    const taint = { key: 'role', value: 'edge', effect: 'NoSchedule' };
    world.change(NODES, { ...world.get<Node>(NODES, 'node-a'), spec: { taints: [taint] } });
    world.change(NODES, { ...world.get<Node>(NODES, 'node-b'), spec: { unschedulable: true } });
    pod(world, 'web');
    assert.equal(
      refusal(world, 'web'),
      '0/2 nodes are available: 1 node(s) had untolerated taint {role: edge}, 1 node(s) were unschedulable.',
    );
    pod(world, 'edge', { tolerations: [{ key: 'role', value: 'edge' }] });
    assert.equal(nodeFor(world, 'edge'), 'node-a');
  });

  test('a preference not to schedule keeps nobody off', () => {
    const world = worldWith('node-a');
    const taints = [{ key: 'old', effect: 'PreferNoSchedule' }];
    world.change(NODES, { ...world.get<Node>(NODES, 'node-a'), spec: { taints } });
    pod(world, 'web');
    assert.equal(nodeFor(world, 'web'), 'node-a');
  });

  test('never puts two pods with one host port on a node', () => {
    const world = worldWith('node-a');
    const containers = [{ name: 'dns', ports: [{ containerPort: 53, hostPort: 53 }] }];
    pod(world, 'dns-1', { containers, nodeName: 'node-a' });
    pod(world, 'dns-2', { containers });
    assert.match(refusal(world, 'dns-2') ?? '', /free ports/);
  });

  test('does not promise more than a node has', () => {
    const world = worldWith('node-a');
    const node = world.get<Node>(NODES, 'node-a');
    world.change(NODES, { ...node, status: { allocatable: { memory: '1Gi', pods: '110' } } });
    const containers = [{ name: 'db', resources: { requests: { memory: '600Mi' } } }];
    pod(world, 'db-1', { containers, nodeName: 'node-a' });
    pod(world, 'db-2', { containers });
    assert.match(refusal(world, 'db-2') ?? '', /1 Insufficient memory/);
  });

  test('says once that nothing fits, and schedules when a node joins', () => {
    const world = new World();
    pod(world, 'web');
    assert.equal(refusal(world, 'web'), '0/0 nodes are available: no nodes are registered.');
    assert.equal(world.events.length, 1);
    world.addNode('node-a');
    world.settle([scheduler()]);
    assert.equal(world.get<Pod>(PODS, 'web').spec?.nodeName, 'node-a');
  });

  test("leaves another scheduler's pods alone", () => {
    const world = worldWith('node-a');
    pod(world, 'web', { schedulerName: 'mine' });
    assert.equal(nodeFor(world, 'web'), undefined);
  });

  for (const [text, value] of [
    ['2', 2],
    ['250m', 0.25],
    ['1Ki', 1024],
    ['1.5G', 1.5e9],
    ['nonsense', 0],
  ] as const) {
    test(`reads the quantity ${text} as ${value}`, () => assert.equal(quantity(text), value));
  }
});
