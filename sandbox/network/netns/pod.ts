// A pod's network in the netns driver, and the node's own for hostNetwork pods: start processes in it, dial its localhost.
// Made by node.ts. Invariant: closing twice is closing once.

import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import type { PodNetwork, PodSpawnOptions } from '../network.ts';
import type { NetworkNamespace } from './namespace.ts';

export class NetnsPod implements PodNetwork {
  readonly addresses: readonly string[];
  readonly resolvConf: string;
  readonly #namespace: NetworkNamespace;
  readonly #release: () => Promise<void>;
  #closing: Promise<void> | undefined;

  constructor(
    parts: { namespace: NetworkNamespace; release: () => Promise<void> },
    settings: { addresses: readonly string[]; resolvConf: string },
  ) {
    this.#namespace = parts.namespace;
    this.#release = parts.release;
    this.addresses = settings.addresses;
    this.resolvConf = settings.resolvConf;
  }

  get netnsPath(): string {
    return this.#namespace.path;
  }

  spawn(command: readonly string[], options: PodSpawnOptions): ChildProcess {
    const [program, ...args] = command;
    if (program === undefined) throw new TypeError('Cannot start a process: the command is empty');
    return this.#namespace.spawn(program, args, { ...options });
  }

  async dial(port: number, signal?: AbortSignal): Promise<Socket> {
    try {
      return await this.#namespace.dial({ ip: '127.0.0.1', port }, undefined, signal);
    } catch (error) {
      if (signal?.aborted === true || this.addresses.length < 2) throw error;
      // a server may listen on ::1 alone
      return await this.#namespace.dial({ ip: '::1', port }, undefined, signal);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#release();
    return this.#closing;
  }
}
