// Turns bursts of changes into few runs: after a little quiet, but never later than a limit. Used between the informers
// and the translation, so that a rollout of a thousand pods is some versions, not a thousand.

import type { Clock, Timer } from '../runtime/clock.ts';

export type Batch = {
  /** Something changed: run soon. */
  poke(): void;
  close(): void;
};

export function batch(
  parts: { readonly clock: Clock; readonly run: () => void },
  settings: { readonly quietMs: number; readonly maxMs: number },
): Batch {
  const { clock, run } = parts;
  let firstAt: number | undefined;
  let timer: Timer | undefined;
  const fire = (): void => {
    firstAt = undefined;
    timer = undefined;
    run();
  };
  return {
    poke() {
      const now = clock.monotonic();
      firstAt ??= now;
      timer?.cancel();
      const wait = Math.min(settings.quietMs, firstAt + settings.maxMs - now);
      timer = clock.timer(Math.max(0, wait), fire);
    },
    close() {
      timer?.cancel();
      timer = undefined;
    },
  };
}
