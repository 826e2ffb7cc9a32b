// A cluster of two nodes for the netns tests of where connections go, with small words for its services, pods and calls.
// Called by them only; whoever opens a stage closes it.

import type { Service } from '../../mesh/service.ts';
import type { PortMapping, Workload } from '../../mesh/workload.ts';
import type { AgentParts } from '../../node-agent/agent-parts.ts';
import {
  createTestCa,
  HandmadeDiscovery,
  portOf,
  serviceOf,
  type TestCa,
} from '../../node-agent/test-support/world.ts';
import { fate, text } from '../../tunnel/test-sockets.ts';
import { Cluster, turn } from './cluster.ts';
import { Lan, type NodeName, type Pod } from './lan.ts';

export class Stage {
  readonly lan = new Lan();
  readonly ca: TestCa;
  readonly cluster: Cluster;
  #nextVip = 20;

  private constructor(ca: TestCa) {
    this.ca = ca;
    this.cluster = new Cluster(this.lan, ca);
  }

  static async open(parts: Pick<AgentParts, 'resolveHost'> = {}): Promise<Stage> {
    const stage = new Stage(await createTestCa());
    for (const node of ['node-a', 'node-b'] as const) {
      await stage.cluster.startAgent(node, new HandmadeDiscovery(), parts);
    }
    return stage;
  }

  /** What a peer without a node agent needs besides its pod. */
  get peers(): { readonly lan: Lan; readonly ca: TestCa } {
    return { lan: this.lan, ca: this.ca };
  }

  close(): Promise<void> {
    return this.cluster.stop();
  }

  /** A service of its own address and name; pods join it by `behind`. */
  service(changes: Partial<Service> = {}): Service & { vip: string } {
    const vip = `10.96.0.${this.#nextVip++}`;
    const made = { ...serviceOf(`web-${this.#nextVip}`, vip, [portOf(80, 8080)]), ...changes };
    this.cluster.push({ kind: 'service', service: made });
    return { ...made, vip };
  }

  /** What an endpoint of the service serves. */
  behind(service: Service, port: PortMapping = portOf(80, 8080)): Partial<Workload> {
    return {
      services: new Map([[`${service.namespace}/${service.hostname}`, [port]]]),
    };
  }

  pod(name: string, node: NodeName, changes: Partial<Workload> = {}): Pod {
    const made = this.lan.addPod(name, node);
    this.cluster.announce(made, { protocol: 'tcp', ...changes });
    return made;
  }

  async enrolled(...args: Parameters<Stage['pod']>): Promise<Pod> {
    const made = this.pod(...args);
    await this.cluster.enrol(made);
    return made;
  }

  /** Its application answers with the address it sees. */
  async whoami(pod: Pod, port = 8080): Promise<string[]> {
    const seen: string[] = [];
    await this.lan.serve(pod, port, (socket) => {
      const caller = (socket.remoteAddress ?? '').replace('::ffff:', '');
      seen.push(caller);
      socket.end(caller);
    });
    return seen;
  }

  async asked(client: Pod, host: string, port: number): Promise<string> {
    const socket = await this.lan.connect(client, host, port);
    const answer = await text(socket);
    socket.end();
    return answer;
  }

  /** The first access-log line of the pod's node that says so. */
  async lineOf(pod: Pod, wanted: Record<string, unknown>) {
    for (;;) {
      const line = this.cluster
        .node(pod)
        .lines.find((one) => Object.entries(wanted).every(([key, value]) => one[key] === value));
      if (line !== undefined) return line;
      await turn();
    }
  }

  /** How the connection ends: an agent may be as fast with its reset as the kernel with the client's handshake. */
  async ending(client: Pod, host: string, port: number): Promise<string> {
    try {
      return await fate(await this.lan.connect(client, host, port));
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? String(error);
    }
  }
}
