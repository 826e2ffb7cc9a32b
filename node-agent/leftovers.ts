// Pods that were let go while no agent ran still have their redirection, so that their connections fail. Called by app.ts
// once discovery is in sync. Another agent may be draining beside us: its open connections must not be hurt.

import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { CaptureDriver, Leftover } from './capture/capture.ts';

/**
 * Lets their new connections pass at once, and takes all traces away after `graceMs`, when an agent that was draining
 * beside us has ended too. `wanted` gives the UIDs of the pods that are enrolled, at any time.
 */
export async function sweepLeftovers(
  parts: { readonly capture: CaptureDriver; readonly clock: Clock; readonly log: Log },
  settings: { readonly wanted: () => ReadonlySet<string>; readonly graceMs: number },
  signal: AbortSignal,
): Promise<void> {
  const { capture, clock, log } = parts;
  let leftovers: readonly Leftover[] = [];
  try {
    leftovers = await capture.leftovers(settings.wanted());
    for (const leftover of leftovers) {
      log.info('Letting go of a pod that left while no agent ran', { podUid: leftover.podUid });
      await leftover.release();
    }
    if (leftovers.length === 0) return;
    await clock.sleep(settings.graceMs, signal);
    for (const leftover of leftovers) {
      if (!settings.wanted().has(leftover.podUid)) await leftover.remove();
    }
  } catch (error) {
    if (!signal.aborted) log.warn('Cannot clean up after another agent', { error });
  } finally {
    await Promise.all(leftovers.map((leftover) => leftover.close()));
  }
}
