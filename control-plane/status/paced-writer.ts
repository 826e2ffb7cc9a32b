// Writes what users' objects' status shall say: the leader only, each object at most once in SAME_OBJECT_MS, all of them
// together at most once in WRITE_GAP_MS, and again while the API server does not take it. How an object is written is its
// Writing's business: conditions.ts for `status.conditions`, route-parents.ts for `status.parents`.
// Invariant: an object that says already what it should is not written.

import { backoff } from '../../runtime/backoff.ts';
import type { Clock } from '../../runtime/clock.ts';
import { type KubeClient, KubeError } from '../../runtime/kubernetes/client.ts';
import type { KubeObject } from '../../runtime/kubernetes/objects.ts';
import type { Resource } from '../../runtime/kubernetes/resources.ts';
import type { Log } from '../../runtime/log.ts';

export type StatusWriterParts = {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly isLeader: () => boolean;
  /** Told of each write: of which kind of object, and what came of it. */
  readonly count: (kind: string, result: WriteResult) => void;
};
export type WriteResult = 'written' | 'gone' | 'refused' | 'failed';

/** Something to say of one object, as the translation saw it. */
export type Wish = { readonly resource: Resource; readonly object: KubeObject };

/** What was made of an object last, by whoever wrote it. */
export type Written = {
  /** What was wished, to tell whether there is anything new to say. */
  readonly text: string;
  /** The version we wrote upon: an informer that still shows it is behind us. */
  readonly over: string | undefined;
};

export type Writing<W extends Wish, D extends Written> = {
  /** Everything of a wish that makes a difference, as text. */
  textOf(wish: W): string;
  /** Whether the object says so already. */
  holds(wish: W): boolean;
  /** undefined: the object is gone or was made anew, and there is nothing to tell any more. @throws KubeError */
  write(wish: W, written: D | undefined): Promise<D | undefined>;
};

type Entry<W, D> = {
  readonly wish: W;
  /** undefined while we have written nothing. */
  readonly written: { readonly done: D; readonly at: number } | undefined;
};

// A counted number of workloads moves with every pod of a rollout: to read it once in a while is enough.
const SAME_OBJECT_MS = 2000;
// 50 a second: well below what an API server allows one client.
const WRITE_GAP_MS = 20;
const RETRY = { initialMs: 250, maxMs: 30_000 } as const;

export class PacedWriter<W extends Wish, D extends Written> {
  readonly #parts: StatusWriterParts;
  readonly #writing: Writing<W, D>;
  /** By the object's UID; exactly the objects of the newest wish. */
  #entries = new Map<string, Entry<W, D>>();
  /** UIDs that have something to be written, oldest first. */
  readonly #waiting = new Set<string>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(parts: StatusWriterParts, writing: Writing<W, D>) {
    this.#parts = parts;
    this.#writing = writing;
  }

  /** Everything that is to be said, replacing what was said before; objects left out are left as they are. */
  wish(wishes: readonly W[]): void {
    const before = this.#entries;
    this.#entries = new Map();
    this.#waiting.clear();
    for (const wish of wishes) {
      const uid = uidOf(wish);
      const entry = { wish, written: before.get(uid)?.written };
      this.#entries.set(uid, entry);
      if (this.#isNews(entry)) this.#waiting.add(uid);
    }
    this.#wake();
  }

  /** Stops writing and waits for the write that is under way. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('The status writer stops'));
    await this.#running;
  }

  #wake(): void {
    const idle = this.#waiting.size === 0 || this.#stop.signal.aborted || !this.#parts.isLeader();
    if (idle || this.#running !== undefined) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      this.#wake();
    });
  }

  #isNews({ wish, written }: Entry<W, D>): boolean {
    const isBehind = written?.done.over === wish.object.metadata.resourceVersion;
    if (isBehind && written?.done.text === this.#writing.textOf(wish)) return false;
    return !this.#writing.holds(wish);
  }

  async #run(): Promise<void> {
    const { clock, isLeader } = this.#parts;
    const retry = backoff(RETRY);
    const pause = (ms: number): Promise<void> => clock.sleep(ms, this.#stop.signal).catch(() => {});
    while (!this.#stop.signal.aborted && isLeader()) {
      const now = clock.monotonic();
      const due = this.#next(now);
      if (due === undefined) return;
      if (due.waitMs > 0) {
        await pause(due.waitMs);
        continue;
      }
      this.#waiting.delete(due.uid);
      // what is awaited may have been written meanwhile, under the same words
      if (!this.#isNews(due.entry)) continue;
      const done = await this.#write(due.uid, due.entry);
      if (done) retry.reset();
      // a wish that came meanwhile has put it on the list again, or taken the object away
      else if (this.#entries.has(due.uid)) this.#waiting.add(due.uid);
      await pause(done ? WRITE_GAP_MS : retry.next());
    }
  }

  /** The first object that may be written now, or how long until one may. */
  #next(now: number): { uid: string; entry: Entry<W, D>; waitMs: number } | undefined {
    let soonest: { uid: string; entry: Entry<W, D>; waitMs: number } | undefined;
    for (const uid of this.#waiting) {
      const entry = this.#entries.get(uid);
      if (entry === undefined) continue;
      const waitMs = Math.max(0, (entry.written?.at ?? -SAME_OBJECT_MS) + SAME_OBJECT_MS - now);
      if (soonest === undefined || waitMs < soonest.waitMs) soonest = { uid, entry, waitMs };
      if (waitMs === 0) break;
    }
    return soonest;
  }

  /** False when it has to be tried again. */
  async #write(uid: string, { wish, written }: Entry<W, D>): Promise<boolean> {
    const { clock, log, count } = this.#parts;
    const { resource, object } = wish;
    let done: D | undefined;
    try {
      done = await this.#writing.write(wish, written?.done);
    } catch (error) {
      const status = error instanceof KubeError ? error.status : 0;
      const refused = status === 400 || status === 422;
      count(resource.kind, refused ? 'refused' : 'failed');
      log.warn('Cannot write the status of an object', {
        object: `${resource.kind} ${object.metadata.namespace}/${object.metadata.name}`,
        // the same words would be refused again: others must not wait for them
        next: refused ? 'waiting until there is something else to say' : 'trying again',
        error,
      });
      return refused;
    }
    count(resource.kind, done === undefined ? 'gone' : 'written');
    const entry = this.#entries.get(uid);
    if (done !== undefined && entry !== undefined) {
      this.#entries.set(uid, { ...entry, written: { done, at: clock.monotonic() } });
    }
    return true;
  }
}

function uidOf({ object }: Wish): string {
  return object.metadata.uid ?? '';
}
