// Does a new snapshot change what open connections were allowed by? Called by app.ts at each update, so that the open
// connections are asked again only when policy, or one of this node's own workloads, is another object than before.

import type { Snapshot } from '../mesh/snapshot.ts';

export class PolicyWatch {
  #seen: readonly unknown[] = [];

  /** `workloadUids` are those of this node's enrolled pods. */
  changed(snapshot: Snapshot, workloadUids: Iterable<string>): boolean {
    const own = [...workloadUids].map((uid) => snapshot.workloadByUid(uid));
    const now = [...snapshot.policies(), ...own];
    const before = this.#seen;
    this.#seen = now;
    return now.length !== before.length || now.some((value, index) => value !== before[index]);
  }
}
