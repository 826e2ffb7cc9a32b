// A pod's network in the loopback driver, and the node's own for hostNetwork pods: an address, and a file that tells the
// hook in each of the pod's processes about it. Made by node.ts.

import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { entryPath } from '../../../runtime/entry.ts';
import { resolvConf } from '../addressing.ts';
import type { PodNetwork, PodSpawnOptions } from '../network.ts';
import { dialFrom } from './dial.ts';
import { type Place, writeWhole } from './place.ts';
import { realPort } from './plan.ts';

type PodSettings = {
  /** Where the pod's {@link Place} is written. */
  readonly file: string;
  readonly namespace: string;
  readonly nameserver: string;
  readonly place: Place;
};

export class LoopbackPod implements PodNetwork {
  readonly addresses: readonly string[];
  readonly netnsPath = undefined;
  readonly resolvConf: string;
  readonly #release: () => void;
  readonly #settings: PodSettings;
  #closed = false;

  constructor(parts: { release: () => void }, settings: PodSettings) {
    this.#release = parts.release;
    this.#settings = settings;
    this.addresses = [settings.place.address];
    this.resolvConf = resolvConf(settings.namespace, [settings.nameserver]);
    writeWhole(settings.file, settings.place);
  }

  spawn(command: readonly string[], options: PodSpawnOptions): ChildProcess {
    const [program = '', ...args] = command;
    if (basename(program) !== 'node' && program !== process.execPath) {
      throw new Error(
        `Cannot start "${program}" in loopback mode: only Node.js programs can be given a pod's address there; use the built-in apps, or a machine where the kernel allows network namespaces`,
      );
    }
    const hook = pathToFileURL(entryPath('sandbox/network/loopback-hook')).href;
    // our own Node.js: the hook is written for it
    return spawn(process.execPath, ['--import', hook, ...args], {
      ...options,
      // whatever a manifest says: a node agent that runs here has no namespaces to capture in
      env: { ...options.env, AMBIT_LOOPBACK: this.#settings.file, AMBIT_CAPTURE: 'loopback' },
    });
  }

  async dial(port: number, signal?: AbortSignal): Promise<Socket> {
    const { address, lowPortsShifted } = this.#settings.place;
    return await dialFrom(
      address,
      { host: address, port: realPort(port, lowPortsShifted) },
      signal,
    );
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    rmSync(this.#settings.file, { force: true });
    this.#release();
  }
}
