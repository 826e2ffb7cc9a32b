// What is open on this node, each connection with the decision it stands on. Called by the three journeys and by app.ts
// when policy changes. Invariant: an inbound connection is here before it is authorized, so that no change of policy can
// fall between its check and its watch.

import type { IpPort } from '../mesh/address.ts';
import { type FailureCode, MeshError } from '../mesh/failures.ts';
import type { Identity } from '../mesh/identity.ts';
import type { SpliceCounts } from '../tunnel/splice.ts';
import type { Limits } from './limits.ts';

export type Direction = 'inbound' | 'outbound';

export type OpenConnection = {
  readonly direction: Direction;
  /** The pod of this node it belongs to. */
  readonly podUid: string;
  /** What the admin door shows. */
  readonly description: Readonly<Record<string, string | undefined>>;
  /** Its record so far, for the admin door. */
  readonly trail?: Progress;
  /** Asked again after each change of its pod's policies: throws when the answer would be no by now. */
  readonly check?: () => void;
};

/** What of a Trail is shown while the connection is open. */
export type Progress = {
  readonly facts: {
    readonly destination: IpPort;
    readonly authority?: string | undefined;
    readonly sourceIdentity?: Identity | undefined;
    readonly destinationIdentity?: Identity | undefined;
  };
  readonly counts: SpliceCounts;
  /** Monotonic milliseconds. */
  readonly beganAt: number;
};

export type Registered = {
  /** Aborted when the connection has to go; its reason is a MeshError. */
  readonly signal: AbortSignal;
  cut(reason: unknown): void;
  /** The connection has ended. */
  [Symbol.dispose](): void;
};

type Entry = { readonly connection: OpenConnection; readonly abort: AbortController };

export class Connections {
  readonly #limits: Pick<Limits, 'admit'> | undefined;
  /** By pod, so that a pod's change costs nothing of the others' connections. */
  readonly #byPod = new Map<string, Set<Entry>>();
  #count = 0;
  readonly #endListeners = new Set<() => void>();
  readonly #cuts = new Map<FailureCode, number>();

  /** Without limits as many as come. */
  constructor(limits?: Pick<Limits, 'admit'>) {
    this.#limits = limits;
  }

  /** @throws MeshError as {@link Limits.admit} */
  register(connection: OpenConnection): Registered {
    const { podUid } = connection;
    const ofPod = this.#byPod.get(podUid) ?? new Set();
    this.#limits?.admit({ onNode: this.#count, ofPod: ofPod.size });
    const entry: Entry = { connection, abort: new AbortController() };
    ofPod.add(entry);
    this.#byPod.set(podUid, ofPod);
    this.#count++;
    return {
      signal: entry.abort.signal,
      // the other end gave up: no doing of ours
      cut: (reason) => entry.abort.abort(reason),
      [Symbol.dispose]: () => this.#end(entry),
    };
  }

  count(podUid?: string): number {
    return podUid === undefined ? this.#count : (this.#byPod.get(podUid)?.size ?? 0);
  }

  *open(): IterableIterator<OpenConnection> {
    for (const { connection } of this.#entries()) yield connection;
  }

  /** After a change of policy or workloads: cuts what of these pods would not be let in now; returns why, one each. */
  recheck(podUids: ReadonlySet<string>): MeshError[] {
    const cut: MeshError[] = [];
    for (const entry of this.#entries(podUids)) {
      if (entry.abort.signal.aborted) continue;
      try {
        entry.connection.check?.();
      } catch (error) {
        const reason = asCut(error);
        cut.push(reason);
        this.#cut(entry, reason);
      }
    }
    return cut;
  }

  /** Cuts a pod's connections, or all of them. */
  cutAll(reason: MeshError, podUid?: string): void {
    const podUids = podUid === undefined ? this.#byPod.keys() : [podUid];
    for (const entry of this.#entries(podUids)) this.#cut(entry, reason);
  }

  /** How many connections this agent has ended before their time, by the failure they ended with. */
  cuts(): ReadonlyMap<FailureCode, number> {
    return this.#cuts;
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

  *#entries(podUids: Iterable<string> = this.#byPod.keys()): IterableIterator<Entry> {
    for (const podUid of podUids) yield* this.#byPod.get(podUid) ?? [];
  }

  #cut({ abort }: Entry, reason: MeshError): void {
    if (abort.signal.aborted) return;
    this.#cuts.set(reason.code, (this.#cuts.get(reason.code) ?? 0) + 1);
    abort.abort(reason);
  }

  #end(entry: Entry): void {
    const { podUid } = entry.connection;
    const ofPod = this.#byPod.get(podUid);
    if (ofPod?.delete(entry) !== true) return;
    this.#count--;
    if (ofPod.size > 0) return;
    this.#byPod.delete(podUid);
    for (const listener of this.#endListeners) listener();
  }
}

/** What was admitted once and would be refused now; anything else that a check says stands for itself. */
function asCut(error: unknown): MeshError {
  if (!(error instanceof MeshError)) {
    return new MeshError('INTERNAL', 'Cut: its check failed', { cause: error });
  }
  const byPolicy = error.code === 'POLICY_DENIED' || error.code === 'POLICY_UNKNOWN';
  if (!byPolicy) return error;
  const message = `connection closed due to policy change: ${error.message}`;
  return new MeshError('POLICY_CHANGED', message, { cause: error });
}
