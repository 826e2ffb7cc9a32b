// Who asks: the pod's workload. A pod that was just made asks before discovery tells of it, and a failure then would often
// be the end of its program; so its first questions wait a moment. Called by answer.ts. Invariant: what waits is bounded.

import type { Workload } from '../../mesh/workload.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { SnapshotSource } from '../known-source.ts';

/** Discovery follows within milliseconds of the pod's address; common resolvers ask again after five seconds. */
export const CLIENT_WAIT_MS = 3000;
/** Of one pod; far more than a program asks before its first answer. */
export const MAX_WAITING = 256;

type Wait = { readonly workload: Promise<Workload | undefined>; waiting: number };

export class KnownClients {
  readonly #clock: Clock;
  readonly #discovery: SnapshotSource;
  readonly #waits = new Map<string, Wait>();

  constructor(parts: { readonly clock: Clock; readonly discovery: SnapshotSource }) {
    this.#clock = parts.clock;
    this.#discovery = parts.discovery;
  }

  /** undefined when it is not known in time, or too many of the pod's questions wait already. */
  async find(workloadUid: string): Promise<Workload | undefined> {
    const known = this.#discovery.snapshot().workloadByUid(workloadUid);
    if (known !== undefined) return known;
    const wait = this.#waits.get(workloadUid) ?? this.#begin(workloadUid);
    if (wait.waiting >= MAX_WAITING) return undefined;
    wait.waiting++;
    return wait.workload;
  }

  /** One timer and one subscription for all questions of a pod. */
  #begin(workloadUid: string): Wait {
    const { promise, resolve } = Promise.withResolvers<Workload | undefined>();
    const end = (workload: Workload | undefined): void => {
      timer.cancel();
      unsubscribe();
      this.#waits.delete(workloadUid);
      resolve(workload);
    };
    const timer = this.#clock.timer(CLIENT_WAIT_MS, () => end(undefined));
    const unsubscribe = this.#discovery.subscribe((snapshot) => {
      const workload = snapshot.workloadByUid(workloadUid);
      if (workload !== undefined) end(workload);
    });
    const wait = { workload: promise, waiting: 0 };
    this.#waits.set(workloadUid, wait);
    return wait;
  }
}
