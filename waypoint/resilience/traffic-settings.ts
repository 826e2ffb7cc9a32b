// What the TrafficPolicies of the present snapshot say for each place requests go to, worked out once for each place. Asked by
// serve.ts for every request. Invariant: bounded by the ports and rules in use; forgotten when any policy changes.

import {
  DEFAULT_TRAFFIC_POLICY,
  type TrafficPlace,
  trafficSettingsFor,
} from '../../mesh/traffic-defaults.ts';
import type { TrafficPolicy, TrafficSettings } from '../../mesh/traffic-policy.ts';

type Policies = { values(): IterableIterator<TrafficPolicy> };

/** Ports times rules; beyond it all are worked out again as they are asked for. */
const MAX_PLACES = 10_000;

export class TrafficSettingsByPlace {
  readonly #policies: () => Policies;
  #known: Policies | undefined;
  #list: readonly TrafficPolicy[] = [];
  readonly #places = new Map<string, TrafficSettings>();

  /** `policies` gives the same object as long as none of them changed. */
  constructor(policies: () => Policies) {
    this.#policies = policies;
  }

  of(place: TrafficPlace): TrafficSettings {
    const policies = this.#policies();
    if (policies !== this.#known) {
      this.#known = policies;
      this.#list = [...policies.values()];
      this.#places.clear();
    }
    if (this.#list.length === 0) return DEFAULT_TRAFFIC_POLICY;
    const { service, port, route } = place;
    const key = `${service} ${port} ${route?.key ?? ''} ${route?.rule ?? ''}`;
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    if (this.#places.size >= MAX_PLACES) this.#places.clear();
    const settings = trafficSettingsFor(place, this.#list);
    this.#places.set(key, settings);
    return settings;
  }

  /** Whatever the service, these policies name a Redis by it. */
  *redisServices(): Iterable<string> {
    for (const { settings } of this.#list) {
      for (const { redis } of settings.rateLimits?.global ?? []) {
        yield `${redis.service} ${redis.port}`;
      }
    }
  }
}
