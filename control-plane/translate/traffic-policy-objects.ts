// TrafficPolicy as its definition has it (manifests/crds/trafficpolicies.yaml), field by field. Read by the translation.

import type { PriorityClass } from '../../mesh/traffic-policy.ts';
import type { KubeObject } from '../../runtime/kubernetes/objects.ts';

export type TrafficPolicyObject = KubeObject & { readonly spec?: TrafficPolicySpec };

export type TargetRef = {
  readonly group?: string;
  readonly kind: string;
  readonly name: string;
  readonly sectionName?: string;
};

export type MatchSpec = {
  readonly headers?: readonly { readonly name: string; readonly value: string }[];
  readonly source?: {
    readonly namespaces?: readonly string[];
    readonly principals?: readonly string[];
  };
};

export type LoadBalancingSpec = {
  readonly type?: 'LeastRequest' | 'RoundRobin' | 'Random' | 'PeakEWMA' | 'RingHash' | 'Maglev';
  readonly hash?: {
    readonly header?: string;
    readonly cookie?: { readonly name: string; readonly ttl?: string; readonly path?: string };
    readonly sourceIP?: boolean;
    readonly queryParam?: string;
  };
  readonly slowStart?: {
    readonly window: string;
    readonly minWeightPercent?: number;
    readonly aggression?: number;
  };
  readonly locality?: { readonly preference: 'Failover' | 'Strict' | 'None' };
};

export type RetriesSpec = {
  readonly attempts?: number;
  readonly retryOn?: readonly (string | number)[];
  readonly backoff?: { readonly base?: string; readonly max?: string };
  readonly budget?: {
    readonly percent?: number;
    readonly minConcurrency?: number;
    readonly minPerSecond?: number;
  };
  readonly retryNonIdempotent?: boolean;
};

export type HealthChecksSpec = {
  readonly path?: string;
  readonly expectedStatuses?: readonly string[];
  readonly tcp?: object;
  readonly grpc?: { readonly service?: string };
  readonly interval?: string;
  readonly timeout?: string;
  readonly healthyThreshold?: number;
  readonly unhealthyThreshold?: number;
};

export type LimitKeySpec = {
  readonly by?: 'Route' | 'Identity' | 'Header' | 'SourceIP';
  readonly header?: string;
};

export type TrafficPolicySpec = {
  readonly targetRefs?: readonly TargetRef[];
  readonly loadBalancing?: LoadBalancingSpec;
  readonly connectionLimits?: {
    readonly maxConnections?: number;
    readonly maxPendingRequests?: number;
    readonly maxRequests?: number;
    readonly maxConcurrentRetries?: number;
    readonly maxRequestsPerConnection?: number;
  };
  readonly timeouts?: {
    readonly request?: string;
    readonly perTry?: string;
    readonly connect?: string;
    readonly idle?: string;
  };
  readonly retries?: RetriesSpec;
  readonly outlierDetection?: {
    readonly consecutive5xx?: number;
    readonly consecutiveGatewayErrors?: number;
    readonly consecutiveLocalFailures?: number;
    readonly successRate?: {
      readonly minimumHosts?: number;
      readonly requestVolume?: number;
      readonly stdevFactor?: number;
    };
    readonly interval?: string;
    readonly baseEjectionTime?: string;
    readonly maxEjectionPercent?: number;
    readonly minHealthPercent?: number;
  };
  readonly healthChecks?: HealthChecksSpec;
  readonly faults?: readonly {
    readonly match?: MatchSpec;
    readonly percent: number;
    readonly delay?: string;
    readonly abort?: { readonly status?: number; readonly grpcStatus?: number };
  }[];
  readonly rateLimits?: {
    readonly local?: readonly (LimitKeySpec & {
      readonly requests: number;
      readonly per: string;
      readonly burst?: number;
    })[];
    readonly global?: readonly (LimitKeySpec & {
      readonly redis: { readonly name: string; readonly port?: number };
      readonly requests: number;
      readonly per: string;
      readonly onFailure?: 'Allow' | 'Deny';
      readonly timeout?: string;
    })[];
  };
  readonly loadShedding?: {
    readonly minLimit?: number;
    readonly maxLimit?: number;
    readonly minRttWindow?: string;
    readonly priorities?: {
      readonly header?: string;
      readonly rules?: readonly { readonly match?: MatchSpec; readonly class: PriorityClass }[];
    };
  };
  readonly tracing?: { readonly samplingPercent: number };
  readonly hedging?: {
    readonly after?: string;
    readonly percentile?: number;
    readonly maxExtra?: number;
  };
  readonly subsets?: readonly {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
  }[];
};
