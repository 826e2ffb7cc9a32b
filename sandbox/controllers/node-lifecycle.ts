// Node lifecycle: a node whose kubelet stopped renewing its Lease is not ready, and neither are its pods; it is tainted
// so that nothing new lands there. Pods of a node that no longer exists are removed.

import { LEASES, NODES, PODS } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import { same } from './hash.ts';
import type { Condition, Lease, Node, Pod, Taint } from './objects.ts';
import { type Action, type Controller, nameOf, type Plan } from './plan.ts';
import { conditionOf, isReady } from './pods.ts';
import { withCondition } from './status.ts';

// kubelets renew every 10 s; four missed ones are no hiccup any more
const GRACE_MS = 40_000;

const LEASE_NAMESPACE = 'kube-node-lease';
const NOT_READY = 'node.kubernetes.io/not-ready';
const UNREACHABLE = 'node.kubernetes.io/unreachable';

export const nodeLifecycle: Controller = {
  name: 'node-controller',
  watches: [
    { resource: NODES, keys: ({ metadata }) => [`/${metadata.name}`] },
    {
      resource: LEASES,
      keys: ({ metadata }) => (metadata.namespace === LEASE_NAMESPACE ? [`/${metadata.name}`] : []),
    },
    {
      resource: PODS,
      keys: (pod) => {
        const node = (pod as Pod).spec?.nodeName ?? '';
        return node === '' ? [] : [`/${node}`];
      },
    },
  ],
  reconcile: watchOver,
};

export function watchOver(key: string, observed: Observed, now: number): Plan {
  const { name } = nameOf(key);
  const node = observed.get<Node>(NODES, name);
  const pods = observed.list<Pod>(PODS).filter((pod) => pod.spec?.nodeName === name);
  if (node === undefined) return { actions: pods.map((object) => abandon(object)) };
  const silentSince = heartbeat(node, observed);
  const silent = now - silentSince >= GRACE_MS;
  const conditions = silent ? unknownConditions(node, now) : (node.status?.conditions ?? []);
  const ready = conditions.find((condition) => condition.type === 'Ready')?.status;
  const actions: Action[] = [];
  if (!same(conditions, node.status?.conditions ?? [])) {
    const object: Node = { ...node, status: { ...node.status, conditions } };
    actions.push({ verb: 'update', resource: NODES, object, subresource: 'status' });
    const message = `Node ${name} status is now: NodeNotReady`;
    const regarding = { resource: NODES, object: node };
    actions.push({ verb: 'event', regarding, type: 'Normal', reason: 'NodeNotReady', message });
  } else {
    actions.push(...taint(node, ready));
  }
  if (silent) actions.push(...pods.filter(isReady).map((pod) => doubt(pod, now)));
  return {
    actions,
    ...(silent ? {} : { againInMs: Math.max(1000, silentSince + GRACE_MS - now) }),
  };
}

/** When the node was last heard of. */
function heartbeat(node: Node, observed: Observed): number {
  const lease = observed.get<Lease>(LEASES, node.metadata.name, LEASE_NAMESPACE);
  const times = [
    lease?.spec?.renewTime,
    conditionOf(node, 'Ready')?.lastHeartbeatTime,
    node.metadata.creationTimestamp,
  ].map((time) => Date.parse(time ?? '') || 0);
  return Math.max(...times);
}

function unknownConditions(node: Node, now: number): readonly Condition[] {
  let conditions = node.status?.conditions ?? [];
  if (conditionOf(node, 'Ready') === undefined) {
    return withCondition(conditions, { type: 'Ready', status: 'Unknown', ...neverHeard }, now);
  }
  for (const condition of conditions) {
    if (condition.status === 'Unknown') continue;
    const { lastTransitionTime: _, ...rest } = condition;
    conditions = withCondition(conditions, { ...rest, status: 'Unknown', ...stoppedPosting }, now);
  }
  return conditions;
}

const stoppedPosting = {
  reason: 'NodeStatusUnknown',
  message: 'Kubelet stopped posting node status.',
};
const neverHeard = {
  reason: 'NodeStatusNeverUpdated',
  message: 'Kubelet never posted node status.',
};

function taint(node: Node, ready: Condition['status'] | undefined): readonly Action[] {
  const before = node.spec?.taints ?? [];
  const others = before.filter(({ key }) => key !== NOT_READY && key !== UNREACHABLE);
  const keyOf = { True: undefined, False: NOT_READY, Unknown: UNREACHABLE } as const;
  const wanted = ready === undefined ? NOT_READY : keyOf[ready];
  const taints: readonly Taint[] =
    wanted === undefined ? others : [...others, { key: wanted, effect: 'NoSchedule' }];
  const bare = (list: readonly Taint[]) => list.map(({ key, effect }) => `${key}:${effect}`).sort();
  if (same(bare(taints), bare(before))) return [];
  return [
    {
      verb: 'update',
      resource: NODES,
      object: { ...node, spec: { ...node.spec, taints } } as Node,
    },
  ];
}

/** Nobody reports this pod any more: it must not be taken for ready. */
function doubt(pod: Pod, now: number): Action {
  const ready = { type: 'Ready', status: 'False', reason: 'NodeNotReady' } as const;
  const conditions = withCondition(pod.status?.conditions, ready, now);
  const object: Pod = { ...pod, status: { ...pod.status, conditions } };
  return { verb: 'update', resource: PODS, object, subresource: 'status' };
}

function abandon(object: Pod): Action {
  return { verb: 'delete', resource: PODS, object, graceSeconds: 0 };
}
