// One node of the loopback driver: an address, its pods' addresses and the file with its service table. Made by cluster.ts.
// Its kubelet runs in this process, which no hook changes: addresses are given to each call here.

import { once } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Server as NetServer, Socket } from 'node:net';
import { join } from 'node:path';
import { Numbers, searchDomains } from '../addressing.ts';
import type { NodeNetwork, PodIdentity, PodNetwork, ServiceRule } from '../network.ts';
import { dialFrom } from './dial.ts';
import { writeWhole } from './place.ts';
import {
  dnsAddress,
  MAX_PODS_A_NODE,
  nodeAddress,
  nodePodCidr,
  podAddress,
  realPort,
} from './plan.ts';
import { LoopbackPod } from './pod.ts';
import { serviceTable } from './services.ts';
import type { TakenSlice } from './slice.ts';

type NodeParts = {
  readonly slice: TakenSlice;
  readonly relay: { readonly host: string; readonly port: number };
  readonly release: () => void;
};
type NodeSettings = {
  readonly name: string;
  readonly number: number;
  readonly directory: string;
  readonly podNetnsDirectory: string;
};

export class LoopbackNode implements NodeNetwork {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
  readonly host: PodNetwork;
  readonly #parts: NodeParts;
  readonly #settings: NodeSettings;
  readonly #address: string;
  readonly #podNumbers = new Numbers({
    first: 1,
    count: MAX_PODS_A_NODE,
    what: 'pod address of the node',
  });
  readonly #pods = new Set<LoopbackPod>();

  constructor(parts: NodeParts, settings: NodeSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.name = settings.name;
    this.#address = nodeAddress(parts.slice, settings.number);
    this.addresses = [this.#address];
    this.podCidrs = [nodePodCidr(parts.slice, settings.number)];
    this.host = this.#pod({ uid: 'host', namespace: 'default' }, this.#address, null);
  }

  // the interface is asynchronous for drivers that must ask the kernel
  async addPod(pod: PodIdentity): Promise<PodNetwork> {
    const number = this.#podNumbers.take();
    const redirectFile = join(this.#settings.podNetnsDirectory, pod.uid, 'redirect.json');
    const address = podAddress(this.#parts.slice, this.#settings.number, number);
    const network: LoopbackPod = this.#pod(pod, address, redirectFile, () => {
      this.#pods.delete(network);
      this.#podNumbers.release(number);
    });
    this.#pods.add(network);
    return network;
  }

  #pod(
    pod: { uid: string; namespace: string },
    address: string,
    redirectFile: string | null,
    release: () => void = () => {},
  ): LoopbackPod {
    const { slice, relay } = this.#parts;
    return new LoopbackPod(
      { release },
      {
        file: join(this.#settings.directory, `${pod.uid}.json`),
        namespace: pod.namespace,
        nameserver: dnsAddress(slice),
        place: {
          base: slice.base,
          address,
          lowPortsShifted: slice.lowPortsShifted,
          search: searchDomains(pod.namespace),
          relay,
          servicesFile: this.#servicesFile,
          redirectFile,
        },
      },
    );
  }

  get #servicesFile(): string {
    return join(this.#settings.directory, 'services.json');
  }

  async dial(ip: string, port: number, signal?: AbortSignal): Promise<Socket> {
    return await dialFrom(this.#address, { host: ip, port: this.#real(port) }, signal);
  }

  async listen(port: number, server: NetServer | HttpServer | HttpsServer): Promise<void> {
    const listening = once(server, 'listening');
    server.listen({ host: this.#address, port: this.#real(port) });
    await listening;
  }

  async syncServices(table: readonly ServiceRule[]): Promise<void> {
    writeWhole(this.#servicesFile, serviceTable(table));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pods].map((pod) => pod.close()));
    await this.host.close();
    this.#parts.release();
  }

  #real(port: number): number {
    return realPort(port, this.#parts.slice.lowPortsShifted);
  }
}
