// What a process of a pod without a network namespace must know of the network: the file that AMBIT_LOOPBACK names.
// Written by pod.ts and node.ts, read by the hook inside the process. Invariant: a file is replaced whole, never edited.

import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';

export type Place = {
  /** Second octet of the sandbox's slice of 127.0.0.0/8. */
  readonly base: number;
  readonly address: string;
  readonly lowPortsShifted: boolean;
  readonly search: readonly string[];
  readonly relay: { readonly host: string; readonly port: number };
  /** The node's {@link ServiceTable}. */
  readonly servicesFile: string;
  /** Exists while the pod's traffic is captured; null for pods on the node's own network. */
  readonly redirectFile: string | null;
};

export type ServiceTable = {
  /** `tcp/127.17.0.11:80` -> its endpoints, as `ip:port`. */
  readonly ports: Readonly<Record<string, ServiceTarget>>;
  /** `tcp/30080`: at any node's address. */
  readonly nodePorts: Readonly<Record<string, ServiceTarget>>;
};
export type ServiceTarget = { readonly endpoints: readonly string[]; readonly affinity: boolean };

/** Written by the agent's capture when it enrols the pod. */
export type Redirect = { readonly outbound: { readonly host: string; readonly port: number } };

/** @throws Error naming the file when it cannot be read or is no JSON */
export function readPlace(path: string): Place {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Place;
  } catch (error) {
    throw new Error(`Cannot read the pod's network from ${path}: was the sandbox taken down?`, {
      cause: error,
    });
  }
}

/** Replaces the file in one step: a reader sees the old text or the new one. */
export function writeWhole(path: string, value: unknown): void {
  const fresh = `${path}.new`;
  writeFileSync(fresh, JSON.stringify(value));
  renameSync(fresh, path);
}

/** A file that is read again when it has changed; undefined while it does not exist. */
export class WatchedFile<T> {
  readonly #path: string;
  #seen = '';
  #value: T | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** @throws SyntaxError when the file is no JSON: better no connection than one that avoids the mesh */
  read(): T | undefined {
    const found = statSync(this.#path, { throwIfNoEntry: false, bigint: true });
    if (found === undefined) {
      this.#seen = '';
      return undefined;
    }
    const version = `${found.ino} ${found.mtimeNs} ${found.size}`;
    if (version === this.#seen) return this.#value;
    this.#value = JSON.parse(readFileSync(this.#path, 'utf8')) as T;
    this.#seen = version;
    return this.#value;
  }
}
