// A local copy of one kind of object that follows the cluster: list in pages, then watch, for ever. It never stops by
// itself: a lost connection, a restarted API server or a 410 only makes it catch up, with the right deletes.

import { type Backoff, backoff } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { type KubeClient, KubeError, type WatchEvent } from './client.ts';
import type { KubeObject } from './objects.ts';
import type { Resource } from './resources.ts';

export type InformerEvent<T> = {
  readonly type: 'added' | 'modified' | 'deleted';
  /** The new object; for `deleted` the last known one. */
  readonly object: T;
  readonly old?: T;
};

export interface Informer<T> {
  /** Resolves once the first list is complete; rejects only if closed before. */
  readonly synced: Promise<void>;
  items(): IterableIterator<T>;
  get(name: string, namespace?: string): T | undefined;
  /** Tells changes from now on. Reading items() and subscribing in one turn misses nothing. */
  subscribe(listener: (event: InformerEvent<T>) => void): () => void;
  close(): Promise<void>;
}

export type InformerParts = {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
};
export type InformerOptions = {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** The kind may not exist in the cluster (a CRD): 404 then means "no objects", and is asked again later. */
  readonly optional?: boolean;
};

// Kubernetes' own clients list in pages of 500: large enough to be quick, small enough not to burden the API server.
const PAGE_SIZE = 500;
// Short watches notice a half-open connection early; bookmarks make starting again cheap.
const WATCH_SECONDS = 120;
// The server ends a watch at WATCH_SECONDS; silence for longer means that it is not there any more.
const WATCH_SILENCE_MS = (WATCH_SECONDS + 15) * 1000;
const RETRY = { initialMs: 200, maxMs: 30_000 } as const;
// A missing CRD is looked for this often.
const ABSENT_KIND_MS = 15_000;
// A watch that ends sooner than this did no work: pause before the next, or a broken server would be hammered.
const SHORT_WATCH_MS = 1000;

export function inform<T extends KubeObject>(
  parts: InformerParts,
  resource: Resource,
  options: InformerOptions = {},
): Informer<T> {
  return new Reflector<T>(parts, resource, options);
}

class Reflector<T extends KubeObject> implements Informer<T> {
  readonly synced: Promise<void>;
  readonly #parts: InformerParts;
  readonly #resource: Resource;
  readonly #options: InformerOptions;
  readonly #objects = new Map<string, T>();
  readonly #listeners = new Set<(event: InformerEvent<T>) => void>();
  readonly #stop = new AbortController();
  readonly #retry: Backoff = backoff(RETRY);
  readonly #running: Promise<void>;
  readonly #firstList = Promise.withResolvers<void>();
  /** Where to watch from; undefined: list first. */
  #version: string | undefined;

  constructor(parts: InformerParts, resource: Resource, options: InformerOptions) {
    this.#parts = parts;
    this.#resource = resource;
    this.#options = options;
    this.synced = this.#firstList.promise;
    // whoever does not wait for it must not get an unhandled rejection at close
    this.synced.catch(() => {});
    this.#running = this.#run();
  }

  items(): IterableIterator<T> {
    return this.#objects.values();
  }

  get(name: string, namespace?: string): T | undefined {
    return this.#objects.get(keyOf(name, namespace));
  }

  subscribe(listener: (event: InformerEvent<T>) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async close(): Promise<void> {
    const reason = new Error(`Closed the informer of ${this.#resource.plural}`);
    this.#stop.abort(reason);
    this.#firstList.reject(reason);
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock } = this.#parts;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      let pause = 0;
      let watchedSince = Number.POSITIVE_INFINITY;
      try {
        if (this.#version === undefined) await this.#relist();
        if (failures > 0) this.#log('info', 'Following Kubernetes objects again');
        watchedSince = clock.monotonic();
        await this.#follow();
        failures = 0;
        if (clock.monotonic() - watchedSince < SHORT_WATCH_MS) pause = this.#retry.next();
        else this.#retry.reset();
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (clock.monotonic() - watchedSince >= SHORT_WATCH_MS) {
          failures = 0;
          this.#retry.reset();
        }
        pause = this.#afterFailure(error, failures++);
      }
      if (pause > 0) await clock.sleep(pause, this.#stop.signal).catch(() => {});
    }
  }

  /** Decides where to go on after `error`, and how long to wait before that. */
  #afterFailure(error: unknown, failures: number): number {
    const status = error instanceof KubeError ? error.status : 0;
    if (status === 410) {
      this.#log('debug', 'Watch position is too old: listing again');
      this.#version = undefined;
      // at once the first time; a server that answers 410 to every watch must not be hammered
      return failures === 0 ? 0 : this.#retry.next();
    }
    if (status === 404 && this.#options.optional === true) {
      this.#version = undefined;
      this.#replaceAll(new Map());
      this.#firstList.resolve();
      return ABSENT_KIND_MS;
    }
    // an answer of any other kind puts our position in doubt (a restored or replaced server); silence does not
    if (status !== 0) this.#version = undefined;
    this.#log(
      failures === 0 ? 'warn' : 'debug',
      'Lost sight of Kubernetes objects: trying again',
      error,
    );
    return this.#retry.next();
  }

  async #relist(): Promise<void> {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    const found = new Map<string, T>();
    let next: string | undefined;
    let version = '';
    do {
      const page = await this.#parts.client.list<T>(
        this.#resource,
        {
          limit: PAGE_SIZE,
          ...(namespace === undefined ? {} : { namespace }),
          ...(labelSelector === undefined ? {} : { labelSelector }),
          ...(fieldSelector === undefined ? {} : { fieldSelector }),
          ...(next === undefined ? {} : { continue: next }),
        },
        this.#stop.signal,
      );
      for (const object of page.items) found.set(keyOfObject(object), slim(object));
      version = page.resourceVersion;
      next = page.continue;
    } while (next !== undefined);
    this.#replaceAll(found);
    this.#version = version;
    this.#firstList.resolve();
  }

  #replaceAll(found: ReadonlyMap<string, T>): void {
    for (const key of this.#objects.keys()) if (!found.has(key)) this.#remove(key);
    for (const [key, object] of found) {
      const known = this.#objects.get(key)?.metadata.resourceVersion;
      if (known === undefined || known !== object.metadata.resourceVersion) this.#put(key, object);
    }
  }

  async #follow(): Promise<void> {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    const { clock, client } = this.#parts;
    const silence = new AbortController();
    const onSilence = (): void => silence.abort(new Error('The watch fell silent'));
    let timer = clock.timer(WATCH_SILENCE_MS, onSilence);
    const onEvent = (event: WatchEvent<T>): void => {
      timer.cancel();
      timer = clock.timer(WATCH_SILENCE_MS, onSilence);
      this.#apply(event);
    };
    try {
      await client.watch<T>(
        this.#resource,
        {
          resourceVersion: this.#version ?? '',
          timeoutSeconds: WATCH_SECONDS,
          ...(namespace === undefined ? {} : { namespace }),
          ...(labelSelector === undefined ? {} : { labelSelector }),
          ...(fieldSelector === undefined ? {} : { fieldSelector }),
        },
        onEvent,
        AbortSignal.any([this.#stop.signal, silence.signal]),
      );
    } finally {
      timer.cancel();
    }
  }

  #apply(event: WatchEvent<T>): void {
    const { object } = event;
    const key = keyOfObject(object);
    if (event.type === 'DELETED') this.#remove(key);
    else if (event.type !== 'BOOKMARK') this.#put(key, slim(object));
    // last: a position must never be ahead of what was applied
    this.#version = object.metadata.resourceVersion ?? this.#version;
  }

  #put(key: string, object: T): void {
    const old = this.#objects.get(key);
    this.#objects.set(key, object);
    if (old === undefined) {
      this.#tell({ type: 'added', object });
      return;
    }
    if (old.metadata.uid !== object.metadata.uid) {
      // deleted and made anew under the same name while we were not looking
      this.#tell({ type: 'deleted', object: old });
      this.#tell({ type: 'added', object });
      return;
    }
    this.#tell({ type: 'modified', object, old });
  }

  #remove(key: string): void {
    const old = this.#objects.get(key);
    if (old === undefined) return;
    this.#objects.delete(key);
    this.#tell({ type: 'deleted', object: old });
  }

  #tell(event: InformerEvent<T>): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        // one listener's fault must not cost the others their event, nor the informer its life
        this.#log('warn', 'A listener failed on a change of a Kubernetes object', error);
      }
    }
  }

  #log(level: 'debug' | 'info' | 'warn', message: string, error?: unknown): void {
    this.#parts.log[level](message, {
      resource: this.#resource.plural,
      ...(error === undefined ? {} : { error }),
    });
  }
}

function keyOfObject(object: KubeObject): string {
  return keyOf(object.metadata.name ?? '', object.metadata.namespace);
}

function keyOf(name: string, namespace: string | undefined): string {
  return `${namespace ?? ''}/${name}`;
}

/** Drops the bookkeeping of server-side apply: often half of an object, and nobody here reads it. */
function slim<T extends KubeObject>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata as { managedFields?: unknown };
  return { ...object, metadata };
}
