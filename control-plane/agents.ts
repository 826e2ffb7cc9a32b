// The agents connected to this replica. Asked by status, and by retirement before a tunnel is taken away.

import type { AgentConnection } from './push/connection.ts';
import type { TypeUrl } from './store.ts';

export class Agents {
  readonly #connected = new Set<AgentConnection>();

  /** Until the connection has closed. */
  add(connection: AgentConnection): void {
    this.#connected.add(connection);
    void connection.closed.then(() => this.#connected.delete(connection));
  }

  list(): AgentConnection[] {
    return [...this.#connected].toSorted((a, b) => a.agent.node.localeCompare(b.agent.node));
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
