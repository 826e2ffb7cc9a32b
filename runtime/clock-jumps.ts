// Notices that the machine's clock was set, or that the machine slept: timers run by monotonic time and would come at the
// wrong hour. Used by whoever keeps appointments by wall clock, certificates above all.

import type { Clock, Timer } from './clock.ts';

/** A look costs two readings of the clock; an appointment is late by this at most. */
const LOOK_MS = 10_000;
/** Time daemons slew by less than a millisecond a second; what is more was set by somebody. */
const JUMP_MS = 2000;

/** Calls `onJump` with how far the clock went, in ms (back is negative), until closed. */
export function watchClock(clock: Clock, onJump: (byMs: number) => void): { close(): void } {
  let offset = clock.now() - clock.monotonic();
  let timer: Timer;
  const look = (): void => {
    const present = clock.now() - clock.monotonic();
    const jumped = present - offset;
    offset = present;
    timer = clock.timer(LOOK_MS, look);
    if (Math.abs(jumped) > JUMP_MS) onJump(jumped);
  };
  timer = clock.timer(LOOK_MS, look);
  return { close: () => timer.cancel() };
}
