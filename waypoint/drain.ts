// The end of a waypoint's work, so that nobody notices: it says that it leaves and serves on while the mesh hears of it;
// then its doors close, and what is open may finish until the deadline. Called by app.ts when it stops.
// Invariant: a connection that is kept learns with an answer that it ends, it is not closed under a request.

import type { Clock } from '../runtime/clock.ts';

export type Draining = {
  readonly clock: Clock;
  /** `drain`: answers from now on are the last ones of their connections; `closeResting`: ends those without a request. */
  readonly http: readonly { drain(): void; closeResting(): void }[];
  /** Takes no more connections. */
  readonly shut: () => void;
  /** Resolves when those that are open have ended. */
  readonly ended: () => Promise<unknown>;
  /** Ends them at once. */
  readonly cut: () => void;
};

export type DrainLimits = {
  /** From SIGTERM on: agents have to hear that this replica goes, and whoever has not must not be refused. */
  readonly noticeMs: number;
  readonly deadlineMs: number;
};

/** A kept connection that rests so long after the notice will hardly be used in the very moment it is closed. */
const REST_MS = 2000;

export async function drain(parts: Draining, limits: DrainLimits): Promise<void> {
  const { clock, http, shut, ended, cut } = parts;
  const { noticeMs, deadlineMs } = limits;
  const deadline = clock.timer(deadlineMs, cut);
  for (const server of http) server.drain();
  await clock.sleep(Math.min(noticeMs, deadlineMs));
  shut();
  const rest = clock.timer(REST_MS, () => {
    for (const server of http) server.closeResting();
  });
  await ended();
  rest.cancel();
  deadline.cancel();
}
