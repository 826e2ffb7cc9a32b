// The loopback driver, for kernels that give us no namespaces: nodes and pods are addresses of 127.0.0.0/8, and the
// processes of pods are put in their place by loopback-hook.ts. Opened by the sandbox's inner process.
// Invariant: nothing outside the sandbox's slice of addresses and its state directory is touched.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../../runtime/clock.ts';
import type { Log } from '../../../runtime/log.ts';
import { Numbers } from '../addressing.ts';
import { hostResolvers } from '../dns/forward.ts';
import type { ServiceRecord } from '../dns/records.ts';
import { type DnsServer, startDns } from '../dns/server.ts';
import type { ClusterNetwork, LinkCapture, NodeNetwork } from '../network.ts';
import type { LinkPacket } from '../packet.ts';
import { LoopbackNode } from './node.ts';
import {
  API_SERVER_PORT,
  apiServerAddress,
  DNS_PORT,
  dnsAddress,
  MAX_NODES,
  realPort,
  relayAddress,
  serviceCidr,
} from './plan.ts';
import { type LinkRelay, startRelay } from './relay.ts';
import { type TakenSlice, takeSlice } from './slice.ts';

export type LoopbackSettings = {
  /** Files that tell the pods' processes where they are; made if missing. */
  readonly directory: string;
  /** Where the node's agent and kubelet keep `<podUID>/redirect.json`. */
  readonly podNetnsDirectory: (node: string) => string;
};

type Parts = { readonly clock: Clock; readonly log: Log };

export async function openLoopbackNetwork(
  parts: Parts,
  settings: LoopbackSettings,
): Promise<ClusterNetwork> {
  mkdirSync(settings.directory, { recursive: true });
  const slice = await takeSlice();
  try {
    const relay = await startRelay(parts, {
      host: relayAddress(slice),
      lowPortsShifted: slice.lowPortsShifted,
    });
    try {
      const dns = await startDns(
        { log: parts.log, forward: hostResolvers(parts) },
        { addresses: [dnsAddress(slice)], port: realPort(DNS_PORT, slice.lowPortsShifted) },
      );
      return new LoopbackCluster({ slice, relay, dns }, settings);
    } catch (error) {
      await relay.close();
      throw error;
    }
  } catch (error) {
    await slice.close();
    throw error;
  }
}

class LoopbackCluster implements ClusterNetwork {
  readonly mode = 'loopback';
  readonly apiServer: ClusterNetwork['apiServer'];
  readonly serviceCidrs: readonly string[];
  readonly clusterDns: string;
  readonly #parts: { slice: TakenSlice; relay: LinkRelay; dns: DnsServer };
  readonly #settings: LoopbackSettings;
  readonly #numbers = new Numbers({ first: 1, count: MAX_NODES, what: 'node' });
  readonly #nodes = new Set<LoopbackNode>();

  constructor(
    parts: { slice: TakenSlice; relay: LinkRelay; dns: DnsServer },
    settings: LoopbackSettings,
  ) {
    this.#parts = parts;
    this.#settings = settings;
    this.apiServer = { host: apiServerAddress(parts.slice), port: API_SERVER_PORT };
    this.serviceCidrs = [serviceCidr(parts.slice)];
    this.clusterDns = dnsAddress(parts.slice);
  }

  async addNode(name: string): Promise<NodeNetwork> {
    const number = this.#numbers.take();
    const directory = join(this.#settings.directory, name);
    mkdirSync(directory, { recursive: true });
    const node: LoopbackNode = new LoopbackNode(
      {
        slice: this.#parts.slice,
        relay: this.#parts.relay.address,
        release: () => {
          this.#nodes.delete(node);
          this.#numbers.release(number);
        },
      },
      {
        name,
        number,
        directory,
        podNetnsDirectory: this.#settings.podNetnsDirectory(name),
      },
    );
    this.#nodes.add(node);
    await node.syncServices([]);
    return node;
  }

  syncNames(records: readonly ServiceRecord[]): void {
    this.#parts.dns.sync(records);
  }

  captureLink(onPacket: (packet: LinkPacket) => void): LinkCapture {
    return this.#parts.relay.capture(onPacket);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#nodes].map((node) => node.close()));
    await this.#parts.dns.close();
    await this.#parts.relay.close();
    await this.#parts.slice.close();
  }
}
