// What holds for traffic that no TrafficPolicy speaks of, and how policies of several targets come together. Called by
// waypoints, once for each route and backend of a snapshot. Invariant: a section is taken whole from the most specific
// policy that has it.

import type { LocalityScope, Service } from './service.ts';
import type {
  RequestBalancing,
  TrafficPolicy,
  TrafficSettings,
  TrafficTarget,
} from './traffic-policy.ts';

/** What Envoy and Istio take for "no limit". */
export const UNLIMITED = 2 ** 32 - 1;

/** The defaults of Istio, except where a comment says otherwise. */
export const DEFAULT_TRAFFIC_POLICY: TrafficSettings = {
  loadBalancing: {
    algorithm: 'least-request',
    hash: undefined,
    slowStart: undefined,
    locality: 'inherit',
  },
  connectionLimits: {
    maxConnections: UNLIMITED,
    // Envoy's own: a queue without a bound would be filled until memory ends
    maxPendingRequests: 1024,
    maxRequests: UNLIMITED,
    maxConcurrentRetries: UNLIMITED,
    maxRequestsPerConnection: 0,
  },
  timeouts: {
    requestMs: undefined,
    perTryMs: undefined,
    connectMs: 10_000,
    idleMs: 3_600_000,
  },
  retries: {
    attempts: 2,
    // the last two only where the method is idempotent, as the upstream may have acted before; Istio leaves out lost
    // connections, and so loses what was under way in a pod that dies
    on: ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', 'connection-lost'],
    codes: [503],
    backoff: { minMs: 0, baseMs: 25, maxMs: 250 },
    // on without being asked for: retries without one multiply an outage
    budget: { percent: 20, floor: { by: 'concurrency', minConcurrency: 3 } },
    retryNonIdempotent: false,
  },
  outlierDetection: undefined,
  healthChecks: undefined,
  faults: [],
  rateLimits: { local: [], global: [] },
  loadShedding: undefined,
  hedging: undefined,
  subsets: [],
  tracing: undefined,
};

/** `settings`, the most specific first, over the defaults. */
export function layered(settings: readonly Partial<TrafficSettings>[]): TrafficSettings {
  return settings.reduceRight<TrafficSettings>(
    (under, over) => ({ ...under, ...over }),
    DEFAULT_TRAFFIC_POLICY,
  );
}

/** A request's place: the service and port it goes to, and the rule that sent it there, if any. */
export type TrafficPlace = {
  readonly service: string;
  readonly port: number;
  readonly route: { readonly key: string; readonly rule: string | undefined } | undefined;
};

/** Rule before route, route before port, port before service; at most one policy holds for each. */
export function trafficSettingsFor(
  place: TrafficPlace,
  policies: Iterable<TrafficPolicy>,
): TrafficSettings {
  const found: { rank: number; settings: Partial<TrafficSettings> }[] = [];
  for (const { targets, settings } of policies) {
    const rank = Math.max(0, ...targets.map((target) => specificity(target, place)));
    if (rank > 0) found.push({ rank, settings });
  }
  return layered(found.toSorted((a, b) => b.rank - a.rank).map(({ settings }) => settings));
}

/** 0: it is not meant. */
function specificity(target: TrafficTarget, { service, port, route }: TrafficPlace): number {
  if (target.kind === 'service') {
    if (target.service !== service) return 0;
    if (target.port === undefined) return 1;
    return target.port === port ? 2 : 0;
  }
  if (target.route !== route?.key) return 0;
  if (target.rule === undefined) return 3;
  return target.rule === route.rule ? 4 : 0;
}

const NEAR: readonly LocalityScope[] = ['network', 'region', 'zone'];

/** The service as candidatesOf() shall see it: the policy's word on locality before the Service's own. */
export function localizedService(service: Service, { locality }: RequestBalancing): Service {
  if (locality === 'inherit') return service;
  const health = service.loadBalancing?.health ?? 'only-healthy';
  const loadBalancing =
    locality === 'none'
      ? ({ mode: 'unspecified', preference: [], health } as const)
      : ({ mode: locality, preference: NEAR, health } as const);
  return { ...service, loadBalancing };
}
