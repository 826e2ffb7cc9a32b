// Which endpoint a client was led to last, for services with session affinity (`sessionAffinity: ClientIP`). Asked and told
// by outbound.ts; the choice itself is mesh/balance.ts. A client that is forgotten gets the endpoint that is its own by
// hash, so forgetting costs little.

import { type Service, serviceKey } from '../mesh/service.ts';
import type { PortMapping, Workload } from '../mesh/workload.ts';
import type { Clock } from '../runtime/clock.ts';

/** Pods of a node times the sticky services they use, with room to spare; about 10 MB. The longest unused make room. */
const MAX_CLIENTS = 65_536;

type Kept = { readonly uid: string; readonly until: number };

export class Affinity {
  readonly #clock: Clock;
  readonly #kept = new Map<string, Kept>();

  constructor(parts: { readonly clock: Clock }) {
    this.#clock = parts.clock;
  }

  /** The workload's uid; undefined when the client has not connected for the service's time. */
  of(client: Workload, service: Service, port: PortMapping): string | undefined {
    const kept = this.#kept.get(keyOf(client, service, port));
    return kept !== undefined && kept.until > this.#clock.monotonic() ? kept.uid : undefined;
  }

  /** A connection was made; the time begins anew, as kube-proxy counts it. */
  note(client: Workload, service: Service, port: PortMapping, uid: string): void {
    const { sessionAffinitySeconds } = service;
    if (sessionAffinitySeconds === undefined) return;
    const key = keyOf(client, service, port);
    // the map's order is the order of use
    this.#kept.delete(key);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= MAX_CLIENTS && oldest !== undefined) this.#kept.delete(oldest);
    const until = this.#clock.monotonic() + sessionAffinitySeconds * 1000;
    this.#kept.set(key, { uid, until });
  }
}

/** Kubernetes keeps it for each port of a service by itself. */
function keyOf(client: Workload, service: Service, port: PortMapping): string {
  return `${client.uid} ${serviceKey(service)} ${port.servicePort}`;
}
