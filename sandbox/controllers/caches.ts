// What is observed of the cluster: every object the informers have seen, indexed by namespace and by owner.
// The runner feeds it from watches, tests feed it from arrays; reconcilers only read it.

import type { Resource } from '../../runtime/kubernetes/resources.ts';
import type { KubeObject } from './objects.ts';
import { keyOfResource } from './resources.ts';

export type Held = { readonly resource: Resource; readonly object: KubeObject };

/** What a reconciler may ask. */
export interface Observed {
  list<T extends KubeObject>(resource: Resource, namespace?: string): readonly T[];
  get<T extends KubeObject>(resource: Resource, name: string, namespace?: string): T | undefined;
  /** Objects with an owner reference to this uid. */
  ownedBy(uid: string): readonly Held[];
  byUid(uid: string): Held | undefined;
  /** Every resource that is watched. */
  resources(): readonly Resource[];
}

export class Caches implements Observed {
  readonly #resources = new Map<string, Resource>();
  // resource -> namespace ('' at cluster scope) -> name -> object
  readonly #objects = new Map<string, Map<string, Map<string, KubeObject>>>();
  readonly #uids = new Map<string, Held>();
  readonly #owned = new Map<string, Map<string, Held>>();

  watch(resource: Resource): void {
    this.#resources.set(keyOfResource(resource), resource);
  }

  put(resource: Resource, object: KubeObject): void {
    this.watch(resource);
    this.remove(resource, object);
    const { name, namespace = '', uid } = object.metadata;
    const namespaces = entry(this.#objects, keyOfResource(resource), () => new Map());
    entry(namespaces, namespace, () => new Map<string, KubeObject>()).set(name, object);
    if (uid === undefined) return;
    const held = { resource, object };
    this.#uids.set(uid, held);
    for (const owner of object.metadata.ownerReferences ?? []) {
      entry(this.#owned, owner.uid, () => new Map<string, Held>()).set(uid, held);
    }
  }

  remove(resource: Resource, object: KubeObject): void {
    const { name, namespace = '' } = object.metadata;
    const names = this.#objects.get(keyOfResource(resource))?.get(namespace);
    const former = names?.get(name);
    if (names === undefined || former === undefined) return;
    names.delete(name);
    const uid = former.metadata.uid;
    if (uid === undefined) return;
    this.#uids.delete(uid);
    for (const owner of former.metadata.ownerReferences ?? []) {
      const owned = this.#owned.get(owner.uid);
      owned?.delete(uid);
      if (owned?.size === 0) this.#owned.delete(owner.uid);
    }
  }

  /** Forgets a resource that is no longer served, e.g. after its definition was deleted. */
  forget(resource: Resource): void {
    for (const object of this.list(resource)) this.remove(resource, object);
    this.#resources.delete(keyOfResource(resource));
  }

  list<T extends KubeObject>(resource: Resource, namespace?: string): readonly T[] {
    const namespaces = this.#objects.get(keyOfResource(resource));
    if (namespaces === undefined) return [];
    const found =
      namespace === undefined
        ? [...namespaces.values()].flatMap((names) => [...names.values()])
        : [...(namespaces.get(namespace)?.values() ?? [])];
    return found as unknown as T[];
  }

  get<T extends KubeObject>(resource: Resource, name: string, namespace = ''): T | undefined {
    const found = this.#objects.get(keyOfResource(resource))?.get(namespace)?.get(name);
    return found as T | undefined;
  }

  ownedBy(uid: string): readonly Held[] {
    return [...(this.#owned.get(uid)?.values() ?? [])];
  }

  byUid(uid: string): Held | undefined {
    return this.#uids.get(uid);
  }

  resources(): readonly Resource[] {
    return [...this.#resources.values()];
  }
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
