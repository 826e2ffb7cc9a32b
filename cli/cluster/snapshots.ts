// The very snapshots node agents decide by, fetched from their admin doors: what is explained over them is what happens.
// Called by the commands explain and authz.

import { emptySnapshot, type Snapshot } from '../../mesh/snapshot.ts';
import type { KubeClient } from '../../runtime/kubernetes/client.ts';
import { decodeShown } from '../../runtime/shown-snapshot.ts';
import { CommandFailure } from '../exit.ts';
import { type Agent, askAgent, listAgents } from './agents.ts';

export class Snapshots {
  readonly #client: KubeClient;
  readonly #agents: readonly Agent[];
  readonly #known = new Map<string, Snapshot>();

  private constructor(client: KubeClient, agents: readonly Agent[]) {
    this.#client = client;
    this.#agents = agents;
  }

  /** @throws CommandFailure when no agent runs */
  static async of(client: KubeClient): Promise<Snapshots> {
    const agents = await listAgents(client);
    if (agents.length === 0) {
      throw new CommandFailure('No node agent runs in this cluster. See why: ambit check');
    }
    return new Snapshots(client, agents);
  }

  /** Of the agent of that node; of the first agent that answers for a node without one. @throws CommandFailure */
  async fetch(node: string): Promise<Snapshot> {
    const known = this.#known.get(node);
    if (known !== undefined) return known;
    const agent = this.#agents.find((one) => one.node === node) ?? this.#agents[0];
    if (agent === undefined) return emptySnapshot;
    const bytes = await askAgent(this.#client, agent, '/snapshot');
    try {
      const snapshot = decodeShown(bytes);
      this.#known.set(node, snapshot);
      return snapshot;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new CommandFailure(
        `Cannot read what the node agent on ${agent.node} knows: ${why}. Is it of the same version as this cli?`,
        { cause },
      );
    }
  }

  /** What was fetched for the node. */
  at(node: string): Snapshot {
    return this.#known.get(node) ?? emptySnapshot;
  }

  /** Any agent's: all of them know every workload. */
  any(): Promise<Snapshot> {
    return this.fetch(this.#agents[0]?.node ?? '');
  }
}
