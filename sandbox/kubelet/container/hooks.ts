// A container's lifecycle hooks (postStart, preStop), run once each. Called by container.ts, which decides what a failed
// hook means. Never throws.

import type { Clock } from '../../../runtime/clock.ts';
import type { LifecycleAction } from '../pod/pod-spec.ts';
import { httpGet, type ProbeResult, type ProbeTarget } from '../probes/probe-actions.ts';
import { runInContainer } from './container-exec.ts';

export async function runHook(
  hook: LifecycleAction,
  target: ProbeTarget,
  clock: Clock,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    if (hook.exec !== undefined) {
      const { code, output } = await runInContainer(target.exec, hook.exec.command ?? [], signal);
      if (code === 0) return { ok: true };
      return {
        ok: false,
        reason: `command exited with ${code}${output === '' ? '' : `: ${output}`}`,
      };
    }
    if (hook.httpGet !== undefined) return await httpGet(hook.httpGet, target, signal);
    if (hook.sleep !== undefined) await clock.sleep(hook.sleep.seconds * 1000, signal);
    return { ok: true };
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
}
