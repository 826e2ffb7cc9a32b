// Looks after a pod that is in the mesh: is its namespace still the one we know, and its redirection as it was set? Called by
// pod-enrolment.ts, which acts on the answer.

import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { PodCapture, RepairReason } from './capture/capture.ts';
import type { Turns } from './turns.ts';

export type PodWatchParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly turns: Turns;
  /** How soon a new namespace or changed rules are noticed; a look costs a stat and two reads, but no program. */
  readonly watchIntervalMs: number;
  /** Somebody had changed a pod's redirection, and it was put back. */
  readonly repaired: (reason: RepairReason) => void;
};

/**
 * Resolves when `until` aborts, or when the pod's namespace is gone.
 * @throws CaptureError when somebody changed the redirection and it cannot be put back
 */
export async function watchPod(
  parts: PodWatchParts,
  pod: { readonly name: string; readonly capture: PodCapture },
  until: AbortSignal,
): Promise<'over' | 'gone'> {
  for (;;) {
    await parts.clock.sleep(parts.watchIntervalMs, until).catch(() => {});
    if (until.aborted) return 'over';
    if (await pod.capture.vanished()) return 'gone';
    await verify(parts, pod, until);
  }
}

async function verify(
  { turns, log, repaired }: PodWatchParts,
  { name, capture }: { readonly name: string; readonly capture: PodCapture },
  until: AbortSignal,
): Promise<void> {
  let reason: RepairReason | undefined;
  try {
    reason = await turns.run(false, () => capture.verify(), until);
  } catch (error) {
    // it may have gone since we looked, which the next look will tell
    if (until.aborted || (await capture.vanished())) return;
    throw error;
  }
  if (reason === undefined) return;
  repaired(reason);
  log.error(
    'Put back the redirection of a pod: another program had changed it, and connections may have passed by the mesh meanwhile; look for what has CAP_NET_ADMIN in the pod',
    { pod: name, reason },
  );
}
