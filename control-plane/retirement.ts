// Leaving the mesh without losing a connection: a pod that is no longer wanted keeps its tunnel until every connected
// agent knows to reach it without. Used by app.ts between translating and publishing.

import type { Clock, Timer } from '../runtime/clock.ts';
import type { PlacedEnrolment } from './translate/world.ts';

type Retiring = {
  readonly placed: PlacedEnrolment;
  /** The publication that tells everybody, once it has been made. */
  version: number | undefined;
  readonly deadline: number;
};

// An agent that has not taken an update in this time is broken or gone; the pod's wish must not wait for it.
const MAX_WAIT_MS = 5000;

export class Retirement {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  readonly #retiring = new Map<string, Retiring>();
  #published = new Map<string, PlacedEnrolment>();
  #timer: Timer | undefined;

  /** `onDue` is called when somebody's time is up: translate and publish again. */
  constructor(parts: { readonly clock: Clock; readonly onDue: () => void }) {
    this.#clock = parts.clock;
    this.#onDue = parts.onDue;
  }

  /** What to publish: those that are wanted, and those on their way out whose pods (`alive`, by UID) still run. */
  plan(
    wanted: readonly PlacedEnrolment[],
    alive: (podUid: string) => boolean,
  ): readonly PlacedEnrolment[] {
    const uids = new Set(wanted.map(({ enrolment }) => enrolment.podUid));
    const now = this.#clock.monotonic();
    for (const [podUid, placed] of this.#published) {
      if (uids.has(podUid) || this.#retiring.has(podUid)) continue;
      const deadline = now + MAX_WAIT_MS;
      this.#retiring.set(podUid, { placed, version: undefined, deadline });
    }
    for (const [podUid, { deadline }] of this.#retiring) {
      if (uids.has(podUid) || !alive(podUid) || deadline <= now) this.#retiring.delete(podUid);
    }
    const all = [...wanted, ...[...this.#retiring.values()].map(({ placed }) => placed)];
    this.#published = new Map(all.map((placed) => [placed.enrolment.podUid, placed]));
    if (this.#retiring.size > 0 && this.#timer === undefined) {
      this.#timer = this.#clock.timer(MAX_WAIT_MS, () => {
        this.#timer = undefined;
        this.#onDue();
      });
    }
    return all;
  }

  /** What was planned is now publication `version`. */
  published(version: number): void {
    for (const retiring of this.#retiring.values()) retiring.version ??= version;
  }

  /** Some agent has learnt more: `haveAll(version)` tells whether all of them have all of a version. */
  progress(haveAll: (version: number) => boolean): void {
    let due = false;
    for (const [podUid, { version }] of this.#retiring) {
      if (version === undefined || !haveAll(version)) continue;
      this.#retiring.delete(podUid);
      // no longer published as far as planning is concerned: the next plan leaves it out
      this.#published.delete(podUid);
      due = true;
    }
    if (due) this.#onDue();
  }

  close(): void {
    this.#timer?.cancel();
  }
}
