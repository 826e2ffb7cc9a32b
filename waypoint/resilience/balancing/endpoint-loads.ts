// How busy each endpoint is as seen from here: requests under way, and the latency to expect. Fed by the waypoint with the
// beginning and end of each try, read by least-request and peak-ewma. Invariant: latencies are kept of members only, and
// of others no more than what is under way.

import type { Clock } from '../../../runtime/clock.ts';

/** Ends what begin() began; once. `latencyMs`: until the response's head; undefined: there was none. */
export type EndTry = (latencyMs: number | undefined) => void;

type Latency = { ms: number; at: number };

// Finagle's: what was seen ten seconds ago counts for a third.
const DECAY_MS = 10_000;

export class EndpointLoads {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #active = new Map<string, number>();
  readonly #latencies = new Map<string, Latency>();
  #members: ReadonlySet<string> = new Set();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  setMembers(endpoints: Iterable<string>): void {
    this.#members = new Set(endpoints);
    for (const endpoint of this.#latencies.keys()) {
      if (!this.#members.has(endpoint)) this.#latencies.delete(endpoint);
    }
  }

  begin(endpoint: string): EndTry {
    this.#active.set(endpoint, this.active(endpoint) + 1);
    let open = true;
    return (latencyMs) => {
      if (!open) return;
      open = false;
      const left = this.active(endpoint) - 1;
      if (left > 0) this.#active.set(endpoint, left);
      else this.#active.delete(endpoint);
      if (latencyMs !== undefined && this.#members.has(endpoint)) this.#saw(endpoint, latencyMs);
    };
  }

  active(endpoint: string): number {
    return this.#active.get(endpoint) ?? 0;
  }

  /**
   * Requests under way, times what each is expected to take. An endpoint nobody knows is free at first, so that it is
   * tried; with its first request under way it costs more than any known one, until it has answered.
   */
  cost(endpoint: string): number {
    const active = this.active(endpoint);
    const latency = this.#latencies.get(endpoint);
    if (latency === undefined) return active === 0 ? 0 : Number.MAX_SAFE_INTEGER * active;
    return this.#decayed(latency, 0) * (active + 1);
  }

  #saw(endpoint: string, ms: number): void {
    const before = this.#latencies.get(endpoint);
    // a peak counts at once: it is the sign of trouble that others must be spared; better times are believed slowly
    const now = before === undefined || ms > before.ms ? ms : this.#decayed(before, ms);
    this.#latencies.set(endpoint, { ms: now, at: this.#clock.monotonic() });
  }

  #decayed({ ms, at }: Latency, towards: number): number {
    const kept = Math.exp((at - this.#clock.monotonic()) / DECAY_MS);
    return ms * kept + towards * (1 - kept);
  }
}
