// A cluster without an API server for tests of controllers: it carries out their plans on a Caches value, plays the
// kubelet when told to, and runs until nobody wants anything any more. Time moves only by hand.

import { NAMESPACES, NODES, PODS, type Resource } from '../../runtime/kubernetes/resources.ts';
import { Caches } from '../../sandbox/controllers/caches.ts';
import { same } from '../../sandbox/controllers/hash.ts';
import type { KubeObject, ObjectMeta, Pod } from '../../sandbox/controllers/objects.ts';
import type { Action, Controller, Plan } from '../../sandbox/controllers/plan.ts';
import { isTerminating } from '../../sandbox/controllers/pods.ts';
import { timestamp, withCondition } from '../../sandbox/controllers/status.ts';

// a plan that is not stable after this many rounds never will be
const MAX_ROUNDS = 300;

export class World {
  readonly caches = new Caches();
  readonly events: string[] = [];
  now = 1_700_000_000_000;
  #count = 0;
  #revision = 0;

  add<T extends KubeObject>(resource: Resource, object: T): T {
    this.#count++;
    const uid = `uid-${this.#count}`;
    const { name = `${object.metadata.generateName ?? 'object-'}${this.#count}` } =
      object.metadata as Partial<ObjectMeta>;
    const metadata = {
      uid,
      generation: 1,
      creationTimestamp: timestamp(this.now),
      ...(resource.namespaced ? { namespace: 'shop' } : {}),
      ...object.metadata,
      name,
    };
    return this.#put(resource, { ...object, metadata });
  }

  addNode(name: string, labels: Readonly<Record<string, string>> = {}): void {
    const ready = { type: 'Ready', status: 'True', lastHeartbeatTime: timestamp(this.now) };
    this.add(NODES, {
      metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
      status: { conditions: [ready], allocatable: { pods: '110' } },
    } as KubeObject);
  }

  get<T extends KubeObject>(resource: Resource, name: string, namespace = 'shop'): T {
    const found = this.find<T>(resource, name, namespace);
    if (found === undefined) throw new Error(`No ${resource.kind} ${namespace}/${name}`);
    return found;
  }

  find<T extends KubeObject>(resource: Resource, name: string, namespace = 'shop'): T | undefined {
    return this.caches.get<T>(resource, name, resource.namespaced ? namespace : undefined);
  }

  list<T extends KubeObject>(resource: Resource): readonly T[] {
    return this.caches.list<T>(resource);
  }

  /** A user's change: the generation moves when the spec does. */
  change<T extends KubeObject>(resource: Resource, object: T): T {
    const { name, namespace } = object.metadata;
    const before = this.get<T>(resource, name, namespace);
    const moved = !same(specOf(before), specOf(object));
    const generation = (before.metadata.generation ?? 1) + (moved ? 1 : 0);
    return this.#put(resource, { ...object, metadata: { ...object.metadata, generation } });
  }

  remove(resource: Resource, object: KubeObject, finalizers: readonly string[] = []): void {
    const { name, namespace } = object.metadata;
    const found = this.caches.get(resource, name, namespace);
    if (found === undefined) return;
    const kept = [...(found.metadata.finalizers ?? []), ...finalizers];
    const lingers = resource === PODS && (found as Pod).spec?.nodeName !== undefined;
    if (kept.length === 0 && !lingers && resource !== NAMESPACES) {
      this.caches.remove(resource, found);
      return;
    }
    const metadata = {
      ...found.metadata,
      finalizers: kept,
      deletionTimestamp: found.metadata.deletionTimestamp ?? timestamp(this.now),
    };
    this.#put(resource, { ...found, metadata });
  }

  /** One turn of every kubelet: bound pods run and turn ready if `ready` says so; terminating ones end. */
  kubelets(ready: (pod: Pod) => boolean = () => true): void {
    for (const pod of this.list<Pod>(PODS)) {
      if (pod.metadata.deletionTimestamp !== undefined) this.caches.remove(PODS, pod);
      else if ((pod.spec?.nodeName ?? '') !== '') this.run(pod, ready(pod));
    }
  }

  run(pod: Pod, ready: boolean, extra: Readonly<Record<string, unknown>> = {}): void {
    const index = Number(pod.metadata.uid?.slice(4));
    const ip = pod.status?.podIP ?? `10.0.${index >> 8}.${index & 255}`;
    const conditions = withCondition(
      pod.status?.conditions,
      { type: 'Ready', status: ready ? 'True' : 'False' },
      this.now,
    );
    const podIPs = pod.status?.podIPs ?? [{ ip }, { ip: `fd00::${index.toString(16)}` }];
    this.#put(PODS, {
      ...pod,
      status: { ...pod.status, phase: 'Running', podIP: ip, podIPs, conditions, ...extra },
    });
  }

  /** Every controller sees every object once; says how many actions there were. */
  round(controllers: readonly Controller[]): number {
    let actions = 0;
    for (const controller of controllers) {
      for (const key of this.#keysOf(controller)) {
        const plan: Plan = controller.reconcile(key, this.caches, this.now);
        for (const action of plan.actions) this.apply(action);
        actions += plan.actions.length;
      }
    }
    return actions;
  }

  /** Rounds until nobody wants anything; `each` runs after every round. */
  settle(controllers: readonly Controller[], each: () => void = () => {}): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const actions = this.round(controllers);
      each();
      if (actions === 0) return;
    }
    throw new Error(`The controllers still wanted something after ${MAX_ROUNDS} rounds`);
  }

  apply(action: Action): void {
    switch (action.verb) {
      case 'create': {
        const { name, namespace } = action.object.metadata as Partial<ObjectMeta>;
        if (name !== undefined && this.find(action.resource, name, namespace)) return;
        this.add(action.resource, action.object as KubeObject);
        return;
      }
      case 'update':
        this.#update(action);
        return;
      case 'delete': {
        const foreground = action.propagation === 'Foreground' ? ['foregroundDeletion'] : [];
        this.remove(action.resource, action.object, foreground);
        return;
      }
      case 'bind': {
        const pod = this.get<Pod>(PODS, action.pod.metadata.name, action.pod.metadata.namespace);
        this.#put(PODS, { ...pod, spec: { ...pod.spec, nodeName: action.node } });
        return;
      }
      case 'finalize':
        this.caches.remove(NAMESPACES, action.namespace);
        return;
      case 'event':
        this.events.push(`${action.reason}: ${action.message}`);
    }
  }

  #update(action: Extract<Action, { verb: 'update' }>): void {
    const { resource, object } = action;
    const before = this.find(resource, object.metadata.name, object.metadata.namespace);
    if (before === undefined) return;
    if (before.metadata.resourceVersion !== object.metadata.resourceVersion) return;
    const held = (before.metadata.finalizers ?? []).length > 0;
    if (held && (object.metadata.finalizers ?? []).length === 0 && isTerminating(before)) {
      this.caches.remove(resource, before);
      return;
    }
    if (action.subresource === 'status') {
      const { status } = object as KubeObject & { status?: unknown };
      this.#put(resource, { ...before, status } as KubeObject);
    } else this.change(resource, object);
  }

  #keysOf(controller: Controller): readonly string[] {
    const keys = new Set<string>();
    for (const resource of this.caches.resources()) {
      for (const object of this.caches.list(resource)) {
        for (const watch of controller.watches) {
          if (watch.resource.plural !== resource.plural) continue;
          for (const key of watch.keys(object, this.caches)) keys.add(key);
        }
        for (const key of controller.everything?.(resource, object, this.caches) ?? []) {
          keys.add(key);
        }
      }
    }
    return [...keys];
  }

  #put<T extends KubeObject>(resource: Resource, object: T): T {
    this.#revision++;
    const metadata = { ...object.metadata, resourceVersion: String(this.#revision) };
    const stored = { ...object, metadata };
    this.caches.put(resource, stored);
    return stored;
  }
}

function specOf(object: KubeObject): unknown {
  return (object as { spec?: unknown }).spec;
}
