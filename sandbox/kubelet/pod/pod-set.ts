// The pods of one node: which journeys run, and what each sight of a Pod object means for them. Held by kubelet.ts, read
// by server.ts. Invariants: one journey a UID; an object that asks for deletion goes away once nothing of it runs.

import { backoff } from '../../../runtime/backoff.ts';
import { KubeError } from '../../../runtime/kubernetes/client.ts';
import { PODS } from '../../../runtime/kubernetes/resources.ts';
import type { NodeParts, NodeSettings } from '../node-parts.ts';
import { PodOnNode } from './pod.ts';
import { type Pod, podRef } from './pod-spec.ts';
import type { StatusWriter } from './status-writer.ts';

export type PodSetParts = NodeParts & { readonly statuses: StatusWriter };

// A force-deleted pod is told to stop and is not waited for: Kubernetes' own minimum
const FORCED_GRACE_MS = 2000;
// When the sandbox goes down, pods have this long at most: a person is waiting for the prompt
const SHUTDOWN_GRACE_MS = 1500;
const DELETE_RETRY = { initialMs: 200, maxMs: 5000 } as const;

export class PodSet {
  readonly #parts: PodSetParts;
  readonly #settings: NodeSettings;
  readonly #pods = new Map<string, PodOnNode>();
  readonly #running = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  constructor(parts: PodSetParts, settings: NodeSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  all(): IterableIterator<PodOnNode> {
    return this.#pods.values();
  }

  find(namespace: string, name: string, uid?: string): PodOnNode | undefined {
    // of two with the same name the newer one is meant: it was added last
    return [...this.#pods.values()].findLast(
      ({ ref }) =>
        ref.namespace === namespace &&
        ref.name === name &&
        (uid === undefined || uid === '' || ref.uid === uid),
    );
  }

  /** A Pod object was added or changed. */
  seen(pod: Pod): void {
    if (this.#closing.signal.aborted) return;
    const { uid } = podRef(pod);
    const known = this.#pods.get(uid);
    const { phase } = pod.status ?? {};
    if (known === undefined && pod.metadata.deletionTimestamp !== undefined) {
      // its journey was that of an earlier kubelet: nothing of it runs here
      this.#own(this.#deleteObject(pod));
      return;
    }
    if (known === undefined && (phase === 'Succeeded' || phase === 'Failed')) return;
    const journey = known ?? this.#begin(pod);
    journey.update(pod);
    if (pod.metadata.deletionTimestamp === undefined) return;
    const seconds = pod.metadata.deletionGracePeriodSeconds;
    journey.terminate(seconds === undefined ? journey.gracePeriodMs : seconds * 1000);
    if (journey.life === 'finished') this.#own(this.#deleteObject(pod));
  }

  /** The object is not there any more. */
  gone(pod: Pod): void {
    const journey = this.#pods.get(podRef(pod).uid);
    if (journey === undefined) return;
    journey.terminate(FORCED_GRACE_MS);
    this.#own(
      journey.run().then(async () => {
        await journey.remove();
        this.#forget(journey);
      }),
    );
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('The kubelet is closing'));
    for (const journey of this.#pods.values()) {
      journey.terminate(Math.min(journey.gracePeriodMs, SHUTDOWN_GRACE_MS));
    }
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #begin(pod: Pod): PodOnNode {
    const ref = podRef(pod);
    const log = this.#parts.log.child({ pod: `${ref.namespace}/${ref.name}` });
    const onChange = (): void => {
      // the last words of a sandbox that goes down interest nobody, and its API server may be gone
      if (this.#closing.signal.aborted) return;
      this.#parts.statuses.changed(ref, () => journey.status());
    };
    const journey = new PodOnNode(pod, { ...this.#parts, log, onChange }, this.#settings);
    this.#pods.set(ref.uid, journey);
    onChange();
    this.#own(this.#follow(journey));
    return journey;
  }

  async #follow(journey: PodOnNode): Promise<void> {
    await journey.run();
    await this.#parts.statuses.settled(journey.ref);
    if (journey.pod.metadata.deletionTimestamp !== undefined) await this.#deleteObject(journey.pod);
  }

  /** The second half of a graceful deletion: with a grace period of 0 the object goes at once. */
  async #deleteObject(pod: Pod): Promise<void> {
    const { name, namespace, uid } = podRef(pod);
    const { client, clock, log } = this.#parts;
    const delays = backoff(DELETE_RETRY);
    while (!this.#closing.signal.aborted) {
      try {
        await client.delete(PODS, name, namespace, {
          gracePeriodSeconds: 0,
          preconditions: { uid },
        });
        return;
      } catch (error) {
        // gone, or another pod has the name by now
        if (error instanceof KubeError && (error.status === 404 || error.status === 409)) return;
        log.warn('Cannot delete the object of a pod that has ended: trying again', { error });
        await clock.sleep(delays.next(), this.#closing.signal).catch(() => {});
      }
    }
  }

  #forget(journey: PodOnNode): void {
    this.#pods.delete(journey.ref.uid);
    this.#parts.statuses.forget(journey.ref.uid);
  }

  #own(work: Promise<void>): void {
    const running = work
      .catch((error: unknown) => this.#parts.log.error('Work on a pod failed', { error }))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }
}
