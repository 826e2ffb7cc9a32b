// What TrafficPolicies need around each request, put together: limits, balancing, health, mirrors, and the Redis they count
// in. Built and closed by app.ts. Invariant: what is opened here for a service ends with the service, or with the waypoint.

import type { Identity } from '../mesh/identity.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import type { GlobalRateLimit, Hedging } from '../mesh/traffic-policy.ts';
import { type Workload, workloadIdentity } from '../mesh/workload.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { mirrorWith } from './mirror.ts';
import type { PickParts } from './pick.ts';
import { probeWith } from './probe.ts';
import { Gate } from './resilience/gate.ts';
import type { LimitStore } from './resilience/global-rate-limit.ts';
import type { HealthEvent } from './resilience/health-check.ts';
import type { Hedger } from './resilience/hedge.ts';
import type { OutlierEvent } from './resilience/outlier.ts';
import { RedisLimitStore } from './resilience/redis-limit-store.ts';
import { TrafficSettingsByPlace } from './resilience/traffic-settings.ts';
import { Upstreams } from './resilience/upstreams.ts';
import type { ServeSteps } from './serve.ts';
import type { WaypointEvents } from './telemetry/waypoint-events.ts';
import { type ConnectToService, serviceConnector } from './upstream/connect-service.ts';
import type { Dialer } from './upstream/dial.ts';
import type { Endpoints } from './upstream/endpoints.ts';

export type TrafficParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly events: WaypointEvents;
  readonly dialer: Dialer;
  readonly endpoints: Endpoints;
  readonly snapshot: () => Snapshot;
  readonly self: () => Workload | undefined;
};

export type Traffic = {
  readonly pick: PickParts;
  readonly connect: ConnectToService;
  readonly steps: Pick<ServeSteps, 'pick' | 'gate' | 'hedgers' | 'mirror' | 'identityOf'>;
  /** After each change of what is known. */
  take(snapshot: Snapshot): void;
  close(): void;
};

export function startTraffic(parts: TrafficParts): Traffic {
  const { clock, log, random, events, dialer, endpoints, snapshot, self } = parts;
  const settings = new TrafficSettingsByPlace(() => snapshot().trafficPolicies);
  const upstreams = new Upstreams({
    clock,
    random,
    settings,
    snapshot,
    probe: probeWith({ endpoints, dialer, snapshot, self }),
    tell(service, event) {
      const { name, reason } = wordsOf(event);
      events.count(name, reason, service);
      log.info('An endpoint was let go of, or taken again', {
        service: service.hostname,
        ...event,
      });
    },
  });
  const pick = { snapshot, self, upstreams, settings };
  const connect = serviceConnector({ pick, dialer });
  const stores = new Map<string, RedisLimitStore>();
  const gate = new Gate({
    clock,
    random,
    events,
    store: (redis) => storeOf(redis, stores, { connect, log }),
  });
  const identities = new WeakMap<Workload, Identity>();
  const hedgers = new WeakMap<Hedging, Hedger>();
  return {
    pick,
    connect,
    steps: {
      pick,
      gate,
      hedgers,
      mirror: mirrorWith({ clock, log, pick, endpoints, events }),
      identityOf(workload) {
        if (workload.protocol !== 'hbone') return undefined;
        const identity = identities.get(workload) ?? workloadIdentity(workload);
        identities.set(workload, identity);
        return identity;
      },
    },
    take(newest) {
      upstreams.take(newest);
      const used = new Set(settings.redisServices());
      for (const [key, store] of stores) {
        if (used.has(key)) continue;
        stores.delete(key);
        store.close();
      }
    },
    close() {
      upstreams.close();
      for (const store of stores.values()) store.close();
      stores.clear();
    },
  };
}

function wordsOf(event: OutlierEvent | HealthEvent): {
  readonly name: 'ejection' | 'readmission' | 'limit';
  readonly reason: string;
} {
  if (!('kind' in event)) {
    return { name: event.healthy ? 'readmission' : 'ejection', reason: 'health-check' };
  }
  switch (event.kind) {
    case 'ejected':
      return { name: 'ejection', reason: event.cause };
    case 'spared':
      return { name: 'limit', reason: `spared-${event.cause}` };
    case 'returned':
      return { name: 'readmission', reason: 'time' };
  }
}

/** One for each Redis, reached like any other service of the mesh. */
function storeOf(
  redis: GlobalRateLimit['redis'],
  stores: Map<string, RedisLimitStore>,
  { connect, log }: { readonly connect: ConnectToService; readonly log: Log },
): LimitStore {
  const key = `${redis.service} ${redis.port}`;
  const known = stores.get(key);
  if (known !== undefined) return known;
  const store = new RedisLimitStore({
    connect: () => connect(redis),
    failed: (error) =>
      log.warn('No connection to the Redis of a rate limit', { redis: key, error }),
  });
  stores.set(key, store);
  return store;
}
