// Which pods of this node are in the mesh. Called by app.ts with what the control plane wants. Invariant: one pod's trouble
// is that pod's only.

import type { Enrolment } from '../mesh/enrolment.ts';
import { aborted } from '../runtime/aborted.ts';
import type { EnrolmentParts, PodState } from './enrolment-parts.ts';
import type { LocalPod } from './local-pod.ts';
import { PodEnrolment } from './pod-enrolment.ts';
import { Turns } from './turns.ts';

/** Programs run in pods at once; each takes some 10 ms of one core. */
const MAX_CAPTURING = 8;
export class Enrolments {
  readonly #parts: EnrolmentParts;
  readonly #turns = new Turns({ limit: MAX_CAPTURING });
  readonly #pods = new Map<string, PodEnrolment>();
  /** Resolves with the next pod that is added. */
  #added = Promise.withResolvers<void>();

  constructor(parts: EnrolmentParts) {
    this.#parts = parts;
  }

  /** What shall be enrolled from now on; pods that are not named any more leave. */
  apply(wanted: Iterable<Enrolment>): void {
    const names = new Set<string>();
    for (const enrolment of wanted) {
      names.add(enrolment.podUid);
      const pod = this.#pods.get(enrolment.podUid) ?? this.#add(enrolment);
      pod.want(enrolment);
    }
    for (const [podUid, pod] of this.#pods) if (!names.has(podUid)) pod.want(undefined);
  }

  /** The pod the data path knows by this UID, while it is here. */
  local(podUid: string): LocalPod | undefined {
    return this.#pods.get(podUid)?.local;
  }

  /** The pod has started, or its namespace was made anew: it is looked at now and not at the next interval. */
  lookAgain(podUid: string): void {
    const pod = this.#pods.get(podUid);
    if (pod?.state === 'waiting' || pod?.state === 'failed') pod.lookAgain();
  }

  /** The pod's network namespace is another one than before. */
  renewed(podUid: string): void {
    this.#pods.get(podUid)?.renewed();
  }

  state(podUid: string): PodState | undefined {
    return this.#pods.get(podUid)?.state;
  }

  /** Whether the pod is enrolled, as soon as it is; false when it is not by the time `signal` is aborted. */
  async enabled(podUid: string, signal: AbortSignal): Promise<boolean> {
    for (;;) {
      const pod = this.#pods.get(podUid);
      if (pod?.state === 'enabled') return true;
      if (signal.aborted) return false;
      await Promise.race([pod?.moved ?? this.#added.promise, aborted(signal)]);
    }
  }

  *pods(): IterableIterator<{ enrolment: Enrolment; state: PodState }> {
    for (const pod of this.#pods.values()) yield { enrolment: pod.enrolment, state: pod.state };
  }

  /** Resolves when every pod that is wanted now has been tried once. */
  async settled(): Promise<void> {
    await Promise.all([...this.#pods.values()].map((pod) => pod.tried));
  }

  /** The agent stops: doors close, tunnels drain; rules stay, so that the pods fail closed until the next agent. */
  async drain(): Promise<void> {
    await Promise.all([...this.#pods.values()].map((pod) => pod.drain()));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pods.values()].map((pod) => pod.close()));
  }

  #add(enrolment: Enrolment): PodEnrolment {
    const pod = new PodEnrolment(this.#parts, this.#turns, enrolment, () => {
      if (this.#pods.get(enrolment.podUid) === pod) this.#pods.delete(enrolment.podUid);
      this.#parts.enclosures.reconsider();
    });
    this.#pods.set(enrolment.podUid, pod);
    this.#added.resolve();
    this.#added = Promise.withResolvers<void>();
    return pod;
  }
}
