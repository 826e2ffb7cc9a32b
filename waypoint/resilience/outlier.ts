// Endpoints that fail more than others get no requests for a while. The waypoint records how each try ended, calls
// sweep() once an interval, and asks usable() before it picks. Tells what it did as events, for the log and metrics.
// Invariant: it holds accounts of the service's members only, and never ejects more of them than its policy allows.

import type { OutlierDetection } from '../../mesh/traffic-policy.ts';
import type { Clock } from '../../runtime/clock.ts';
import { successRateOutliers } from './success-rate.ts';

/** How a try ended, as far as it tells something about the endpoint. */
export type TryResult =
  | 'success'
  /** 5xx, but not 502, 503 or 504. */
  | 'server-error'
  | 'gateway-error'
  /** No connection, or a broken one. */
  | 'local-failure';

export type EjectionCause =
  | 'consecutive-5xx'
  | 'consecutive-gateway-errors'
  | 'consecutive-local-failures'
  | 'success-rate';

export type OutlierEvent =
  | {
      readonly kind: 'ejected';
      readonly endpoint: string;
      readonly cause: EjectionCause;
      readonly forMs: number;
    }
  /** It would have been ejected, had not as many been ejected as may be. */
  | { readonly kind: 'spared'; readonly endpoint: string; readonly cause: EjectionCause }
  | { readonly kind: 'returned'; readonly endpoint: string };

type Account = {
  serverErrors: number;
  gatewayErrors: number;
  localFailures: number;
  /** Of this interval, for the success rate. */
  total: number;
  successes: number;
  /** How often lately: each ejection makes the next longer, each good interval shorter. */
  ejections: number;
  /** On the monotonic clock; undefined: it takes requests. */
  until: number | undefined;
};

// Envoy's: an endpoint that fails for hours is looked at again within minutes.
const MAX_EJECTION_MS = 300_000;

export class OutlierDetector {
  #policy: OutlierDetection;
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #accounts = new Map<string, Account>();
  #ejected = 0;

  constructor(policy: OutlierDetection, clock: Pick<Clock, 'monotonic'>) {
    this.#policy = policy;
    this.#clock = clock;
  }

  /** Who is ejected stays so. */
  update(policy: OutlierDetection): void {
    this.#policy = policy;
  }

  /** Exactly these are endpoints of the service now; what is known of others is forgotten. */
  setMembers(endpoints: Iterable<string>): void {
    const members = new Set(endpoints);
    for (const [endpoint, account] of this.#accounts) {
      if (members.has(endpoint)) continue;
      if (account.until !== undefined) this.#ejected--;
      this.#accounts.delete(endpoint);
    }
    for (const endpoint of members) {
      if (!this.#accounts.has(endpoint)) this.#accounts.set(endpoint, emptyAccount());
    }
  }

  /** An endpoint that is no member is passed over: its answer came after it had left. */
  record(endpoint: string, result: TryResult): OutlierEvent | undefined {
    const account = this.#accounts.get(endpoint);
    if (account === undefined) return undefined;
    account.total++;
    const split = this.#policy.consecutiveLocalFailures > 0;
    const isLocal = result === 'local-failure' && split;
    // with a count of their own, local failures say nothing about the answers, and the other way round
    if (isLocal) account.localFailures++;
    else account.localFailures = 0;
    if (result === 'success') {
      account.successes++;
      account.serverErrors = 0;
      account.gatewayErrors = 0;
    } else if (!isLocal) {
      account.serverErrors++;
      account.gatewayErrors = result === 'server-error' ? 0 : account.gatewayErrors + 1;
    }
    const cause = this.#causeIn(account);
    return cause === undefined ? undefined : this.#eject(endpoint, account, cause);
  }

  /** To be called once every `intervalMs`. */
  sweep(): readonly OutlierEvent[] {
    const events: OutlierEvent[] = [];
    const now = this.#clock.monotonic();
    for (const [endpoint, account] of this.#accounts) {
      if (account.until !== undefined) {
        if (account.until > now) continue;
        this.#return(account);
        events.push({ kind: 'returned', endpoint });
      } else if (account.ejections > 0) {
        account.ejections--;
      }
    }
    events.push(...this.#judgeSuccessRates());
    return events;
  }

  isEjected(endpoint: string): boolean {
    return this.#accounts.get(endpoint)?.until !== undefined;
  }

  /** Those that are not ejected; all of them when too few would be left: then the fault is hardly theirs. */
  usable<T>(candidates: readonly T[], endpointOf: (candidate: T) => string): readonly T[] {
    if (this.#ejected === 0) return candidates;
    const left = (this.#accounts.size - this.#ejected) / this.#accounts.size;
    if (left * 100 < this.#policy.minHealthPercent) return candidates;
    const usable = candidates.filter((candidate) => !this.isEjected(endpointOf(candidate)));
    return usable.length > 0 ? usable : candidates;
  }

  #causeIn(account: Account): EjectionCause | undefined {
    const { consecutive5xx, consecutiveGatewayErrors, consecutiveLocalFailures } = this.#policy;
    if (reached(account.gatewayErrors, consecutiveGatewayErrors)) {
      return 'consecutive-gateway-errors';
    }
    if (reached(account.serverErrors, consecutive5xx)) return 'consecutive-5xx';
    return reached(account.localFailures, consecutiveLocalFailures)
      ? 'consecutive-local-failures'
      : undefined;
  }

  #judgeSuccessRates(): readonly OutlierEvent[] {
    const { successRate } = this.#policy;
    const rates = [...this.#accounts]
      .filter(([, { until }]) => until === undefined)
      .map(([endpoint, { total, successes }]) => ({ endpoint, total, successes }));
    const outliers = successRate === undefined ? [] : successRateOutliers(rates, successRate);
    const events = outliers.flatMap((endpoint) => {
      const account = this.#accounts.get(endpoint);
      return account === undefined ? [] : [this.#eject(endpoint, account, 'success-rate')];
    });
    for (const account of this.#accounts.values()) {
      account.total = 0;
      account.successes = 0;
    }
    return events.filter((event) => event !== undefined);
  }

  #eject(endpoint: string, account: Account, cause: EjectionCause): OutlierEvent | undefined {
    // an answer to what was sent before the ejection
    if (account.until !== undefined) return undefined;
    clearCounts(account);
    if (this.#ejected >= this.#mostEjected()) return { kind: 'spared', endpoint, cause };
    account.ejections++;
    const { baseEjectionMs } = this.#policy;
    const forMs = Math.min(
      baseEjectionMs * account.ejections,
      Math.max(baseEjectionMs, MAX_EJECTION_MS),
    );
    account.until = this.#clock.monotonic() + forMs;
    this.#ejected++;
    return { kind: 'ejected', endpoint, cause, forMs };
  }

  /** One in any case, as in Envoy: of three endpoints ten percent would be none. */
  #mostEjected(): number {
    const { maxEjectionPercent } = this.#policy;
    if (maxEjectionPercent === 0) return 0;
    return Math.max(1, Math.floor((this.#accounts.size * maxEjectionPercent) / 100));
  }

  #return(account: Account): void {
    account.until = undefined;
    clearCounts(account);
    this.#ejected--;
  }
}

function emptyAccount(): Account {
  return {
    serverErrors: 0,
    gatewayErrors: 0,
    localFailures: 0,
    total: 0,
    successes: 0,
    ejections: 0,
    until: undefined,
  };
}

/** What led to an ejection does not lead to the next one. */
function clearCounts(account: Account): void {
  account.serverErrors = 0;
  account.gatewayErrors = 0;
  account.localFailures = 0;
}

function reached(count: number, threshold: number): boolean {
  return threshold > 0 && count >= threshold;
}

/** What a try tells; `status` is undefined where there was no response head, by a failure of the connection. */
export function tryResultOf(status: number | undefined, grpcStatus?: number): TryResult {
  if (status === undefined) return 'local-failure';
  // as Envoy takes gRPC: UNAVAILABLE is 503; these others are the server's own faults
  if (status === 200 && grpcStatus !== undefined) {
    if (grpcStatus === 14 || grpcStatus === 4) return 'gateway-error';
    return GRPC_SERVER_ERRORS.has(grpcStatus) ? 'server-error' : 'success';
  }
  if (status === 502 || status === 503 || status === 504) return 'gateway-error';
  return status >= 500 ? 'server-error' : 'success';
}

/** UNKNOWN, UNIMPLEMENTED, INTERNAL, DATA_LOSS: what maps to 500 or 501. */
const GRPC_SERVER_ERRORS: ReadonlySet<number> = new Set([2, 12, 13, 15]);
