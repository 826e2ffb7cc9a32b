// Waits for the workload of a pod whose connections are already captured: discovery may be a moment behind enrolment.
// Called by journeys.ts for outbound.ts.

import { MeshError } from '../mesh/failures.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import type { Clock } from '../runtime/clock.ts';

/** As long as the reference waits: discovery answers in milliseconds, or not at all. */
const WAIT_MS = 5000;

export type SnapshotSource = {
  snapshot(): Snapshot;
  subscribe(listener: (snapshot: Snapshot) => void): () => void;
};

/** @throws MeshError SOURCE_UNKNOWN */
export function knownSource(
  parts: { readonly clock: Clock; readonly discovery: SnapshotSource },
  workloadUid: string,
): Promise<{ source: Workload; snapshot: Snapshot }> {
  const look = (snapshot: Snapshot): { source: Workload; snapshot: Snapshot } | undefined => {
    const source = snapshot.workloadByUid(workloadUid);
    return source === undefined ? undefined : { source, snapshot };
  };
  const now = look(parts.discovery.snapshot());
  if (now !== undefined) return Promise.resolve(now);
  return new Promise((resolve, reject) => {
    const timer = parts.clock.timer(WAIT_MS, () => {
      unsubscribe();
      const message = `Cannot carry a connection of ${workloadUid}: the workload is not known after ${WAIT_MS / 1000} s`;
      reject(new MeshError('SOURCE_UNKNOWN', message));
    });
    const unsubscribe = parts.discovery.subscribe((snapshot) => {
      const found = look(snapshot);
      if (found === undefined) return;
      timer.cancel();
      unsubscribe();
      resolve(found);
    });
  });
}
