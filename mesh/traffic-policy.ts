// TrafficPolicy: what a user wrote about how requests to a service or of a route are spread, limited, tried again and
// cut off, with every reference resolved. Made by the control plane, carried by discovery, read by waypoints.
// Invariant: a section that is there is whole; one that is not comes from a less specific policy, at last from
// traffic-defaults.ts.

import type { SourceMatch } from './route.ts';

/** What a policy is attached to. */
export type TrafficTarget =
  | {
      readonly kind: 'service';
      /** `namespace/hostname`, as Service keys are. */
      readonly service: string;
      /** undefined: every port of the service. */
      readonly port: number | undefined;
    }
  | {
      readonly kind: 'route';
      /** As routeKey() says it. */
      readonly route: string;
      /** Name of one of its rules; undefined: all of them. */
      readonly rule: string | undefined;
    };

export type TrafficPolicy = {
  readonly namespace: string;
  readonly name: string;
  /** Those it holds for: where an older policy holds, it is left out. */
  readonly targets: readonly TrafficTarget[];
  /** The sections its author wrote. */
  readonly settings: Partial<TrafficSettings>;
};

export type TrafficSettings = {
  readonly loadBalancing: RequestBalancing;
  readonly connectionLimits: ConnectionLimits;
  readonly timeouts: Timeouts;
  readonly retries: RetryPolicy;
  readonly outlierDetection: OutlierDetection | undefined;
  readonly healthChecks: HealthChecks | undefined;
  readonly faults: readonly Fault[];
  readonly rateLimits: RateLimits;
  readonly loadShedding: LoadShedding | undefined;
  readonly hedging: Hedging | undefined;
  readonly subsets: readonly Subset[];
  /** Of requests to the service; a route's word comes too late for it. */
  readonly tracing: TraceSampling | undefined;
};

export type RequestBalancing = {
  readonly algorithm:
    | 'least-request'
    | 'round-robin'
    | 'random'
    | 'peak-ewma'
    | 'ring-hash'
    | 'maglev';
  /** What ring-hash and maglev go by; undefined, or absent from a request: any endpoint. */
  readonly hash: HashSource | undefined;
  /** Not for ring-hash and maglev: a table that moves with time would keep nobody in place. */
  readonly slowStart: SlowStart | undefined;
  /** `inherit`: what the Service's own fields and annotations say. */
  readonly locality: 'inherit' | 'failover' | 'strict' | 'none';
};

export type HashSource =
  /** By lower-case name. */
  | { readonly by: 'header'; readonly name: string }
  | {
      readonly by: 'cookie';
      readonly name: string;
      /** A client without the cookie is given one that lives so long; 0: until it forgets; undefined: none is given. */
      readonly ttlMs: number | undefined;
      readonly path: string | undefined;
    }
  | { readonly by: 'source-ip' }
  | { readonly by: 'query'; readonly name: string };

export type SlowStart = {
  readonly windowMs: number;
  readonly minWeightPercent: number;
  /** 1: linear; larger: fast at first, then slower. */
  readonly aggression: number;
};

/** Of one waypoint to one service. */
export type ConnectionLimits = {
  readonly maxConnections: number;
  /** Requests that wait for a connection. */
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  readonly maxConcurrentRetries: number;
  /** 0: no limit. */
  readonly maxRequestsPerConnection: number;
};

export type Timeouts = {
  /** Of a request with all its tries, waits included; undefined: none. */
  readonly requestMs: number | undefined;
  /** Of one try; undefined: what is left of the request's. */
  readonly perTryMs: number | undefined;
  readonly connectMs: number;
  /** Of a connection without requests. */
  readonly idleMs: number;
};

/** The field's words for what may be tried again, and `connection-lost`; the last five are gRPC statuses. */
export type RetryCondition =
  | '5xx'
  | 'gateway-error'
  | 'connect-failure'
  /** It broke before an answer: a `reset` without those that only took too long. */
  | 'connection-lost'
  | 'reset'
  | 'refused-stream'
  | 'retriable-4xx'
  | 'unavailable'
  | 'cancelled'
  | 'resource-exhausted'
  | 'deadline-exceeded'
  | 'internal';

export type RetryPolicy = {
  /** Tries after the first; 0: none. */
  readonly attempts: number;
  readonly on: readonly RetryCondition[];
  /** HTTP status codes besides. */
  readonly codes: readonly number[];
  readonly backoff: RetryBackoff;
  readonly budget: RetryBudgetPolicy;
  /** Also where the upstream may have acted upon the first try of a method that is not idempotent (RFC 9110 9.2.2). */
  readonly retryNonIdempotent: boolean;
};

/** Between `minMs` and a bound that begins at `baseMs` and doubles up to `maxMs`: full jitter. */
export type RetryBackoff = {
  readonly minMs: number;
  readonly baseMs: number;
  readonly maxMs: number;
};

/** Retries may be `percent` of requests, and in any case so many as `floor` says. */
export type RetryBudgetPolicy = {
  readonly percent: number;
  readonly floor: /** At once; the percentage is of requests under way. */
    | { readonly by: 'concurrency'; readonly minConcurrency: number }
    /** A second; the percentage is of the requests of the last ten seconds. */
    | { readonly by: 'rate'; readonly minPerSecond: number };
};

/** A count of 0 is off. */
export type OutlierDetection = {
  readonly consecutive5xx: number;
  /** 502, 503 and 504 only. */
  readonly consecutiveGatewayErrors: number;
  /** Connections that fail or break; without a count of their own they count as gateway errors. */
  readonly consecutiveLocalFailures: number;
  readonly successRate: SuccessRate | undefined;
  readonly intervalMs: number;
  /** Times how often the endpoint was ejected. */
  readonly baseEjectionMs: number;
  readonly maxEjectionPercent: number;
  /** With fewer endpoints than this left, ejections are passed over; 0: never. */
  readonly minHealthPercent: number;
};

export type SuccessRate = {
  readonly minimumHosts: number;
  /** An endpoint with fewer requests in an interval is not judged. */
  readonly requestVolume: number;
  /** Thousandths of a standard deviation below the mean. */
  readonly stdevFactor: number;
};

export type HealthChecks = {
  readonly probe:
    | {
        readonly kind: 'http';
        readonly path: string;
        /** Ranges, both ends included. */
        readonly expectedStatuses: readonly (readonly [first: number, last: number])[];
      }
    | { readonly kind: 'tcp' }
    /** grpc.health.v1; an empty name asks for the server as a whole. */
    | { readonly kind: 'grpc'; readonly service: string };
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
};

/** All of it; what is empty matches every request. */
export type TrafficMatch = {
  /** By lower-case name, with exactly this value. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly source: SourceMatch;
};

export type Fault = {
  readonly match: TrafficMatch;
  /** Of the requests that match; fractions count. */
  readonly percent: number;
  readonly action:
    | { readonly kind: 'delay'; readonly delayMs: number }
    | { readonly kind: 'abort'; readonly status: number }
    | { readonly kind: 'abort-grpc'; readonly grpcStatus: number };
};

/** What requests are counted by. */
export type LimitKey =
  /** All of them together, where the policy holds. */
  | { readonly by: 'route' }
  | { readonly by: 'identity' }
  /** By lower-case name. */
  | { readonly by: 'header'; readonly name: string }
  | { readonly by: 'source-ip' };

export type RateLimits = {
  /** In each waypoint for itself. */
  readonly local: readonly LocalRateLimit[];
  /** Among all waypoints that ask the same Redis. */
  readonly global: readonly GlobalRateLimit[];
};

export type LocalRateLimit = {
  readonly requests: number;
  readonly perMs: number;
  /** How many may come at once. */
  readonly burst: number;
  readonly key: LimitKey;
};

export type GlobalRateLimit = {
  readonly redis: { readonly service: string; readonly port: number };
  readonly requests: number;
  readonly perMs: number;
  readonly key: LimitKey;
  /** While Redis does not answer in `timeoutMs`. */
  readonly onFailure: 'allow' | 'deny';
  readonly timeoutMs: number;
};

export type PriorityClass = 'critical' | 'default' | 'best-effort';

export type LoadShedding = {
  /** Requests at once, as the controller may set it. */
  readonly minLimit: number;
  readonly maxLimit: number;
  /** How often the round trip without load is measured anew. */
  readonly minRttWindowMs: number;
  readonly priorities: {
    /** A header whose value names the class, by lower-case name; it comes before the rules. */
    readonly header: string | undefined;
    /** The first that matches. */
    readonly rules: readonly { readonly match: TrafficMatch; readonly class: PriorityClass }[];
  };
};

/** Sends the request once more while the first has not answered; the first answer counts. Idempotent methods only. */
export type Hedging = {
  readonly after:
    | { readonly by: 'time'; readonly ms: number }
    /** Of the latencies seen lately. */
    | { readonly by: 'percentile'; readonly percentile: number };
  readonly maxExtra: number;
};

/** Of the traces that begin at the waypoint, the part that is recorded: 0 to 1. */
export type TraceSampling = { readonly sampling: number };

export type Subset = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** UIDs of the service's workloads with these labels, sorted. */
  readonly workloads: readonly string[];
};

/** `namespace/name`: what it is called in discovery. */
export function trafficPolicyKey(policy: Pick<TrafficPolicy, 'namespace' | 'name'>): string {
  return `${policy.namespace}/${policy.name}`;
}
