// Tells users of what is wrong with their objects: one Event for each new problem, written by the leader, so that
// `kubectl describe` shows it. Called by app.ts after each translation.

import type { KubeObject } from '../../runtime/kubernetes/objects.ts';
import type { Log } from '../../runtime/log.ts';
import type { Problem } from '../../wire/status.ts';
import type { EventWriter } from './events.ts';

export type ProblemParts = {
  readonly log: Log;
  readonly events: EventWriter;
  readonly isLeader: () => boolean;
  /** The object of a problem's `object` text (`Namespace shop`, `Pod shop/web`), if it is still there. */
  readonly find: (
    kind: string,
    namespace: string | undefined,
    name: string,
  ) => KubeObject | undefined;
};

export class ProblemTeller {
  readonly #parts: ProblemParts;
  #told = new Set<string>();

  constructor(parts: ProblemParts) {
    this.#parts = parts;
  }

  tell(problems: readonly Problem[]): void {
    // a new leader tells again: better twice than never
    if (!this.#parts.isLeader()) {
      this.#told.clear();
      return;
    }
    const present = new Set<string>();
    for (const problem of problems) {
      const key = JSON.stringify(problem);
      present.add(key);
      if (!this.#told.has(key)) this.#tellOne(problem);
    }
    // one that is gone and comes back is told anew
    this.#told = present;
  }

  #tellOne({ object, reason, message, remedy }: Problem): void {
    const { log, events, find } = this.#parts;
    log.warn('An object has a problem', { object, reason, why: message, remedy });
    const [kind = '', place = ''] = object.split(' ');
    const [first = '', second] = place.split('/');
    const found = second === undefined ? find(kind, undefined, first) : find(kind, first, second);
    // failed enrolments have their Event from the report, with the agent's own reason
    if (found === undefined || reason === 'EnrolmentFailed') return;
    events.warn({ kind, object: found, reason, message: `${message}. ${remedy}` });
  }
}
