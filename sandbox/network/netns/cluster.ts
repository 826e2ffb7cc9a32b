// The netns driver: nodes are network namespaces on a bridge, pods are namespaces routed through their node. Opened by
// the sandbox's inner process, in whose own namespace the bridge, the API server and the cluster DNS live.
// Invariant: nothing is ever changed outside the namespace this process was started in.

import { existsSync } from 'node:fs';
import type { Clock } from '../../../runtime/clock.ts';
import type { Log } from '../../../runtime/log.ts';
import {
  API_SERVER_PORT,
  type FabricAddresses,
  fabricAddresses,
  MAX_NODES,
  Numbers,
  type ServiceAddresses,
} from '../addressing.ts';
import type { ServiceRecord } from '../dns/records.ts';
import { type DnsServer, startDns } from '../dns/server.ts';
import type { ClusterNetwork, LinkCapture, NodeNetwork } from '../network.ts';
import type { LinkPacket } from '../packet.ts';
import { captureBridge } from './capture.ts';
import { type NetworkNamespace, ownNamespace } from './namespace.ts';
import { NetnsNode } from './node.ts';
import { routerSettings } from './settings.ts';

const BRIDGE = 'fabric0';
/** Chosen, so that a packet filter can name the bridge; far above what other links get. */
const BRIDGE_NUMBER = 1000;
const DNS_PORT = 53;

export async function openNetnsNetwork(
  parts: { clock: Clock; log: Log },
  { services }: { services: ServiceAddresses } = { services: 'ours' },
): Promise<ClusterNetwork> {
  const ipv6 = existsSync('/proc/sys/net/ipv6');
  const addresses = fabricAddresses(ipv6, services);
  const fabric = ownNamespace();
  try {
    fabric.configure(routerSettings(ipv6));
    await fabric.ip([
      'link set lo up',
      `link add name ${BRIDGE} index ${BRIDGE_NUMBER} type bridge`,
      `link set ${BRIDGE} up`,
      ...addresses.fabric.map(
        (ip, family) =>
          `address add ${ip}/${addresses.prefixes[family]} dev ${BRIDGE}${family === 1 ? ' nodad' : ''}`,
      ),
      ...addresses.dns.map(
        (ip, family) => `address add ${ip}/${family === 0 ? '32 dev lo' : '128 dev lo nodad'}`,
      ),
    ]);
    const dns = await startDns(parts, { addresses: addresses.dns, port: DNS_PORT });
    return new NetnsCluster({ ...parts, fabric, dns }, { ipv6, addresses });
  } catch (error) {
    await fabric.close();
    throw error;
  }
}

class NetnsCluster implements ClusterNetwork {
  readonly mode = 'netns';
  readonly apiServer: ClusterNetwork['apiServer'];
  readonly serviceCidrs: readonly string[];
  readonly clusterDns: string;
  readonly #parts: { clock: Clock; log: Log; fabric: NetworkNamespace; dns: DnsServer };
  readonly #ipv6: boolean;
  readonly #addresses: FabricAddresses;
  readonly #numbers = new Numbers({ first: 1, count: MAX_NODES, what: 'node' });
  readonly #nodes = new Set<NetnsNode>();
  readonly #captures = new Set<LinkCapture>();

  constructor(
    parts: { clock: Clock; log: Log; fabric: NetworkNamespace; dns: DnsServer },
    settings: { ipv6: boolean; addresses: FabricAddresses },
  ) {
    this.#parts = parts;
    this.#ipv6 = settings.ipv6;
    const { addresses } = settings;
    this.#addresses = addresses;
    this.apiServer = { host: addresses.fabric[0] ?? '', port: API_SERVER_PORT };
    this.serviceCidrs = addresses.serviceCidrs;
    this.clusterDns = addresses.dns[0] ?? '';
  }

  async addNode(name: string): Promise<NodeNetwork> {
    const number = this.#numbers.take();
    try {
      const node = await this.#createNode(name, number);
      node.closed.addEventListener('abort', () => {
        this.#nodes.delete(node);
        this.#numbers.release(number);
      });
      const others = [...this.#nodes];
      this.#nodes.add(node);
      try {
        for (const other of others) await introduce(node, other);
        return node;
      } catch (error) {
        await node.close();
        throw error;
      }
    } catch (error) {
      throw new Error(`Cannot make the network of node "${name}"`, { cause: error });
    }
  }

  async #createNode(name: string, number: number): Promise<NetnsNode> {
    const { dns } = this.#addresses;
    try {
      return await NetnsNode.create(
        { fabric: this.#parts.fabric },
        { name, number, ipv6: this.#ipv6, bridge: BRIDGE, dns },
      );
    } catch (error) {
      this.#numbers.release(number);
      throw error;
    }
  }

  syncNames(records: readonly ServiceRecord[]): void {
    this.#parts.dns.sync(records);
  }

  captureLink(onPacket: (packet: LinkPacket) => void): LinkCapture {
    const capture = captureBridge(this.#parts, { bridge: BRIDGE_NUMBER }, onPacket);
    const tracked: LinkCapture = {
      dropped: capture.dropped,
      close: () => {
        this.#captures.delete(tracked);
        capture.close();
      },
    };
    this.#captures.add(tracked);
    return tracked;
  }

  async close(): Promise<void> {
    for (const capture of this.#captures) capture.close();
    await Promise.all([...this.#nodes].map((node) => node.close()));
    await this.#parts.dns.close();
    await this.#parts.fabric.ip([
      `link delete ${BRIDGE}`,
      ...this.#addresses.dns.map(
        (ip, family) => `address delete ${ip}/${family === 0 ? 32 : 128} dev lo`,
      ),
    ]);
    await this.#parts.fabric.close();
  }
}

/** Each learns the way to the other's pods, so that their packets cross the bridge once and in one hop. */
async function introduce(a: NetnsNode, b: NetnsNode): Promise<void> {
  await Promise.all([a.learn(b), b.learn(a)]);
}
