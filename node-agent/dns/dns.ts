// DNS of the enrolled pods: what capture leads to port 15053 in each pod comes here, for all pods of the node. Made by
// app.ts. Invariant: one pod's questions, however many or malformed, cost another pod nothing but their share of the turn.

import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import type { IpPort } from '../../mesh/address.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import type { Captured } from '../capture/capture.ts';
import type { SnapshotSource } from '../known-source.ts';
import { type AnswerParts, answerQuery, type DnsPod } from './answer.ts';
import { DnsMetrics } from './dns-metrics.ts';
import { Forwarder } from './forwarder.ts';
import { KnownClients } from './known-client.ts';
import { serveTcp } from './tcp-door.ts';
import { serveUdp } from './udp-door.ts';

/** Resolvers keep one or two; each costs a descriptor. */
export const MAX_TCP_CONNECTIONS_POD = 64;

export type DnsParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly discovery: SnapshotSource;
  readonly random: () => number;
  /** 0 to 65535, not to be guessed. */
  readonly randomId: () => number;
};

export type DnsSettings = {
  readonly clusterDomain: string;
  readonly preferredNamespace?: string | undefined;
  /** Name servers for what the mesh does not know, in the order they are asked. */
  readonly upstream: readonly IpPort[];
};

export class Dns {
  readonly #parts: AnswerParts;
  readonly #connections = new Map<string, Set<Socket>>();

  constructor(parts: DnsParts, settings: DnsSettings) {
    const forwarder = new Forwarder(parts, settings.upstream);
    this.#parts = {
      ...parts,
      snapshot: () => parts.discovery.snapshot(),
      clients: new KnownClients(parts),
      forwarder,
      metrics: new DnsMetrics(parts, () => forwarder.inFlight),
      place: {
        clusterDomain: settings.clusterDomain,
        preferredNamespace: settings.preferredNamespace,
      },
    };
  }

  udp(pod: DnsPod, socket: UdpSocket): void {
    serveUdp(socket, (message, signal) =>
      answerQuery(this.#parts, message, { pod, transport: 'udp', signal }),
    );
  }

  tcp(pod: DnsPod, { socket, destination }: Captured): void {
    const { podUid } = pod.enrolment;
    const open = this.#connections.get(podUid) ?? new Set<Socket>();
    if (open.size >= MAX_TCP_CONNECTIONS_POD) {
      this.#parts.metrics.malformed('connections');
      socket.resetAndDestroy();
      return;
    }
    this.#connections.set(podUid, open);
    open.add(socket);
    void serveTcp(
      {
        clock: this.#parts.clock,
        answer: (message, signal) =>
          answerQuery(this.#parts, message, { pod, transport: 'tcp', meant: destination, signal }),
        cut: (reason) => this.#parts.metrics.malformed(reason),
      },
      socket,
    ).then(() => {
      open.delete(socket);
      if (open.size === 0 && this.#connections.get(podUid) === open)
        this.#connections.delete(podUid);
    });
  }

  /** The pod has left, or the agent stops: its connections end. Datagrams end with their socket. */
  release(podUid: string): void {
    for (const socket of this.#connections.get(podUid) ?? []) socket.destroy();
  }

  close(): void {
    for (const podUid of this.#connections.keys()) this.release(podUid);
  }
}
