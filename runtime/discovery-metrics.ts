// What is told of a proxy's discovery connection: how fresh its snapshot is and where it came from, messages, ends of
// connections. The discovery client counts; composition roots expose.

import type { Clock } from './clock.ts';
import type { Metrics } from './metrics.ts';
import type { Readiness } from './readiness.ts';

export type SnapshotOrigin = 'none' | 'disk' | 'live';

/** The reference's words for why a connection ended. */
export type Termination = 'ConnectionError' | 'Error' | 'Reconnect' | 'Complete';

export class DiscoveryRecord {
  readonly #clock: Clock;
  readonly terminations = new Map<Termination, number>();
  readonly messages = new Map<string, { count: number; bytes: number }>();
  #origin: SnapshotOrigin = 'none';
  /** Monotonic; when what is known was surely the newest. Undefined while it is. */
  #freshUntil: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#freshUntil = clock.monotonic();
  }

  get origin(): SnapshotOrigin {
    return this.#origin;
  }

  /** How long the snapshot may have been behind; 0 while the control plane is connected and has told everything. */
  staleSeconds(): number {
    if (this.#freshUntil === undefined) return 0;
    return Math.max(0, (this.#clock.monotonic() - this.#freshUntil) / 1000);
  }

  fromDisk(savedAt: number): void {
    this.#origin = 'disk';
    const ageMs = Math.max(0, this.#clock.now() - savedAt);
    this.#freshUntil = this.#clock.monotonic() - ageMs;
  }

  live(): void {
    this.#origin = 'live';
    this.#freshUntil = undefined;
  }

  ended(why: Termination): void {
    this.terminations.set(why, (this.terminations.get(why) ?? 0) + 1);
    this.#freshUntil ??= this.#clock.monotonic();
  }

  received(typeUrl: string, bytes: number): void {
    const seen = this.messages.get(typeUrl) ?? { count: 0, bytes: 0 };
    this.messages.set(typeUrl, { count: seen.count + 1, bytes: seen.bytes + bytes });
  }

  /** One sentence for people. */
  toString(): string {
    const stale = Math.round(this.staleSeconds());
    const source = {
      none: 'nothing is known yet',
      disk: 'from disk',
      live: 'from the control plane',
    };
    return stale === 0 ? source[this.#origin] : `${source[this.#origin]}, ${stale} s old`;
  }
}

export function exposeDiscovery(
  parts: { readonly metrics: Metrics; readonly readiness: Readiness },
  record: DiscoveryRecord,
  saveFailures: () => number,
): void {
  const { metrics, readiness } = parts;
  readiness.detail('snapshot', () => String(record));
  metrics.collectedGauge(
    {
      name: 'ambit_discovery_stale_seconds',
      help: 'How long the snapshot may have been behind the control plane',
    },
    () => [{ labels: {}, value: record.staleSeconds() }],
  );
  metrics.collectedGauge(
    {
      name: 'ambit_snapshot_source',
      help: 'Where the snapshot came from: 1 for one of none, disk, live',
      labels: ['source'],
    },
    () => [{ labels: { source: record.origin }, value: 1 }],
  );
  metrics.collectedCounter(
    {
      name: 'ambit_snapshot_save_failures_total',
      help: 'How often the snapshot could not be written to disk',
    },
    () => [{ labels: {}, value: saveFailures() }],
  );
  metrics.collectedCounter(
    {
      name: 'istio_xds_connection_terminations_total',
      help: 'Ended connections to the control plane',
      labels: ['reason'],
    },
    () => [...record.terminations].map(([reason, value]) => ({ labels: { reason }, value })),
  );
  const messages = (name: string, help: string, of: 'count' | 'bytes'): void =>
    metrics.collectedCounter({ name, help, labels: ['url'] }, () =>
      [...record.messages].map(([url, seen]) => ({ labels: { url }, value: seen[of] })),
    );
  messages('istio_xds_message_total', 'Messages of the control plane', 'count');
  messages('istio_xds_message_bytes_total', 'Bytes of messages of the control plane', 'bytes');
}
