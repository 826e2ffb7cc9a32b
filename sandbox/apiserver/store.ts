// Every object the cluster has, in memory, with one revision counter and a bounded history of changes a bucket.
// Stored objects are never edited in place: a write replaces the whole object, so a list is always consistent.

import type { KubeObject } from './object.ts';

export type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED';

export type Change = {
  readonly revision: number;
  readonly type: ChangeType;
  readonly object: KubeObject;
  /** The object as it was, absent for ADDED. */
  readonly old?: KubeObject;
};

export type Listing = { readonly revision: number; readonly items: readonly KubeObject[] };

type Bucket = {
  readonly objects: Map<string, KubeObject>;
  readonly history: Change[];
  /** Changes up to this revision are no longer in `history`. */
  compacted: number;
  readonly listeners: Set<(change: Change) => void>;
};

/** Changes kept a bucket: a watcher that falls further behind must list again (410). */
const DEFAULT_HISTORY_LIMIT = 5_000;

export function keyOf(namespace: string | undefined, name: string): string {
  return `${namespace ?? ''}/${name}`;
}

export class Store {
  readonly #buckets = new Map<string, Bucket>();
  readonly #historyLimit: number;
  #revision = 1;

  constructor(settings: { readonly historyLimit?: number } = {}) {
    this.#historyLimit = settings.historyLimit ?? DEFAULT_HISTORY_LIMIT;
  }

  get revision(): number {
    return this.#revision;
  }

  read(bucket: string, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#buckets.get(bucket)?.objects.get(keyOf(namespace, name));
  }

  /** All objects of a bucket, unsorted, as they are now. */
  values(bucket: string): IterableIterator<KubeObject> {
    return this.#bucket(bucket).objects.values();
  }

  count(bucket: string): number {
    return this.#buckets.get(bucket)?.objects.size ?? 0;
  }

  /** The bucket as it was at `revision` (default: now), sorted by namespace and name; undefined if that is forgotten. */
  list(bucketName: string, revision?: number): Listing | undefined {
    const bucket = this.#bucket(bucketName);
    const at = revision ?? this.#revision;
    if (at < bucket.compacted) return undefined;
    let objects = bucket.objects;
    if (at < (bucket.history.at(-1)?.revision ?? 0)) {
      objects = new Map(objects);
      for (let index = bucket.history.length - 1; index >= 0; index -= 1) {
        const change = bucket.history[index];
        if (change === undefined || change.revision <= at) break;
        const { namespace, name } = change.object.metadata;
        const key = keyOf(namespace, name ?? '');
        if (change.old === undefined) objects.delete(key);
        else objects.set(key, change.old);
      }
    }
    const items = [...objects.entries()]
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([, object]) => object);
    return { revision: at, items };
  }

  /** Stores `object` and gives it the next revision. The caller has checked that it does not exist. */
  create(bucketName: string, object: KubeObject): KubeObject {
    return this.#write(bucketName, 'ADDED', object, undefined);
  }

  /** Replaces `old`, which the caller has just read. */
  replace(bucketName: string, old: KubeObject, object: KubeObject): KubeObject {
    return this.#write(bucketName, 'MODIFIED', object, old);
  }

  /** Removes `old`; watchers see `last` (default: old) with the revision of the removal. */
  remove(bucketName: string, old: KubeObject, last: KubeObject = old): KubeObject {
    return this.#write(bucketName, 'DELETED', last, old);
  }

  /** The changes after `revision`, or undefined if some of them are forgotten. */
  changesSince(bucketName: string, revision: number): readonly Change[] | undefined {
    const bucket = this.#bucket(bucketName);
    if (revision < bucket.compacted) return undefined;
    let low = 0;
    let high = bucket.history.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((bucket.history[middle]?.revision ?? 0) <= revision) low = middle + 1;
      else high = middle;
    }
    return bucket.history.slice(low);
  }

  /** The oldest revision a watch of this bucket may start after. */
  oldest(bucketName: string): number {
    return this.#bucket(bucketName).compacted;
  }

  subscribe(bucketName: string, listener: (change: Change) => void): () => void {
    const bucket = this.#bucket(bucketName);
    bucket.listeners.add(listener);
    return () => bucket.listeners.delete(listener);
  }

  /** Forgets the history of a bucket whose kind is gone, after its objects were removed. */
  drop(bucketName: string): void {
    const bucket = this.#buckets.get(bucketName);
    if (bucket !== undefined && bucket.objects.size === 0) {
      bucket.history.length = 0;
      bucket.compacted = this.#revision;
    }
  }

  #bucket(name: string): Bucket {
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = { objects: new Map(), history: [], compacted: 0, listeners: new Set() };
      this.#buckets.set(name, bucket);
    }
    return bucket;
  }

  #write(
    bucketName: string,
    type: ChangeType,
    object: KubeObject,
    old: KubeObject | undefined,
  ): KubeObject {
    const bucket = this.#bucket(bucketName);
    this.#revision += 1;
    const stored: KubeObject = {
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(this.#revision) },
    };
    const key = keyOf(stored.metadata.namespace, stored.metadata.name ?? '');
    if (type === 'DELETED') bucket.objects.delete(key);
    else bucket.objects.set(key, stored);
    const change: Change = {
      revision: this.#revision,
      type,
      object: stored,
      ...(old === undefined ? {} : { old }),
    };
    bucket.history.push(change);
    // Trimmed in batches: a shift a write would move the whole array each time.
    if (bucket.history.length > this.#historyLimit * 1.25) {
      const dropped = bucket.history.splice(0, bucket.history.length - this.#historyLimit);
      bucket.compacted = dropped.at(-1)?.revision ?? bucket.compacted;
    }
    for (const listener of bucket.listeners) listener(change);
    return stored;
  }
}
