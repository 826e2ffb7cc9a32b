// Runs one controller: changes become keys in its queue, workers turn each key into a plan and carry it out.
// Invariant: a key is reconciled by one worker at a time, and never before its own last writes are visible.

import type { Clock } from '../../runtime/clock.ts';
import { type KubeClient, KubeError } from '../../runtime/kubernetes/client.ts';
import type { Resource } from '../../runtime/kubernetes/resources.ts';
import type { Log } from '../../runtime/log.ts';
import type { Caches } from './caches.ts';
import { type Executing, execute } from './execute.ts';
import { Expectations } from './expectations.ts';
import type { KubeObject } from './objects.ts';
import type { Controller } from './plan.ts';
import { WorkQueue } from './queue.ts';
import type { RateBound } from './rate.ts';
import { keyOfResource } from './resources.ts';

// reconciling is mostly waiting for the API server; more workers would only meet at the rate bound
const WORKERS = 4;
// the live API disagreed with the watch: it is about to catch up
const SOON_MS = 250;

export type ChangeType = 'added' | 'modified' | 'deleted';

export type Running = {
  /** Tells the controller that an object changed; `old` is the one before. */
  changed(type: ChangeType, resource: Resource, object: KubeObject, old?: KubeObject): void;
  /** Starts the workers: call it when the caches are complete. */
  start(): void;
  close(): Promise<void>;
};

export type RunnerParts = {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly caches: Caches;
  readonly rate: RateBound;
};

export function runController(parts: RunnerParts, controller: Controller): Running {
  const { clock, caches } = parts;
  const log = parts.log.child({ controller: controller.name });
  const queue = new WorkQueue({ clock });
  const expectations = new Expectations();
  const stop = new AbortController();
  const workers: Promise<void>[] = [];
  const executing: Executing = {
    client: parts.client,
    clock,
    rate: parts.rate,
    component: controller.name,
    known: () => caches.resources(),
  };

  async function work(): Promise<void> {
    for (;;) {
      const key = await queue.take();
      if (key === undefined) return;
      try {
        await reconcile(key);
        queue.succeeded(key);
      } catch (error) {
        if (stop.signal.aborted) return;
        // somebody else wrote first: normal, and the watch brings what they wrote
        const conflict = error instanceof KubeError && error.status === 409;
        log[conflict ? 'debug' : 'warn']('Reconciling failed: trying again', { key, error });
        queue.retry(key);
      } finally {
        queue.done(key);
      }
    }
  }

  async function reconcile(key: string): Promise<void> {
    const hold = expectations.wait(key, clock.monotonic());
    if (hold > 0) {
      queue.addAfter(key, hold);
      return;
    }
    const plan = controller.reconcile(key, caches, clock.now());
    for (const action of plan.actions) {
      stop.signal.throwIfAborted();
      log.debug('Carrying out', { key, verb: action.verb });
      const effect = await execute(executing, action, stop.signal);
      for (const { uid, change } of effect.expected) expect(key, uid, change);
      if (effect.again) queue.addAfter(key, SOON_MS);
    }
    if (plan.againInMs !== undefined) queue.addAfter(key, plan.againInMs);
  }

  // the watch may have been quicker than the answer to our own write
  function expect(key: string, uid: string, change: 'seen' | 'leaving'): void {
    const held = caches.byUid(uid)?.object;
    const visible =
      change === 'seen'
        ? held !== undefined
        : held === undefined || held.metadata.deletionTimestamp !== undefined;
    if (!visible) expectations.expect(key, uid, change, clock.monotonic());
  }

  return {
    changed(type, resource, object, old) {
      const awaited = expectations.observe(type, object);
      if (awaited !== undefined) queue.add(awaited);
      const name = keyOfResource(resource);
      for (const watch of controller.watches) {
        if (keyOfResource(watch.resource) !== name) continue;
        for (const key of watch.keys(object, caches)) queue.add(key);
        // labels and owners may have changed hands: those of before must hear of it, too
        if (old !== undefined) for (const key of watch.keys(old, caches)) queue.add(key);
      }
      for (const key of controller.everything?.(resource, object, caches) ?? []) queue.add(key);
    },
    start() {
      for (let worker = 0; worker < WORKERS; worker++) workers.push(work());
    },
    async close() {
      stop.abort(new Error(`Closed ${controller.name}`));
      queue.close();
      await Promise.all(workers);
    },
  };
}
