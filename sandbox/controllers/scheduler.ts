// The scheduler: binds each pod without a node to the fitting node that has the fewest pods like it, or says in a
// condition and an event why none fits.

import { NODES, PODS } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import type { Node, Pod } from './objects.ts';
import { type Action, type Controller, keyOf, NOTHING, nameOf, type Plan } from './plan.ts';
import { conditionOf, isFinished, isTerminating } from './pods.ts';
import { fitsNode, untolerated } from './selector.ts';
import { withCondition } from './status.ts';

// a node may come to fit without an event we map to this pod, e.g. when resources are freed
const RETRY_UNSCHEDULABLE_MS = 30_000;

/** Bindings that were sent but are not visible yet, so that a burst of pods is spread all the same. */
export type Assumed = Map<string, { readonly node: string; readonly at: number }>;

// older assumptions were never confirmed: the binding was lost
const FORGET_ASSUMED_MS = 30_000;

export function scheduler(assumed: Assumed = new Map()): Controller {
  return {
    name: 'default-scheduler',
    watches: [
      { resource: PODS, keys: (pod, observed) => waitingFor(pod as Pod, observed) },
      { resource: NODES, keys: (_node, observed) => unbound(observed) },
    ],
    reconcile: (key, observed, now) => schedule(key, observed, now, assumed),
  };
}

/** A pod to schedule concerns itself; one that ended makes room for those that wait. */
function waitingFor(pod: Pod, observed: Observed): readonly string[] {
  if (isOurs(pod)) return [keyOf(pod)];
  return isFinished(pod) || isTerminating(pod) ? unbound(observed) : [];
}

function unbound(observed: Observed): readonly string[] {
  return observed.list<Pod>(PODS).filter(isOurs).map(keyOf);
}

function isOurs(pod: Pod): boolean {
  const { nodeName = '', schedulerName = 'default-scheduler' } = pod.spec ?? {};
  return nodeName === '' && schedulerName === 'default-scheduler';
}

export function schedule(
  key: string,
  observed: Observed,
  now: number,
  assumed: Assumed = new Map(),
): Plan {
  const { namespace, name } = nameOf(key);
  const pod = observed.get<Pod>(PODS, name, namespace);
  if (pod === undefined || !isOurs(pod) || isTerminating(pod) || isFinished(pod)) return NOTHING;
  const placed = placedPods(observed, assumed, now);
  const nodes = observed.list<Node>(NODES);
  const refusals = new Map<string, number>();
  const fitting = nodes.filter((node) => {
    const reason = whyNot(pod, node, placed.get(node.metadata.name) ?? []);
    if (reason !== undefined) refusals.set(reason, (refusals.get(reason) ?? 0) + 1);
    return reason === undefined;
  });
  const [best] = fitting.toSorted((a, b) => compare(a, b, pod, placed));
  if (best === undefined) return unschedulable(pod, nodes.length, refusals, now);
  const node = best.metadata.name;
  assumed.set(pod.metadata.uid ?? key, { node, at: now });
  const regarding = { resource: PODS, object: pod };
  const message = `Successfully assigned ${key} to ${node}`;
  return {
    actions: [
      { verb: 'bind', pod, node },
      { verb: 'event', regarding, type: 'Normal', reason: 'Scheduled', message },
    ],
    // looked at again only if the binding did not show
    againInMs: FORGET_ASSUMED_MS,
  };
}

function placedPods(
  observed: Observed,
  assumed: Assumed,
  now: number,
): ReadonlyMap<string, readonly Pod[]> {
  const placed = new Map<string, Pod[]>();
  for (const [uid, { at }] of assumed) {
    if (now - at > FORGET_ASSUMED_MS || observed.byUid(uid) === undefined) assumed.delete(uid);
  }
  for (const pod of observed.list<Pod>(PODS)) {
    if (isFinished(pod)) continue;
    const uid = pod.metadata.uid ?? '';
    const bound = pod.spec?.nodeName ?? '';
    if (bound !== '') assumed.delete(uid);
    const node = bound === '' ? assumed.get(uid)?.node : bound;
    if (node === undefined) continue;
    const here = placed.get(node) ?? [];
    here.push(pod);
    placed.set(node, here);
  }
  return placed;
}

/** Why the pod cannot go there, in the scheduler's usual words; undefined if it can. */
function whyNot(pod: Pod, node: Node, here: readonly Pod[]): string | undefined {
  const spec = pod.spec ?? {};
  const taint = untolerated(spec.tolerations ?? [], node);
  if (taint?.key === 'node.kubernetes.io/unschedulable') return 'node(s) were unschedulable';
  if (taint !== undefined) {
    return `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`;
  }
  if (!fitsNode(spec, node)) return "node(s) didn't match Pod's node affinity/selector";
  if (hostPorts(pod).some((port) => here.some((other) => hostPorts(other).includes(port)))) {
    return "node(s) didn't have free ports for the requested pod ports";
  }
  return lacking(pod, node, here);
}

function hostPorts(pod: Pod): readonly string[] {
  return (pod.spec?.containers ?? [])
    .flatMap((container) => container.ports ?? [])
    .flatMap(({ hostPort, protocol = 'TCP' }) =>
      hostPort === undefined || hostPort === 0 ? [] : [`${protocol}/${hostPort}`],
    );
}

function lacking(pod: Pod, node: Node, here: readonly Pod[]): string | undefined {
  const allocatable = node.status?.allocatable ?? {};
  const { pods: maxPods } = allocatable;
  if (maxPods !== undefined && here.length >= quantity(maxPods)) return 'Too many pods';
  for (const name of ['cpu', 'memory']) {
    const room = allocatable[name];
    const wanted = requested(pod, name);
    if (room === undefined || wanted === 0) continue;
    const used = here.reduce((sum, other) => sum + requested(other, name), 0);
    if (used + wanted > quantity(room)) return `Insufficient ${name}`;
  }
  return undefined;
}

function requested(pod: Pod, name: string): number {
  return (pod.spec?.containers ?? []).reduce(
    (sum, container) => sum + quantity(container.resources?.requests?.[name] ?? '0'),
    0,
  );
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** A Kubernetes quantity as a number; what is not understood limits nothing. */
export function quantity(text: string | number): number {
  const [, digits = '0', unit = ''] = /^([0-9.]+)([a-zA-Z]*)$/.exec(String(text)) ?? [];
  return Number(digits) * (UNITS[unit] ?? 0);
}

/** Fewest pods of the same owner, then fewest pods at all, then by name. */
function compare(a: Node, b: Node, pod: Pod, placed: ReadonlyMap<string, readonly Pod[]>): number {
  const here = (node: Node): readonly Pod[] => placed.get(node.metadata.name) ?? [];
  const alike = (node: Node): number => here(node).filter((other) => isAlike(pod, other)).length;
  return (
    alike(a) - alike(b) ||
    here(a).length - here(b).length ||
    (a.metadata.name < b.metadata.name ? -1 : 1)
  );
}

function isAlike(pod: Pod, other: Pod): boolean {
  const owner = (one: Pod): string | undefined =>
    one.metadata.ownerReferences?.find((reference) => reference.controller === true)?.uid;
  return owner(pod) !== undefined && owner(pod) === owner(other);
}

function unschedulable(
  pod: Pod,
  nodes: number,
  refusals: ReadonlyMap<string, number>,
  now: number,
): Plan {
  const reasons = [...refusals].map(([reason, count]) => `${count} ${reason}`).sort();
  const why = reasons.length === 0 ? 'no nodes are registered' : reasons.join(', ');
  const message = `0/${nodes} nodes are available: ${why}.`;
  if (conditionOf(pod, 'PodScheduled')?.message === message) {
    return { actions: [], againInMs: RETRY_UNSCHEDULABLE_MS };
  }
  const conditions = withCondition(
    pod.status?.conditions,
    { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message },
    now,
  );
  const object: Pod = { ...pod, status: { ...pod.status, conditions } };
  const regarding = { resource: PODS, object: pod };
  const actions: Action[] = [
    { verb: 'update', resource: PODS, object, subresource: 'status' },
    { verb: 'event', regarding, type: 'Warning', reason: 'FailedScheduling', message },
  ];
  return { actions, againInMs: RETRY_UNSCHEDULABLE_MS };
}
