// Finds or dials the tunnel a connection needs: few tunnels, many streams, one dial at a time for a key. Called by
// node-agent/outbound.ts and the waypoint. Invariants: a tunnel only carries streams of the very identities it was
// verified for, and of the pod it was dialled from; no new stream goes to an address that has passed to another workload.

import { formatIpPort, type IpAddress, type IpPort } from '../mesh/address.ts';
import { type FailureCode, MeshError } from '../mesh/failures.ts';
import { formatIdentity, type Identity } from '../mesh/identity.ts';
import { orAborted } from '../runtime/aborted.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { PeerTrust } from './trust.ts';
import { type ConnectHead, type Tunnel, type TunnelStream, UnprocessedError } from './tunnel.ts';

/** Which tunnels may serve a connection: everything here must be equal. */
export type TunnelKey = {
  /** Whose sockets: the pod it is dialled from. Two pods may have one identity, and one address after another. */
  readonly owner: string;
  readonly source: Identity;
  readonly sourceIp: IpAddress;
  readonly expected: readonly Identity[];
  readonly destination: IpPort;
  /** Whose address that is, by UID; undefined for one that is nobody's, a gateway's or a load balancer's. */
  readonly workload: string | undefined;
};

export type TunnelDial = (key: TunnelKey, signal: AbortSignal) => Promise<Tunnel>;

/** As long as the reference keeps an unused tunnel: a keep-alive connection's usual gap fits in. */
export const IDLE_RELEASE_MS = 300_000;
/** 100 streams each: 10,000 connections from one pod to another, and some; beyond that the application leaks them. */
const MAX_TUNNELS_A_KEY = 128;
/** A tunnel costs about 150 kB: this bounds the pool to some 600 MB in the worst case. */
const MAX_TUNNELS = 4096;
/** Connections waiting for one key's dial: all that those tunnels could carry, opened at once. */
const MAX_WAITING_A_KEY = 12_800;
/** A stream that was surely not looked at is tried this often on another tunnel (a GOAWAY raced with it). */
const MAX_TRIES = 3;
/** Dials one connection waits for when others take every stream first: one for each tunnel there may be, and some. */
const MAX_ROUNDS = MAX_TUNNELS_A_KEY + 8;

type Entry = {
  readonly key: TunnelKey;
  readonly tunnels: Set<Tunnel>;
  dialling: Promise<Tunnel> | undefined;
  waiting: number;
  /** Aborted when the destination's address is not the workload's any more. */
  readonly passed: AbortController;
};

export type PoolParts = {
  readonly clock: Clock;
  readonly dial: TunnelDial;
  /** Whether the destination's address is still the key's workload's, as far as is known now. */
  readonly isCurrent: (key: TunnelKey) => boolean;
  /** How long a tunnel without streams is kept; {@link IDLE_RELEASE_MS} without it. */
  readonly idleReleaseMs?: number;
  /** A tunnel ended although nobody wanted it to. */
  readonly onLost?: (key: TunnelKey, error: MeshError) => void;
};

export class TunnelPool {
  readonly #parts: PoolParts;
  readonly #entries = new Map<string, Entry>();
  /** Every tunnel that is open, those of forgotten entries too. */
  readonly #open = new Map<Tunnel, TunnelKey>();
  readonly #stop = new AbortController();
  #tunnels = 0;

  constructor(parts: PoolParts) {
    this.#parts = parts;
  }

  /** Tunnels open or being dialled. */
  get tunnels(): number {
    return this.#tunnels;
  }

  /** @throws MeshError; DESTINATION_PASSED, TUNNEL_LIMIT, TUNNEL_PEER_LIMIT, TUNNEL_QUEUE_LIMIT of its own */
  async open(key: TunnelKey, head: ConnectHead, signal?: AbortSignal): Promise<TunnelStream> {
    let tries = 0;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const tunnel = await this.#obtain(key, signal);
      if (!tunnel.available) {
        // others who waited for the same dial have taken the last stream, or the peer takes none at all
        if (tunnel.streams === 0) {
          void tunnel.drain();
          if (++tries === MAX_TRIES) throw limit('TUNNEL_PEER_LIMIT', key, 'it takes no streams');
        }
        continue;
      }
      try {
        return await tunnel.open(head, signal);
      } catch (error) {
        if (!(error instanceof UnprocessedError) || ++tries === MAX_TRIES) throw error;
      }
    }
    throw limit('TUNNEL_QUEUE_LIMIT', key, `no free stream after ${MAX_ROUNDS} tries`);
  }

  /** No new streams on this pod's tunnels; resolves when the present ones have ended. */
  async drain(owner: string): Promise<void> {
    await Promise.all(this.#of(owner).map((tunnel) => tunnel.drain()));
  }

  /** Ends this pod's tunnels at once. */
  async release(owner: string): Promise<void> {
    await Promise.all(this.#of(owner).map((tunnel) => tunnel.close()));
  }

  /**
   * To be called when workloads have changed: tunnels to an address that has passed to another workload, or to none, take
   * no new stream and end with their present ones; dials to it are given up. How many tunnels and dials that were.
   */
  evict(): number {
    let evicted = 0;
    for (const [name, entry] of this.#entries) {
      if (this.#parts.isCurrent(entry.key)) continue;
      evicted += entry.tunnels.size + (entry.dialling === undefined ? 0 : 1);
      this.#entries.delete(name);
      entry.passed.abort(passed(entry.key));
      for (const tunnel of entry.tunnels) void tunnel.drain();
    }
    return evicted;
  }

  /** Closes at once every tunnel whose peer's certificate is revoked now; how many that were. */
  recheck(trust: PeerTrust): number {
    return [...this.#open.keys()].filter((tunnel) => tunnel.recheck(trust)).length;
  }

  async close(): Promise<void> {
    this.#stop.abort(
      new MeshError('DRAIN_DEADLINE', 'Cannot open a tunnel: the agent is stopping'),
    );
    const dialling = [...this.#entries.values()].flatMap((entry) => entry.dialling ?? []);
    await Promise.allSettled(dialling);
    await Promise.all([...this.#open.keys()].map((tunnel) => tunnel.close()));
  }

  #of(owner: string): Tunnel[] {
    return [...this.#open].flatMap(([tunnel, key]) => (key.owner === owner ? [tunnel] : []));
  }

  async #obtain(key: TunnelKey, signal: AbortSignal | undefined): Promise<Tunnel> {
    signal?.throwIfAborted();
    const name = keyText(key);
    // whoever asks may have decided a moment ago
    if (!this.#parts.isCurrent(key)) throw passed(key);
    const entry = this.#entries.get(name) ?? this.#addEntry(name, key);
    for (const tunnel of entry.tunnels) if (tunnel.available) return tunnel;
    if (entry.waiting >= MAX_WAITING_A_KEY) {
      throw limit('TUNNEL_QUEUE_LIMIT', key, `${entry.waiting} connections are waiting for it`);
    }
    entry.waiting++;
    try {
      entry.dialling ??= this.#start(name, entry);
      return await (signal === undefined ? entry.dialling : orAborted(entry.dialling, signal));
    } finally {
      entry.waiting--;
      this.#forget(name, entry);
    }
  }

  #addEntry(name: string, key: TunnelKey): Entry {
    const entry: Entry = {
      key,
      tunnels: new Set(),
      dialling: undefined,
      waiting: 0,
      passed: new AbortController(),
    };
    this.#entries.set(name, entry);
    return entry;
  }

  #start(name: string, entry: Entry): Promise<Tunnel> {
    if (entry.tunnels.size >= MAX_TUNNELS_A_KEY) {
      const full = `${entry.tunnels.size} tunnels to it are full`;
      throw limit('TUNNEL_PEER_LIMIT', entry.key, full);
    }
    if (this.#tunnels >= MAX_TUNNELS) {
      throw limit('TUNNEL_LIMIT', entry.key, `${this.#tunnels} tunnels are open`);
    }
    this.#tunnels++;
    // not the asking connection's signal: others wait for this dial too, and the next connection will use it
    const signal = AbortSignal.any([this.#stop.signal, entry.passed.signal]);
    const dialling = this.#parts.dial(entry.key, signal).then(
      (tunnel) => {
        entry.dialling = undefined;
        this.#keep(name, entry, tunnel);
        if (!signal.aborted) return tunnel;
        // it was open before it heard
        void tunnel.close();
        throw signal.reason;
      },
      (error: unknown) => {
        entry.dialling = undefined;
        this.#tunnels--;
        throw error;
      },
    );
    dialling.catch(() => {
      // whoever still waits gets it; if nobody does any more, that is no fault
    });
    return dialling;
  }

  #keep(name: string, entry: Entry, tunnel: Tunnel): void {
    entry.tunnels.add(tunnel);
    this.#open.set(tunnel, entry.key);
    const { idleReleaseMs = IDLE_RELEASE_MS } = this.#parts;
    let release: Timer | undefined;
    const idle = (): void => {
      release?.cancel();
      release = this.#parts.clock.timer(idleReleaseMs, () => {
        if (tunnel.streams === 0) void tunnel.drain();
      });
    };
    tunnel.onIdle(idle);
    void tunnel.ended.then((error) => {
      if (error !== undefined) this.#parts.onLost?.(entry.key, error);
      release?.cancel();
      entry.tunnels.delete(tunnel);
      this.#open.delete(tunnel);
      this.#tunnels--;
      this.#forget(name, entry);
    });
    idle();
  }

  #forget(name: string, entry: Entry): void {
    if (entry.tunnels.size > 0 || entry.dialling !== undefined || entry.waiting > 0) return;
    if (this.#entries.get(name) === entry) this.#entries.delete(name);
  }
}

function keyText(key: TunnelKey): string {
  const expected = key.expected.map(formatIdentity).sort().join(',');
  return [
    key.owner,
    formatIdentity(key.source),
    key.sourceIp,
    expected,
    formatIpPort(key.destination),
    key.workload ?? '',
  ].join('|');
}

function passed({ destination, workload }: TunnelKey): MeshError {
  return new MeshError(
    'DESTINATION_PASSED',
    `Cannot open a tunnel to ${formatIpPort(destination)}: the address is not ${workload}'s any more`,
  );
}

function limit(code: FailureCode, key: TunnelKey, why: string): MeshError {
  return new MeshError(code, `Cannot open a tunnel to ${formatIpPort(key.destination)}: ${why}`);
}
