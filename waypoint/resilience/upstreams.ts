// Every service port requests went to lately, as an Upstream. Built and closed by app.ts, asked by forward.ts. Invariant: one
// for each port of a service; those whose service has gone are closed.

import { type Service, serviceKey } from '../../mesh/service.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import type { PortMapping } from '../../mesh/workload.ts';
import type { TrafficSettingsByPlace } from './traffic-settings.ts';
import { Upstream, type UpstreamParts } from './upstream.ts';

type Entry = {
  readonly upstream: Upstream;
  readonly service: string;
  readonly port: PortMapping;
};

export class Upstreams {
  readonly #parts: UpstreamParts & {
    readonly snapshot: () => Snapshot;
    readonly settings: TrafficSettingsByPlace;
  };
  readonly #entries = new Map<string, Entry>();

  constructor(
    parts: UpstreamParts & {
      readonly snapshot: () => Snapshot;
      readonly settings: TrafficSettingsByPlace;
    },
  ) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** As the present snapshot has it. */
  of(service: Service, port: PortMapping): Upstream {
    const name = serviceKey(service);
    const key = `${name} ${port.servicePort}`;
    const known = this.#entries.get(key);
    if (known !== undefined && known.port.appProtocol === port.appProtocol) return known.upstream;
    known?.upstream.close();
    const place = { service: name, port: port.servicePort, route: undefined };
    const settings = this.#parts.settings.of(place);
    const upstream = new Upstream(this.#parts, service, port, settings);
    upstream.update(service, settings, this.#parts.snapshot().membersOf(name));
    this.#entries.set(key, { upstream, service: name, port });
    return upstream;
  }

  /** After each change: members come and go, policies change, services end. */
  take(snapshot: Snapshot): void {
    for (const [key, { upstream, service: name, port }] of this.#entries) {
      const service = snapshot.serviceByKey(name);
      if (service === undefined) {
        this.#entries.delete(key);
        upstream.close();
        continue;
      }
      const place = { service: name, port: port.servicePort, route: undefined };
      upstream.update(service, this.#parts.settings.of(place), snapshot.membersOf(name));
    }
  }

  close(): void {
    for (const { upstream } of this.#entries.values()) upstream.close();
    this.#entries.clear();
  }
}
