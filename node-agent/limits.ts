// Whether there is room for another connection: their number, a pod's share of it, memory, descriptors. Asked by
// connections.ts for each one. Invariant: what is open is left alone; only new connections are refused, each with a
// failure of its own, counted, and said in the log not oftener than people can read.

import { readFileSync } from 'node:fs';
import { getHeapStatistics } from 'node:v8';
import { type FailureCode, MeshError } from '../mesh/failures.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';

export type LimitSettings = {
  readonly maxConnections: number;
  readonly maxConnectionsPerPod: number;
  /** Of what the process may have: above it no new connection is taken. 0 to 1. */
  readonly memoryFraction: number;
};

export const DEFAULT_LIMITS: LimitSettings = {
  // half of what a process may usually hold open as files (1,048,576 on a node), two descriptors a connection
  maxConnections: 250_000,
  // one pod must not use up the node
  maxConnectionsPerPod: 50_000,
  // what is left must do for the connections that are open
  memoryFraction: 0.9,
};

export type LimitName = 'connections' | 'connections-per-pod' | 'descriptors' | 'memory';

/**
 * Both ends of a connection have one; listeners, files and tunnels have what is kept free. Were there none left, libuv would
 * close what comes without a word to us: so the limit is before that.
 */
const DESCRIPTORS_A_CONNECTION = 2;
const DESCRIPTORS_KEPT_FREE = 1024;
/** Where there are few at all, this part of them. */
const PART_KEPT_FREE = 0.25;
/** Reading the state of memory costs some microseconds; a burst of connections asks once. */
const MEMORY_LOOK_MS = 100;
const LOG_EVERY_MS = 10_000;

/** Fractions of the two bounds a process has; the higher counts. */
export type MemoryUse = () => { readonly fraction: number; readonly words: string };

export class Limits {
  readonly #parts: { readonly clock: Clock; readonly log: Log };
  readonly #settings: LimitSettings;
  readonly #memory: MemoryUse;
  readonly #descriptors: number;
  readonly #reached = new Map<LimitName, number>();
  readonly #loggedAt = new Map<LimitName, number>();
  #looked = { at: Number.NEGATIVE_INFINITY, fraction: 0, words: '' };

  constructor(
    parts: { readonly clock: Clock; readonly log: Log; readonly metrics?: Metrics },
    settings: LimitSettings,
    machine: { readonly memory?: MemoryUse; readonly descriptors?: number } = {},
  ) {
    this.#parts = parts;
    this.#settings = settings;
    this.#memory = machine.memory ?? memoryUse;
    this.#descriptors = machine.descriptors ?? descriptorLimit();
    parts.metrics?.collectedCounter(
      {
        name: 'ambit_limit_reached_total',
        help: 'Connections that were refused for want of room',
        labels: ['limit'],
      },
      () => [...this.#reached].map(([limit, value]) => ({ labels: { limit }, value })),
    );
  }

  /** @throws MeshError CONNECTION_LIMIT, POD_CONNECTION_LIMIT, DESCRIPTOR_LIMIT, MEMORY_LIMIT */
  admit(open: { readonly onNode: number; readonly ofPod: number }): void {
    const { maxConnections, maxConnectionsPerPod, memoryFraction } = this.#settings;
    if (open.onNode >= maxConnections) {
      this.#refuse('connections', 'CONNECTION_LIMIT', `${open.onNode} are open on this node`);
    }
    if (open.ofPod >= maxConnectionsPerPod) {
      this.#refuse(
        'connections-per-pod',
        'POD_CONNECTION_LIMIT',
        `${open.ofPod} are open of this pod`,
      );
    }
    const kept = Math.min(DESCRIPTORS_KEPT_FREE, this.#descriptors * PART_KEPT_FREE);
    const room = (this.#descriptors - kept) / DESCRIPTORS_A_CONNECTION;
    if (open.onNode >= room) {
      this.#refuse(
        'descriptors',
        'DESCRIPTOR_LIMIT',
        `${open.onNode} are open, and the process may have ${this.#descriptors} descriptors; raise its limit`,
      );
    }
    const { fraction, words } = this.#look();
    if (fraction >= memoryFraction) this.#refuse('memory', 'MEMORY_LIMIT', words);
  }

  #look(): { readonly fraction: number; readonly words: string } {
    const now = this.#parts.clock.monotonic();
    if (now - this.#looked.at >= MEMORY_LOOK_MS) this.#looked = { at: now, ...this.#memory() };
    return this.#looked;
  }

  #refuse(limit: LimitName, code: FailureCode, words: string): never {
    const message = `Cannot take another connection: ${words}`;
    this.#tell(limit, message);
    throw new MeshError(code, message);
  }

  #tell(limit: LimitName, message: string): void {
    const times = (this.#reached.get(limit) ?? 0) + 1;
    this.#reached.set(limit, times);
    const now = this.#parts.clock.monotonic();
    const last = this.#loggedAt.get(limit);
    if (last !== undefined && now - last < LOG_EVERY_MS) return;
    this.#loggedAt.set(limit, now);
    this.#parts.log.error(message, { limit, times });
  }
}

function memoryUse(): { fraction: number; words: string } {
  const { used_heap_size: used, heap_size_limit: most } = getHeapStatistics();
  const heap = used / most;
  const allowed = process.constrainedMemory();
  const resident = process.memoryUsage.rss();
  // no bound of the container's is told as 0, or as more than any machine has
  const isBound = allowed > 0 && allowed < Number.MAX_SAFE_INTEGER;
  const container = isBound ? resident / allowed : 0;
  return heap >= container
    ? { fraction: heap, words: `the heap has ${mebibytes(used)} of ${mebibytes(most)}` }
    : {
        fraction: container,
        words: `the process has ${mebibytes(resident)} of the container's ${mebibytes(allowed)}`,
      };
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}

/** The soft limit; Node has raised it to the hard one at its start. Without /proc, no bound is known. */
function descriptorLimit(): number {
  try {
    const [, soft] =
      /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
