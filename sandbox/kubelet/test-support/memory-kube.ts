// An API server in memory, as far as a kubelet needs one, behind the same KubeClient: for tests of the kubelet alone.
// Pods are deleted in two steps as in Kubernetes; strategic patches merge conditions by type; tokens are made up.

import {
  type DeleteOptions,
  type KubeClient,
  KubeError,
  type ListOptions,
  type WatchEvent,
  type WatchOptions,
} from '../../../runtime/kubernetes/client.ts';
import type { KubeObject } from '../../../runtime/kubernetes/objects.ts';
import { PODS, type Resource } from '../../../runtime/kubernetes/resources.ts';

type Json = Record<string, unknown>;
type Watcher = {
  readonly resource: Resource;
  readonly matches: (object: KubeObject) => boolean;
  readonly onEvent: (event: WatchEvent<KubeObject>) => void;
};

export class MemoryKube implements KubeClient {
  readonly #objects = new Map<string, KubeObject>();
  readonly #watchers = new Set<Watcher>();
  readonly #waiters = new Set<() => void>();
  #version = 0;
  /** Seconds of life that tokens are given. */
  tokenSeconds = 3600;
  tokens = 0;
  now: () => number;

  constructor(now: () => number) {
    this.now = now;
  }

  async list<T extends KubeObject>(resource: Resource, options: ListOptions = {}) {
    const matches = selector(options);
    const items = [...this.#objects.entries()]
      .filter(([key, object]) => key.startsWith(`${resource.plural}/`) && matches(object))
      .map(([, object]) => object as T);
    return { items, resourceVersion: String(this.#version) };
  }

  watch<T extends KubeObject>(
    resource: Resource,
    options: WatchOptions,
    onEvent: (event: WatchEvent<T>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    if (options.resourceVersion !== String(this.#version)) {
      return Promise.reject(new KubeError(410, 'Expired', 'too old'));
    }
    const watcher: Watcher = {
      resource,
      matches: selector(options),
      onEvent: onEvent as Watcher['onEvent'],
    };
    this.#watchers.add(watcher);
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        this.#watchers.delete(watcher);
        reject(signal.reason as Error);
      });
    });
  }

  async get<T extends KubeObject>(resource: Resource, name: string, namespace?: string) {
    return this.#objects.get(keyOf(resource, name, namespace)) as T | undefined;
  }

  async create<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    const { name = '', namespace } = object.metadata;
    if (this.#objects.has(keyOf(resource, name, namespace))) {
      throw new KubeError(409, 'AlreadyExists', `${resource.plural} "${name}" already exists`);
    }
    const uid = object.metadata.uid ?? `uid-${name}-${this.#version + 1}`;
    return this.#put(resource, { ...object, metadata: { ...object.metadata, uid } }, 'ADDED') as T;
  }

  async update<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    return this.#put(resource, object, 'MODIFIED') as T;
  }

  apply<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    return this.update(resource, object);
  }

  async patch<T extends KubeObject>(
    resource: Resource,
    name: string,
    namespace: string | undefined,
    patch: unknown,
  ): Promise<T> {
    const old = this.#objects.get(keyOf(resource, name, namespace));
    if (old === undefined) throw new KubeError(404, 'NotFound', `${resource.plural} "${name}"`);
    const wantedUid = (patch as { metadata?: { uid?: string } }).metadata?.uid;
    if (wantedUid !== undefined && wantedUid !== old.metadata.uid) {
      throw new KubeError(409, 'Conflict', 'uid');
    }
    const merged = merge(old as unknown as Json, patch as Json) as unknown as KubeObject;
    return this.#put(resource, merged, 'MODIFIED') as T;
  }

  async delete(
    resource: Resource,
    name: string,
    namespace?: string,
    options: DeleteOptions = {},
  ): Promise<void> {
    const key = keyOf(resource, name, namespace);
    const old = this.#objects.get(key);
    if (old === undefined) throw new KubeError(404, 'NotFound', `${resource.plural} "${name}"`);
    if (resource === PODS && options.gracePeriodSeconds !== 0) {
      const seconds =
        options.gracePeriodSeconds ??
        (old as { spec?: { terminationGracePeriodSeconds?: number } }).spec
          ?.terminationGracePeriodSeconds ??
        30;
      const deletionTimestamp = new Date(this.now() + seconds * 1000).toISOString();
      const metadata = { ...old.metadata, deletionTimestamp, deletionGracePeriodSeconds: seconds };
      this.#put(resource, { ...old, metadata }, 'MODIFIED');
      return;
    }
    this.#objects.delete(key);
    this.#version += 1;
    this.#tell(resource, { type: 'DELETED', object: this.#versioned(old) });
  }

  async subcreate<T>(
    resource: Resource,
    name: string,
    namespace: string,
    subresource: string,
    body: unknown,
  ): Promise<T> {
    if (subresource !== 'token') throw new KubeError(404, 'NotFound', subresource);
    this.tokens += 1;
    const { spec } = body as { spec: { audiences?: string[]; boundObjectRef: { name: string } } };
    const audience = spec.audiences?.join(',') ?? 'api';
    return {
      status: {
        token: `${resource.plural}/${namespace}/${name} for ${audience} bound to ${spec.boundObjectRef.name} #${this.tokens}`,
        expirationTimestamp: new Date(this.now() + this.tokenSeconds * 1000).toISOString(),
      },
    } as T;
  }

  version(): Promise<never> {
    return Promise.reject(new Error('The kubelet does not ask for the version'));
  }

  portForward(): Promise<never> {
    return Promise.reject(new Error('not in memory'));
  }

  /** Resolves when `holds` is true of the object (undefined: gone); looks at each change. */
  async until<T extends KubeObject>(
    resource: Resource,
    name: string,
    namespace: string | undefined,
    holds: (object: T | undefined) => boolean,
  ): Promise<T | undefined> {
    for (;;) {
      const object = this.#objects.get(keyOf(resource, name, namespace)) as T | undefined;
      if (holds(object)) return object;
      await this.#change();
    }
  }

  /** The first object of `resource` for which `holds` is true, once there is one. */
  async untilAny<T extends KubeObject>(
    resource: Resource,
    holds: (object: T) => boolean,
  ): Promise<T> {
    for (;;) {
      const { items } = await this.list<T>(resource);
      const found = items.find(holds);
      if (found !== undefined) return found;
      await this.#change();
    }
  }

  /** What the object was just before it went away. */
  async lastBefore<T extends KubeObject>(
    resource: Resource,
    name: string,
    namespace: string,
  ): Promise<T> {
    let last: T | undefined;
    await this.until<T>(resource, name, namespace, (object) => {
      last = object ?? last;
      return object === undefined;
    });
    if (last === undefined) throw new TypeError(`There is no ${resource.kind} "${name}"`);
    return last;
  }

  async #change(): Promise<void> {
    const changed = Promise.withResolvers<void>();
    this.#waiters.add(changed.resolve);
    await changed.promise;
    this.#waiters.delete(changed.resolve);
  }

  #put(resource: Resource, object: KubeObject, type: 'ADDED' | 'MODIFIED'): KubeObject {
    this.#version += 1;
    const stored = this.#versioned(object);
    const { name = '', namespace } = object.metadata;
    this.#objects.set(keyOf(resource, name, namespace), stored);
    this.#tell(resource, { type, object: stored });
    return stored;
  }

  #versioned(object: KubeObject): KubeObject {
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
  }

  #tell(resource: Resource, event: WatchEvent<KubeObject>): void {
    for (const watcher of this.#watchers) {
      if (watcher.resource === resource && watcher.matches(event.object)) watcher.onEvent(event);
      else
        watcher.onEvent({
          type: 'BOOKMARK',
          object: { metadata: { resourceVersion: String(this.#version) } },
        });
    }
    for (const wake of this.#waiters) wake();
  }
}

function keyOf(resource: Resource, name: string, namespace: string | undefined): string {
  return `${resource.plural}/${resource.namespaced ? (namespace ?? '') : ''}/${name}`;
}

function selector({ fieldSelector, namespace }: ListOptions): (object: KubeObject) => boolean {
  const [path = '', value] = (fieldSelector ?? '').split('=');
  return (object) => {
    if (namespace !== undefined && object.metadata.namespace !== namespace) return false;
    if (path === '') return true;
    let found: unknown = object;
    for (const part of path.split('.')) found = (found as Json | undefined)?.[part];
    return found === value;
  };
}

function merge(target: Json, patch: Json): Json {
  const result: Json = { ...target };
  for (const [key, value] of Object.entries(patch)) {
    const old = result[key];
    if (key === 'conditions' && Array.isArray(value) && Array.isArray(old)) {
      const types = new Set(value.map((condition: Json) => condition['type']));
      result[key] = [...value, ...old.filter((condition: Json) => !types.has(condition['type']))];
    } else if (isObject(value) && isObject(old) && key !== 'state') result[key] = merge(old, value);
    else if (value === null) delete result[key];
    else result[key] = value;
  }
  return result;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
