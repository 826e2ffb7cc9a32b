// Whose open connections may have another answer under a new snapshot? Called by app.ts at each update, so that only the
// connections of pods whose own policies, or whose workload, came, went or changed are asked again.

import type { Snapshot } from '../mesh/snapshot.ts';

export type WatchedPod = { readonly podUid: string; readonly workloadUid: string };

export class PolicyWatch {
  #seen: ReadonlyMap<string, readonly unknown[]> = new Map();

  /** The UIDs of those of `pods` (this node's enrolled ones) that are concerned; a pod not seen before is. */
  concerned(snapshot: Snapshot, pods: Iterable<WatchedPod>): Set<string> {
    const now = new Map<string, readonly unknown[]>();
    const concerned = new Set<string>();
    for (const { podUid, workloadUid } of pods) {
      const workload = snapshot.workloadByUid(workloadUid);
      const sources = workload === undefined ? [] : snapshot.policySourcesOf(workload);
      // a workload that is gone, or back, changes the answer without any policy
      const facts = [
        workload !== undefined,
        ...(workload?.authorizationPolicies ?? []),
        ...sources,
      ];
      now.set(podUid, facts);
      if (!sameFacts(this.#seen.get(podUid), facts)) concerned.add(podUid);
    }
    this.#seen = now;
    return concerned;
  }
}

function sameFacts(before: readonly unknown[] | undefined, now: readonly unknown[]): boolean {
  return before?.length === now.length && now.every((fact, index) => fact === before[index]);
}
