// One node of the netns driver: a namespace with a veth to the bridge, routes to the other nodes' pods, and the service
// rules. Its kubelet (in this process) dials and listens from inside it. Invariant: every link it makes dies with it.

import { once } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Server as NetServer, Socket } from 'node:net';
import { isIpv6, parseIp } from '../../../mesh/address.ts';
import { inNetns, openSocket } from '../../../node-agent/capture/syscalls.ts';
import {
  fabricAddresses,
  MAX_PODS_A_NODE,
  type NodeAddresses,
  Numbers,
  nodeAddresses,
  podAddresses,
  resolvConf,
} from '../addressing.ts';
import type { NodeNetwork, PodIdentity, PodNetwork, ServiceRule } from '../network.ts';
import { createNamespace, type NetworkNamespace } from './namespace.ts';
import { NetnsPod } from './pod.ts';
import { baseRules, serviceRules } from './services.ts';
import { podSettings, routerSettings } from './settings.ts';

const LISTEN_BACKLOG = 512;

export type Neighbour = {
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
};

type NodeSettings = {
  readonly name: string;
  readonly number: number;
  readonly ipv6: boolean;
  readonly bridge: string;
  readonly dns: readonly string[];
};

export class NetnsNode implements NodeNetwork {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
  readonly host: PodNetwork;
  readonly #fabric: NetworkNamespace;
  readonly #namespace: NetworkNamespace;
  readonly #settings: NodeSettings;
  readonly #plan: NodeAddresses;
  readonly #podNumbers = new Numbers({
    first: 2,
    count: MAX_PODS_A_NODE,
    what: 'pod address of the node',
  });
  readonly #pods = new Set<NetnsPod>();
  readonly #closed = new AbortController();
  #closing: Promise<void> | undefined;
  #syncing: Promise<unknown> = Promise.resolve();

  static async create(
    parts: { fabric: NetworkNamespace },
    settings: NodeSettings,
  ): Promise<NetnsNode> {
    const namespace = await createNamespace();
    const node = new NetnsNode({ ...parts, namespace }, settings);
    try {
      await node.#connect();
      return node;
    } catch (error) {
      await namespace.close();
      throw error;
    }
  }

  private constructor(
    parts: { fabric: NetworkNamespace; namespace: NetworkNamespace },
    settings: NodeSettings,
  ) {
    this.#fabric = parts.fabric;
    this.#namespace = parts.namespace;
    this.#settings = settings;
    this.#plan = nodeAddresses(settings.number, settings.ipv6);
    this.name = settings.name;
    this.addresses = this.#plan.addresses;
    this.podCidrs = this.#plan.podCidrs;
    this.host = new NetnsPod(
      { namespace: this.#namespace, release: () => Promise.resolve() },
      { addresses: this.addresses, resolvConf: resolvConf('default', settings.dns) },
    );
  }

  /** Aborts when the node is gone. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  async #connect(): Promise<void> {
    const { number, bridge, ipv6 } = this.#settings;
    const { fabric, prefixes } = fabricAddresses(ipv6);
    this.#namespace.configure(routerSettings(ipv6));
    await this.#fabric.ip([
      `link add node${number} type veth peer name eth0 netns ${this.#namespace.pid}`,
      `link set node${number} master ${bridge} up`,
    ]);
    await this.#namespace.ip([
      'link set lo up',
      'link set eth0 up',
      ...this.addresses.map(
        (ip, family) =>
          `address add ${ip}/${prefixes[family]} dev eth0${family === 1 ? ' nodad' : ''}`,
      ),
      `address add ${this.#plan.gateways[0]}/32 dev lo`,
      ...fabric.map(
        (ip, family) => `route add default via ${ip} dev eth0 src ${this.addresses[family]}`,
      ),
    ]);
    await this.#fabric.ip(routesTo(this));
    await this.#namespace.run('nft', ['-f', '-'], baseRules());
  }

  /** Adds the way to another node's pods. */
  async learn(other: Neighbour): Promise<void> {
    await this.#namespace.ip(routesTo(other));
  }

  async addPod(pod: PodIdentity): Promise<PodNetwork> {
    const number = this.#podNumbers.take();
    const { ipv6 } = this.#settings;
    const addresses = podAddresses(this.#settings.number, number, ipv6);
    const namespace = await createNamespace();
    const link = `pod${number}`;
    try {
      await this.#connectPod(namespace, link, addresses);
    } catch (error) {
      await namespace.close();
      this.#podNumbers.release(number);
      throw new Error(`Cannot make the network of pod "${pod.namespace}/${pod.name}"`, {
        cause: error,
      });
    }
    const network: NetnsPod = new NetnsPod(
      {
        namespace,
        release: async () => {
          // deleted by name: processes that outlive the pod would keep its namespace, and so the link, alive
          try {
            await this.#namespace.ip([`link delete ${link}`]);
          } finally {
            await namespace.close();
            this.#pods.delete(network);
            this.#podNumbers.release(number);
          }
        },
      },
      { addresses, resolvConf: resolvConf(pod.namespace, this.#settings.dns) },
    );
    this.#pods.add(network);
    return network;
  }

  async #connectPod(
    namespace: NetworkNamespace,
    link: string,
    addresses: readonly string[],
  ): Promise<void> {
    namespace.configure(podSettings(this.#settings.ipv6));
    const [gateway4, gateway6] = this.#plan.gateways;
    await this.#namespace.ip([
      `link add ${link} type veth peer name eth0 netns ${namespace.pid}`,
      ...(gateway6 === undefined ? [] : [`address add ${gateway6}/64 dev ${link} nodad`]),
      `link set ${link} up`,
      ...addresses.map((ip, family) => `route add ${ip} dev ${link} src ${this.addresses[family]}`),
    ]);
    await namespace.ip([
      'link set lo up',
      'link set eth0 up',
      ...addresses.map(
        (ip, family) => `address add ${ip}/${family === 0 ? 32 : '128 nodad'} dev eth0`,
      ),
      `route add ${gateway4} dev eth0 scope link`,
      `route add default via ${gateway4} dev eth0`,
      ...(gateway6 === undefined ? [] : [`route add default via ${gateway6} dev eth0`]),
    ]);
  }

  dial(ip: string, port: number, signal?: AbortSignal): Promise<Socket> {
    const from = this.addresses.find((address) => address.includes(':') === ip.includes(':'));
    return this.#namespace.dial({ ip, port }, from, signal);
  }

  async listen(port: number, server: NetServer | HttpServer | HttpsServer): Promise<void> {
    const ip = parseIp(this.addresses[0] ?? '');
    const fd = inNetns(this.#namespace.netns, () =>
      openSocket({
        family: isIpv6(ip) ? 'ipv6' : 'ipv4',
        bind: { ip, port },
        backlog: LISTEN_BACKLOG,
      }),
    );
    const listening = once(server, 'listening');
    server.listen({ fd });
    await listening;
  }

  async syncServices(table: readonly ServiceRule[]): Promise<void> {
    // one at a time: of two that run at once the older could come last
    const sync = this.#syncing.then(() =>
      this.#namespace.run('nft', ['-f', '-'], serviceRules(table)),
    );
    this.#syncing = sync.catch(() => {});
    await sync;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#pods].map((pod) => pod.close()));
    try {
      await this.#fabric.ip([`link delete node${this.#settings.number}`]);
    } finally {
      await this.#namespace.close();
      this.#closed.abort();
    }
  }
}

function routesTo(node: Neighbour): string[] {
  return node.podCidrs.map((cidr, family) => `route replace ${cidr} via ${node.addresses[family]}`);
}
