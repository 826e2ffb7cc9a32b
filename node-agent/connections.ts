// What is open on this node, each connection with the decision it stands on. Called by the three journeys and by app.ts
// when policy changes. Invariant: an inbound connection is here before it is authorized, so that no change of policy can
// fall between its check and its watch.

import { MeshError } from '../mesh/failures.ts';

export type Direction = 'inbound' | 'outbound';

export type OpenConnection = {
  readonly direction: Direction;
  /** The pod of this node it belongs to. */
  readonly podUid: string;
  /** What the admin door shows. */
  readonly description: Readonly<Record<string, string | undefined>>;
  /** Asked again after each change of policy or workloads: throws when the answer would be no by now. */
  readonly check?: () => void;
};

export type Registered = {
  /** Aborted when the connection has to go; its reason is a MeshError. */
  readonly signal: AbortSignal;
  cut(reason: unknown): void;
  /** The connection has ended. */
  [Symbol.dispose](): void;
};

/** Half of what a process may usually hold open as files (1,048,576 on a node), two descriptors a connection. */
const MAX_CONNECTIONS = 250_000;
/** One pod must not use up the node. */
const MAX_CONNECTIONS_A_POD = 50_000;

type Entry = { readonly connection: OpenConnection; readonly abort: AbortController };

export class Connections {
  readonly #entries = new Set<Entry>();
  readonly #perPod = new Map<string, number>();
  readonly #endListeners = new Set<() => void>();

  /** @throws MeshError CONNECTION_LIMIT */
  register(connection: OpenConnection): Registered {
    const { podUid } = connection;
    const ofPod = this.#perPod.get(podUid) ?? 0;
    if (this.#entries.size >= MAX_CONNECTIONS || ofPod >= MAX_CONNECTIONS_A_POD) {
      throw new MeshError(
        'CONNECTION_LIMIT',
        `Cannot take another connection: ${this.#entries.size} are open on this node, ${ofPod} of this pod`,
      );
    }
    const entry: Entry = { connection, abort: new AbortController() };
    this.#entries.add(entry);
    this.#perPod.set(podUid, ofPod + 1);
    return {
      signal: entry.abort.signal,
      cut: (reason) => entry.abort.abort(reason),
      [Symbol.dispose]: () => this.#end(entry),
    };
  }

  count(podUid?: string): number {
    return podUid === undefined ? this.#entries.size : (this.#perPod.get(podUid) ?? 0);
  }

  *open(): IterableIterator<OpenConnection> {
    for (const { connection } of this.#entries) yield connection;
  }

  /** After a change of policy or workloads: cuts what would not be let in now. */
  recheck(): void {
    for (const { connection, abort } of this.#entries) {
      try {
        connection.check?.();
      } catch (error) {
        abort.abort(error);
      }
    }
  }

  /** Cuts a pod's connections, or all of them. */
  cutAll(reason: MeshError, podUid?: string): void {
    for (const { connection, abort } of this.#entries) {
      if (podUid === undefined || connection.podUid === podUid) abort.abort(reason);
    }
  }

  /** Resolves when a pod (or the node) has no connection open; true, or false when `signal` aborted first. */
  async idle(podUid: string | undefined, signal?: AbortSignal): Promise<boolean> {
    while (this.count(podUid) > 0) {
      if (signal?.aborted === true) return false;
      await new Promise<void>((resolve) => {
        const settle = (): void => {
          this.#endListeners.delete(settle);
          signal?.removeEventListener('abort', settle);
          resolve();
        };
        this.#endListeners.add(settle);
        signal?.addEventListener('abort', settle, { once: true });
      });
    }
    return true;
  }

  #end(entry: Entry): void {
    if (!this.#entries.delete(entry)) return;
    const { podUid } = entry.connection;
    const left = (this.#perPod.get(podUid) ?? 1) - 1;
    if (left > 0) this.#perPod.set(podUid, left);
    else this.#perPod.delete(podUid);
    if (left === 0) for (const listener of this.#endListeners) listener();
  }
}
