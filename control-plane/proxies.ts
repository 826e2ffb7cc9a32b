// The proxies connected to this replica: node agents and waypoints. Asked by status, and by retirement before a tunnel is
// taken away: both may have connections to open to it.

import type { ProxyConnection } from './push/connection.ts';
import type { TypeUrl } from './store.ts';

export class Proxies {
  readonly #connected = new Set<ProxyConnection>();

  /** Until the connection has closed. */
  add(connection: ProxyConnection): void {
    this.#connected.add(connection);
    void connection.closed.then(() => this.#connected.delete(connection));
  }

  /** Agents by node, then waypoints by their pods. */
  list(): ProxyConnection[] {
    return [...this.#connected].toSorted((a, b) => placeOf(a).localeCompare(placeOf(b)));
  }

  /** Whether every one of them has all of that version; true when there are none. */
  haveAll(type: TypeUrl, version: number): boolean {
    return [...this.#connected].every(({ session }) => session.acked(type) >= version);
  }

  /** Says goodbye to all and waits until they have gone. */
  async closeAll(reason: string): Promise<void> {
    const leaving = [...this.#connected];
    for (const connection of leaving) connection.close(reason);
    await Promise.all(leaving.map(({ closed }) => closed));
  }
}

function placeOf({ proxy }: ProxyConnection): string {
  return proxy.kind === 'agent'
    ? `agent ${proxy.node}`
    : `waypoint ${proxy.namespace}/${proxy.pod}`;
}
