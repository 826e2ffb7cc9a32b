// A Kubernetes API in memory, for tests of whatever takes a KubeClient: versions, conflicts, watches and 410 behave as
// on a real server; selectors understand equality, and of labels presence, only. It keeps no more than a test needs.

import { Duplex } from 'node:stream';
import {
  type KubeClient,
  KubeError,
  type ListOptions,
  type WatchEvent,
  type WatchOptions,
} from './client.ts';
import type { KubeObject, TokenReview } from './objects.ts';
import { apiVersionOf, type Resource, TOKEN_REVIEWS } from './resources.ts';

type Change = {
  readonly version: number;
  readonly plural: string;
  readonly event: WatchEvent<KubeObject>;
};
type Watcher = { tell(change: Change): void; end(error?: Error): void };

export class MemoryKube implements KubeClient {
  #version = 0;
  #uids = 0;
  /** Watches from before this version get 410. */
  #oldest = 0;
  /** While set, every call fails with it. */
  #outage: Error | undefined;
  readonly #objects = new Map<string, KubeObject>();
  readonly #history: Change[] = [];
  readonly #watchers = new Set<Watcher>();
  /** Answers TokenReviews. */
  reviewToken: (review: TokenReview) => TokenReview['status'] = () => ({ authenticated: false });
  /** Verbs and places called, for tests that count calls. */
  readonly calls: string[] = [];

  /** Ends every watch and makes every call fail until {@link restore}. */
  breakDown(error: Error = new KubeError(0, 'Unreachable', 'The API server is down')): void {
    this.#outage = error;
    this.endWatches(error);
  }

  restore(): void {
    this.#outage = undefined;
  }

  endWatches(error?: Error): void {
    for (const watcher of this.#watchers) watcher.end(error);
  }

  /** Forgets the history: watches from older versions get 410 Gone. */
  compact(): void {
    this.#oldest = this.#version;
    this.#history.length = 0;
  }

  get watching(): number {
    return this.#watchers.size;
  }

  async list<T extends KubeObject>(resource: Resource, options: ListOptions = {}) {
    this.#enter(`list ${resource.plural}`);
    const all = [...this.#objects]
      .filter(([key, object]) => key.startsWith(`${resource.plural}/`) && matches(object, options))
      .map(([, object]) => object as T)
      .sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
    const start = options.continue === undefined ? 0 : Number(options.continue);
    const end = options.limit === undefined ? all.length : start + options.limit;
    return {
      items: all.slice(start, end),
      resourceVersion: String(this.#version),
      ...(end < all.length ? { continue: String(end) } : {}),
    };
  }

  watch<T extends KubeObject>(
    resource: Resource,
    options: WatchOptions,
    onEvent: (event: WatchEvent<T>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#enter(`watch ${resource.plural}`);
      const since = Number(options.resourceVersion);
      if (since < this.#oldest) throw new KubeError(410, 'Expired', 'Too old resource version');
      const watcher: Watcher = {
        tell: ({ plural, event }) => {
          if (plural !== resource.plural || !matches(event.object, options)) return;
          try {
            onEvent(event as WatchEvent<T>);
          } catch (error) {
            watcher.end(error as Error);
          }
        },
        end: (error) => {
          this.#watchers.delete(watcher);
          signal.removeEventListener('abort', onAbort);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      const onAbort = (): void => watcher.end(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#watchers.add(watcher);
      for (const change of this.#history) if (change.version > since) watcher.tell(change);
    });
  }

  async get<T extends KubeObject>(resource: Resource, name: string, namespace?: string) {
    this.#enter(`get ${resource.plural}`);
    return this.#objects.get(keyOf(resource, name, namespace)) as T | undefined;
  }

  async create<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    this.#enter(`create ${resource.plural}`);
    if (resource === TOKEN_REVIEWS) {
      return { ...object, status: this.reviewToken(object as unknown as TokenReview) };
    }
    const name = object.metadata.name ?? `${object.metadata.generateName}${++this.#uids}`;
    const key = keyOf(resource, name, object.metadata.namespace);
    if (this.#objects.has(key)) {
      throw new KubeError(409, 'AlreadyExists', `Cannot create ${key}: it exists`);
    }
    const metadata = {
      creationTimestamp: new Date(0).toISOString(),
      uid: `uid-${++this.#uids}`,
      ...object.metadata,
      name,
    };
    return this.#store(resource, key, { ...object, metadata }, 'ADDED') as T;
  }

  async update<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    this.#enter(`update ${resource.plural}`);
    const key = keyOf(resource, nameOf(object), object.metadata.namespace);
    const old = this.#existing(key);
    const expected = object.metadata.resourceVersion;
    if (expected !== undefined && expected !== old.metadata.resourceVersion) {
      throw new KubeError(409, 'Conflict', `Cannot update ${key}: it has been modified`);
    }
    return this.#store(resource, key, object, 'MODIFIED') as T;
  }

  async apply<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    const key = keyOf(resource, nameOf(object), object.metadata.namespace);
    if (!this.#objects.has(key)) return this.create(resource, object);
    return this.patch(resource, nameOf(object), object.metadata.namespace, object);
  }

  async patch<T extends KubeObject>(
    resource: Resource,
    name: string,
    namespace: string | undefined,
    patch: unknown,
  ): Promise<T> {
    this.#enter(`patch ${resource.plural}`);
    const key = keyOf(resource, name, namespace);
    return this.#store(resource, key, merge(this.#existing(key), patch), 'MODIFIED') as T;
  }

  async delete(resource: Resource, name: string, namespace?: string): Promise<void> {
    this.#enter(`delete ${resource.plural}`);
    const key = keyOf(resource, name, namespace);
    const old = this.#existing(key);
    this.#objects.delete(key);
    this.#record(resource, 'DELETED', old);
  }

  async subcreate<T>(_: Resource, name: string): Promise<T> {
    throw new KubeError(
      404,
      'NotFound',
      `Cannot create a subresource of ${name}: not kept in memory`,
    );
  }

  async version(): Promise<{ gitVersion: string }> {
    this.#enter('ask for the version');
    return { gitVersion: 'v1.32.0' };
  }

  async portForward(): Promise<Duplex> {
    return Duplex.from([]);
  }

  #enter(call: string): void {
    this.calls.push(call);
    if (this.#outage !== undefined) throw this.#outage;
  }

  #existing(key: string): KubeObject {
    const object = this.#objects.get(key);
    if (object === undefined) throw new KubeError(404, 'NotFound', `Cannot find ${key}`);
    return object;
  }

  #store(resource: Resource, key: string, object: KubeObject, type: 'ADDED' | 'MODIFIED') {
    const stored = this.#record(resource, type, object);
    this.#objects.set(key, stored);
    return stored;
  }

  #record(resource: Resource, type: 'ADDED' | 'MODIFIED' | 'DELETED', object: KubeObject) {
    const version = ++this.#version;
    const stored = {
      ...object,
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      metadata: { ...object.metadata, resourceVersion: String(version) },
    };
    const change = { version, plural: resource.plural, event: { type, object: stored } };
    this.#history.push(change);
    for (const watcher of this.#watchers) watcher.tell(change);
    return stored;
  }
}

function keyOf(resource: Resource, name: string, namespace: string | undefined): string {
  return `${resource.plural}/${resource.namespaced ? (namespace ?? '') : ''}/${name}`;
}

function nameOf(object: KubeObject): string {
  return object.metadata.name ?? '';
}

function matches(object: KubeObject, options: ListOptions): boolean {
  const { namespace, labelSelector, fieldSelector } = options;
  if (namespace !== undefined && object.metadata.namespace !== namespace) return false;
  const wanted = (selector: string | undefined): string[][] =>
    (selector ?? '').split(',').flatMap((pair) => (pair === '' ? [] : [pair.split('=')]));
  return (
    wanted(labelSelector).every(([key = '', value]) => {
      const label = object.metadata.labels?.[key];
      return value === undefined ? label !== undefined : label === value;
    }) &&
    wanted(fieldSelector).every(([path = '', value]) => String(at(object, path) ?? '') === value)
  );
}

function at(object: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], object);
}

/** RFC 7396. */
function merge<T>(target: T, patch: unknown): T {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch as T;
  const result = (typeof target === 'object' && target !== null ? { ...target } : {}) as Record<
    string,
    unknown
  >;
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merge(result[key], value);
  }
  return result as T;
}
