// Real agents in one process over loopback, each a node, with pods whose connections come to them as the hook in a pod's
// programs leads them. Used by the agent's flow tests; who opens it closes it.

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseIp } from '../../mesh/address.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createTestCa, type TestCa } from '../../tunnel/test-ca.ts';
import { encodeProxyHeader } from '../../wire/proxy-protocol.ts';
import type { AgentParts, AgentSettings } from '../agent-parts.ts';
import { type Agent, startAgent } from '../app.ts';
import { loopbackCapture } from '../capture/loopback.ts';
import {
  AGENT_SETTINGS,
  enrolmentOf,
  HandmadeDiscovery,
  issueFrom,
  memoryLog,
  type PodSpec,
  portOf,
  serviceOf,
  workloadOf,
} from './world.ts';

/** Of the service `web` that {@link LoopbackNodes.withMesh} makes; its port 80 is the pods' 8080. */
export const VIP = '10.96.0.10';

export type Node = {
  readonly agent: Agent;
  readonly discovery: HandmadeDiscovery;
  readonly lines: Record<string, unknown>[];
};

type Mesh = {
  readonly client: PodSpec;
  readonly server: PodSpec;
  readonly near: Node;
  readonly far: Node;
  /** The server's application's connections, and whom it saw. */
  readonly accepted: Socket[];
  readonly callers: (string | undefined)[];
};

export class LoopbackNodes {
  readonly ca: TestCa;
  /** Where the capture of each pod is written down. */
  readonly directory: string;
  /** Addresses of this process only: pods of tests that run at the same time must not meet. */
  readonly block = `127.${64 + (process.pid % 128)}.${(process.pid >> 7) % 256}`;
  #nextAddress = 1;

  private constructor(ca: TestCa, directory: string) {
    this.ca = ca;
    this.directory = directory;
  }

  static async open(): Promise<LoopbackNodes> {
    return new LoopbackNodes(
      await createTestCa(),
      await mkdtemp(join(tmpdir(), 'ambit-loopback-nodes-')),
    );
  }

  close(): Promise<void> {
    return rm(this.directory, { recursive: true });
  }

  pod(name: string): PodSpec {
    return { name, uid: randomUUID(), addresses: [`${this.block}.${this.#nextAddress++}`] };
  }

  async start(
    parts: Partial<AgentParts> = {},
    settings: Partial<AgentSettings> = {},
  ): Promise<Node> {
    const discovery = new HandmadeDiscovery();
    const { log, lines } = memoryLog();
    const capture = loopbackCapture({ clock: systemClock }, { directory: this.directory });
    const own = { clock: systemClock, log, discovery, issue: issueFrom(this.ca), capture };
    const agent = await startAgent({ ...own, ...parts }, { ...AGENT_SETTINGS, ...settings });
    return { agent, discovery, lines };
  }

  /** Client and server on two nodes, both enrolled; `app` is the server's application on port 8080. */
  async withMesh(
    app: (socket: Socket) => void,
    use: (mesh: Mesh) => Promise<void>,
    settings: {
      readonly near?: Partial<AgentSettings>;
      readonly far?: Partial<AgentSettings>;
    } = {},
  ): Promise<void> {
    const client = this.pod('client');
    const server = this.pod('server');
    const accepted: Socket[] = [];
    const callers: (string | undefined)[] = [];
    const [near, far] = await Promise.all([
      this.start({}, settings.near),
      this.start({}, settings.far),
    ]);
    const listener = await listen(server.addresses[0] ?? '', 8080, (socket) => {
      accepted.push(socket);
      callers.push(socket.remoteAddress);
      app(socket);
    });
    try {
      for (const { discovery } of [near, far]) {
        const behind = new Map([[`shop/web.shop.svc.cluster.local`, [portOf(80, 8080)]]]);
        discovery.push(
          { kind: 'workload', workload: workloadOf(client) },
          { kind: 'workload', workload: workloadOf(server, { services: behind }) },
          { kind: 'service', service: serviceOf('web', VIP, [portOf(80, 8080)]) },
        );
      }
      await Promise.all([this.enrol(near, client), this.enrol(far, server)]);
      await use({ client, server, near, far, accepted, callers });
    } finally {
      for (const socket of accepted) socket.destroy();
      await Promise.all([near.agent.stop(), far.agent.stop()]);
      listener.close();
      await once(listener, 'close');
    }
  }

  async enrol({ discovery }: Pick<Node, 'discovery'>, pod: PodSpec): Promise<void> {
    await mkdir(join(this.directory, pod.uid), { recursive: true });
    const since = discovery.reports.length;
    discovery.push({ kind: 'enrolment', enrolment: enrolmentOf(pod) });
    await discovery.reported(pod.uid, 'enabled', since);
  }

  /** A connection of the pod's application, as the hook in it makes one. */
  async connectFrom(pod: PodSpec, host: string, port: number): Promise<Socket> {
    const [own = ''] = pod.addresses;
    const redirect = await readFile(join(this.directory, pod.uid, 'redirect.json'), 'utf8');
    const { outbound } = JSON.parse(redirect) as { outbound: { host: string; port: number } };
    const socket = connect({ ...outbound, localAddress: own, allowHalfOpen: true });
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.write(
      encodeProxyHeader({
        source: { ip: parseIp(own), port: socket.localPort ?? 0 },
        destination: { ip: parseIp(host), port },
      }),
    );
    return socket;
  }
}

export async function listen(
  host: string,
  port: number,
  onSocket: (socket: Socket) => void,
): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    onSocket(socket);
  });
  server.listen(port, host);
  await once(server, 'listening');
  return server;
}

/** The access-log line of a direction, once it is written. */
export async function accessLine(node: Node, direction: string): Promise<Record<string, unknown>> {
  for (;;) {
    const line = node.lines.find(
      (one) => one['message'] === 'connection complete' && one['direction'] === direction,
    );
    if (line !== undefined) return line;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
