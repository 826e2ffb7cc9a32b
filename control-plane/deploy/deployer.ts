// Makes the cluster hold what the plan wants of it: the leader only, by server-side apply, one object at a time. Called by
// gateways.ts with each new plan. Invariants: an object that has what it should is not written; nothing is overwritten
// or deleted that was not made for a Gateway of ours.

import { backoff } from '../../runtime/backoff.ts';
import type { Clock } from '../../runtime/clock.ts';
import { type KubeClient, KubeError } from '../../runtime/kubernetes/client.ts';
import type { KubeObject } from '../../runtime/kubernetes/objects.ts';
import {
  GATEWAY_CLASSES,
  GATEWAYS,
  type Resource,
  SERVICE_ACCOUNTS,
} from '../../runtime/kubernetes/resources.ts';
import type { Log } from '../../runtime/log.ts';
import type { DesiredObject } from './desired.ts';
import { contentOf, says } from './difference.ts';

export type DeployerParts = {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly isLeader: () => boolean;
  /** An object as the informers show it, which are behind by a moment. */
  readonly observed: (
    resource: Resource,
    namespace: string,
    name: string,
  ) => KubeObject | undefined;
  /** Everything with our label. */
  readonly managed: () => Iterable<DesiredObject>;
  /** What {@link Deployer.failureOf} says has changed. */
  readonly onFailure: () => void;
};

export type Deployment = {
  readonly desired: readonly DesiredObject[];
  readonly untouched: ReadonlySet<string>;
  readonly known: ReadonlySet<string>;
};

type Entry = { readonly wanted: DesiredObject; readonly text: string };
type Written = {
  readonly text: string;
  /** What the object had after our write, others' additions included. */
  readonly content: string;
  /** On the monotonic clock. */
  readonly at: number;
};
type Refused = { readonly text: string; readonly message: string; readonly at: number };

const FIELD_MANAGER = 'ambit-gateway-controller';
// 50 writes a second: well below what an API server allows one client.
const WRITE_GAP_MS = 20;
// The same is written to an object at most this often: informers are behind by less, and whoever keeps changing it back
// shall not keep us busy.
const SAME_OBJECT_MS = 5000;
// What was refused may be let in later: a quota was raised, a role was granted, a definition installed.
const REFUSED_MS = 15_000;
const RETRY = { initialMs: 250, maxMs: 30_000 } as const;

export class Deployer {
  readonly #parts: DeployerParts;
  #entries = new Map<string, Entry>();
  #removals = new Map<string, DesiredObject>();
  readonly #written = new Map<string, Written>();
  readonly #refused = new Map<string, Refused>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  /** Woken when there is a new plan. */
  #news = Promise.withResolvers<void>();

  constructor(parts: DeployerParts) {
    this.#parts = parts;
  }

  /** All that shall be, replacing what should be before. */
  wish({ desired, untouched, known }: Deployment): void {
    this.#entries = new Map(
      desired.map((wanted) => [keyOf(wanted), { wanted, text: JSON.stringify(wanted.object) }]),
    );
    this.#removals = new Map();
    for (const present of this.#parts.managed()) {
      const owner = controllerOf(present.object);
      if (owner === undefined || !known.has(owner) || untouched.has(owner)) continue;
      const key = keyOf(present);
      if (!this.#entries.has(key)) this.#removals.set(key, present);
    }
    for (const key of [...this.#written.keys(), ...this.#refused.keys()]) {
      if (this.#entries.has(key)) continue;
      this.#written.delete(key);
      this.#refused.delete(key);
    }
    this.#news.resolve();
    this.#wake();
  }

  /** Why something of the Gateway with this UID could not be made; undefined when all went well so far. */
  failureOf(uid: string): string | undefined {
    for (const [key, { message }] of this.#refused) {
      const entry = this.#entries.get(key);
      if (entry !== undefined && controllerOf(entry.wanted.object) === uid) return message;
    }
    return undefined;
  }

  /** Stops writing and waits for the write that is under way. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('The deployer stops'));
    await this.#running;
  }

  #wake(): void {
    const { clock, isLeader } = this.#parts;
    if (this.#running !== undefined || this.#stop.signal.aborted || !isLeader()) return;
    if (this.#next(clock.monotonic()) === undefined) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      this.#wake();
    });
  }

  async #run(): Promise<void> {
    const { clock, isLeader } = this.#parts;
    const { signal } = this.#stop;
    const retry = backoff(RETRY);
    while (!signal.aborted && isLeader()) {
      const due = this.#next(clock.monotonic());
      if (due === undefined) return;
      if (due.waitMs > 0) {
        await this.#pause(due.waitMs);
        continue;
      }
      const done = await due.act();
      if (done) retry.reset();
      await clock.sleep(done ? WRITE_GAP_MS : retry.next(), signal).catch(() => {});
    }
  }

  /** Until the time is up or there is a new plan. */
  async #pause(ms: number): Promise<void> {
    this.#news = Promise.withResolvers();
    const over = new AbortController();
    const ends = AbortSignal.any([this.#stop.signal, over.signal]);
    await Promise.race([this.#parts.clock.sleep(ms, ends).catch(() => {}), this.#news.promise]);
    over.abort();
  }

  /** What is to be done first, or how long until there may be something. */
  #next(now: number): { waitMs: number; act: () => Promise<boolean> } | undefined {
    const [removal] = this.#removals;
    if (removal !== undefined) {
      const [key, present] = removal;
      return { waitMs: 0, act: () => this.#remove(key, present) };
    }
    let soonest: { waitMs: number; act: () => Promise<boolean> } | undefined;
    for (const [key, entry] of this.#entries) {
      const waitMs = this.#dueIn(key, entry, now);
      if (waitMs === undefined || (soonest !== undefined && soonest.waitMs <= waitMs)) continue;
      soonest = { waitMs, act: () => this.#apply(key, entry) };
      if (waitMs === 0) break;
    }
    return soonest;
  }

  /** undefined: it is as it should be. */
  #dueIn(key: string, { wanted, text }: Entry, now: number): number | undefined {
    const { resource, object } = wanted;
    const { name = '', namespace = '' } = object.metadata;
    const present = this.#parts.observed(resource, namespace, name);
    const refused = this.#refused.get(key);
    if (refused?.text === text) return Math.max(0, refused.at + REFUSED_MS - now);
    if (present !== undefined && says(present, object)) return undefined;
    const written = this.#written.get(key);
    if (written?.text !== text) return 0;
    // what others keep there is theirs: to write the same again would change nothing
    if (present !== undefined && contentOf(present) === written.content) return undefined;
    return Math.max(0, written.at + SAME_OBJECT_MS - now);
  }

  /** False when it has to be tried again soon. */
  async #apply(key: string, { wanted, text }: Entry): Promise<boolean> {
    const { client, clock, log } = this.#parts;
    const { resource, object } = wanted;
    const { name = '', namespace } = object.metadata;
    const shown = `${resource.kind} ${namespace === undefined ? name : `${namespace}/${name}`}`;
    try {
      const present = await client.get<KubeObject>(resource, name, namespace);
      if (present !== undefined && !isOurs(present, object)) {
        const content = contentOf(present);
        // an account that somebody has set up for it does as well
        if (resource === SERVICE_ACCOUNTS) this.#wrote(key, { text, content });
        else {
          const why = `${shown} is there already and was not made for this Gateway: give one of them another name`;
          this.#refuse(key, text, why);
        }
        return true;
      }
      const options = { fieldManager: FIELD_MANAGER, force: true };
      const content = contentOf(await client.apply(resource, object, options));
      this.#wrote(key, { text, content });
      if (present === undefined) log.info('Made an object for a Gateway', { object: shown });
      else log.info('Changed an object of a Gateway', { object: shown });
      return true;
    } catch (error) {
      const status = error instanceof KubeError ? error.status : 0;
      // without the Gateway API there are no Gateways either
      if (status === 404 && resource === GATEWAY_CLASSES) {
        log.debug('There is no Gateway API in this cluster', { error });
        this.#refused.set(key, { text, message: '', at: clock.monotonic() });
        return true;
      }
      log.warn('Cannot make an object for a Gateway', { object: shown, error });
      if (!isRefusal(status)) return false;
      this.#refuse(key, text, error instanceof Error ? error.message : String(error));
      return true;
    }
  }

  async #remove(key: string, { resource, object }: DesiredObject): Promise<boolean> {
    const { client, log } = this.#parts;
    const { name = '', namespace, uid } = object.metadata;
    try {
      await client.delete(resource, name, namespace, {
        propagationPolicy: 'Background',
        ...(uid === undefined ? {} : { preconditions: { uid } }),
      });
      log.info('Deleted an object that its Gateway does not need any more', {
        object: `${resource.kind} ${namespace}/${name}`,
      });
    } catch (error) {
      const status = error instanceof KubeError ? error.status : 0;
      if (status !== 404 && status !== 409) {
        log.warn('Cannot delete an object that its Gateway does not need any more', { error });
        // refused: the next plan asks again, and others do not wait for it
        if (!isRefusal(status)) return false;
      }
    }
    this.#removals.delete(key);
    return true;
  }

  #wrote(key: string, { text, content }: Omit<Written, 'at'>): void {
    this.#written.set(key, { text, content, at: this.#parts.clock.monotonic() });
    if (this.#refused.delete(key)) this.#parts.onFailure();
  }

  #refuse(key: string, text: string, message: string): void {
    const before = this.#refused.get(key)?.message;
    this.#refused.set(key, { text, message, at: this.#parts.clock.monotonic() });
    if (before !== message) this.#parts.onFailure();
  }
}

/** The same would be refused again; 429 and 409 are only about when. */
function isRefusal(status: number): boolean {
  return status >= 400 && status < 500 && status !== 429 && status !== 409;
}

/** Without an owner of ours in it, it is anybody's: the classes, and copies of the roots under our own name. */
function isOurs(present: KubeObject, wanted: KubeObject): boolean {
  const owner = controllerOf(wanted);
  return owner === undefined || controllerOf(present) === owner;
}

/** The UID of the Gateway it was made for. */
function controllerOf({ metadata }: KubeObject): string | undefined {
  const owner = metadata.ownerReferences?.find(
    ({ kind, controller }) => kind === GATEWAYS.kind && controller === true,
  );
  return owner?.uid;
}

function keyOf({ resource, object }: DesiredObject): string {
  const { namespace = '', name = '' } = object.metadata;
  return `${resource.plural}/${namespace}/${name}`;
}
