// Waits for a state of the cluster by watching it, never by sleeping. Used by end-to-end tests.

import { systemClock } from '../../runtime/clock.ts';
import type { KubeClient } from '../../runtime/kubernetes/client.ts';
import { inform } from '../../runtime/kubernetes/informer.ts';
import type { KubeObject } from '../../runtime/kubernetes/objects.ts';
import type { Resource } from '../../runtime/kubernetes/resources.ts';
import { silentLog } from '../../runtime/log.ts';

// a cluster that does not get there in this time never will
const TIMEOUT_MS = 60_000;

export type Where = {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly timeoutMs?: number;
};

/** Resolves with the objects as soon as `holds` is true of them. @throws Error that shows the last state seen */
export async function waitFor<T extends KubeObject>(
  client: KubeClient,
  resource: Resource,
  where: Where,
  holds: (objects: readonly T[]) => boolean,
): Promise<readonly T[]> {
  const { timeoutMs = TIMEOUT_MS, ...selection } = where;
  const informer = inform<T>({ client, clock: systemClock, log: silentLog }, resource, selection);
  const { promise, resolve, reject } = Promise.withResolvers<readonly T[]>();
  let complete = false;
  const look = (): void => {
    // half of the first list is no state that ever was
    if (!complete) return;
    const objects = [...informer.items()];
    try {
      if (holds(objects)) resolve(objects);
    } catch (error) {
      reject(error as Error);
    }
  };
  const unsubscribe = informer.subscribe(look);
  const timer = setTimeout(() => {
    const seen = [...informer.items()].map(brief).join('\n  ') || 'none';
    reject(new Error(`Waited ${timeoutMs} ms in vain; the ${resource.plural} are\n  ${seen}`));
  }, timeoutMs);
  informer.synced.then(
    () => {
      complete = true;
      look();
    },
    () => {
      // closed before: the wait is over
    },
  );
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    unsubscribe();
    await informer.close();
  }
}

function brief(object: KubeObject): string {
  const { name, namespace, annotations, deletionTimestamp } = object.metadata;
  const { status } = object as { status?: unknown };
  return JSON.stringify({ name, namespace, annotations, deletionTimestamp, status }).slice(0, 600);
}
