// Active health checks: each endpoint of a service is probed at an interval, and takes no requests after so many failures
// until so many successes. The probe itself is passed in. Owned by the waypoint, which calls setMembers() with each
// snapshot and close() at the end. Invariant: at most one probe of an endpoint at a time, MAX_PROBES of all, and no
// account of an endpoint that is no member.

import type { HealthChecks } from '../../mesh/traffic-policy.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';

export type HealthState =
  /** Until the first probe has ended; it takes requests: Kubernetes says that it is ready. */
  | { readonly kind: 'unknown'; readonly failures: number }
  | { readonly kind: 'healthy'; readonly failures: number }
  | { readonly kind: 'unhealthy'; readonly successes: number };

export type HealthEvent = { readonly endpoint: string; readonly healthy: boolean };

export type HealthParts = {
  readonly clock: Pick<Clock, 'timer'>;
  /** 0 <= random() < 1. */
  readonly random: () => number;
  /** True: healthy. What it throws counts as a failure; the signal ends it at the timeout and at close(). */
  readonly probe: (endpoint: string, signal: AbortSignal) => Promise<boolean>;
  /** Told of each change; not of the first success. */
  readonly emit: (event: HealthEvent) => void;
};

// of one service: a probe costs a connection
const MAX_PROBES = 64;

/** One result; pure. */
export function nextHealth(
  state: HealthState,
  success: boolean,
  { healthyThreshold, unhealthyThreshold }: HealthChecks,
): HealthState {
  if (state.kind === 'unhealthy') {
    const successes = success ? state.successes + 1 : 0;
    return successes >= healthyThreshold
      ? { kind: 'healthy', failures: 0 }
      : { kind: 'unhealthy', successes };
  }
  if (success) return { kind: 'healthy', failures: 0 };
  const failures = state.failures + 1;
  return failures >= unhealthyThreshold
    ? { kind: 'unhealthy', successes: 0 }
    : { kind: state.kind, failures };
}

type Member = {
  state: HealthState;
  /** Of the next probe, or of the one under way. */
  timer: Timer | undefined;
  /** Under way. */
  abort: AbortController | undefined;
};

export class HealthChecker {
  readonly #checks: HealthChecks;
  readonly #parts: HealthParts;
  readonly #members = new Map<string, Member>();
  /** Due, but MAX_PROBES are under way. */
  readonly #waiting = new Set<string>();
  #probes = 0;

  /** Other checks are another checker: results of one probe say nothing of another. */
  constructor(checks: HealthChecks, parts: HealthParts) {
    this.#checks = checks;
    this.#parts = parts;
  }

  setMembers(endpoints: Iterable<string>): void {
    const members = new Set(endpoints);
    for (const [endpoint, member] of this.#members) {
      if (members.has(endpoint)) continue;
      this.#members.delete(endpoint);
      this.#waiting.delete(endpoint);
      end(member);
    }
    for (const endpoint of members) {
      if (this.#members.has(endpoint)) continue;
      const member: Member = {
        state: { kind: 'unknown', failures: 0 },
        timer: undefined,
        abort: undefined,
      };
      this.#members.set(endpoint, member);
      // spread over the interval: a hundred endpoints are not probed at one moment
      this.#schedule(endpoint, member, this.#parts.random() * this.#checks.intervalMs);
    }
  }

  isHealthy(endpoint: string): boolean {
    return this.#members.get(endpoint)?.state.kind !== 'unhealthy';
  }

  close(): void {
    this.setMembers([]);
  }

  #schedule(endpoint: string, member: Member, waitMs: number): void {
    member.timer = this.#parts.clock.timer(waitMs, () => this.#due(endpoint, member));
  }

  #due(endpoint: string, member: Member): void {
    member.timer = undefined;
    if (this.#probes >= MAX_PROBES) {
      this.#waiting.add(endpoint);
      return;
    }
    this.#probes++;
    const abort = new AbortController();
    member.abort = abort;
    let open = true;
    const ended = (success: boolean): void => {
      if (!open) return;
      open = false;
      this.#probes--;
      this.#nextWaiting();
      // it left meanwhile, and may have come again as another member
      if (this.#members.get(endpoint) !== member) return;
      member.timer?.cancel();
      member.abort = undefined;
      this.#step(endpoint, member, success);
      this.#schedule(endpoint, member, this.#checks.intervalMs);
    };
    abort.signal.addEventListener('abort', () => ended(false), { once: true });
    member.timer = this.#parts.clock.timer(this.#checks.timeoutMs, () => {
      abort.abort(new Error(`The health check of ${endpoint} took too long`));
    });
    this.#parts.probe(endpoint, abort.signal).then(ended, () => ended(false));
  }

  #step(endpoint: string, member: Member, success: boolean): void {
    const before = member.state.kind;
    member.state = nextHealth(member.state, success, this.#checks);
    const after = member.state.kind;
    if (before === after || (before === 'unknown' && after === 'healthy')) return;
    this.#parts.emit({ endpoint, healthy: after === 'healthy' });
  }

  #nextWaiting(): void {
    const [endpoint] = this.#waiting;
    const member = endpoint === undefined ? undefined : this.#members.get(endpoint);
    if (endpoint === undefined || member === undefined) return;
    this.#waiting.delete(endpoint);
    this.#due(endpoint, member);
  }
}

function end(member: Member): void {
  member.timer?.cancel();
  member.abort?.abort(new Error('The endpoint is checked no more'));
}
