// What the log and the metrics say about tunnels that were refused, or ended although nobody wanted it. Called by app.ts.
// Invariant: every one is counted; the log has the first few of a second and how many more there were, since whoever
// floods the door must not fill the disk.

import { formatIpPort, type IpPort } from '../mesh/address.ts';
import { FAILURES, type MeshError } from '../mesh/failures.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';

const LINES_A_SECOND = 20;

type Told = {
  readonly source: IpPort;
  readonly destination: IpPort;
  readonly direction: 'inbound' | 'outbound';
  readonly error: MeshError;
};

type Counter = { inc(labels?: Record<string, string>, by?: number): void };

export class TunnelReports {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #refused: Counter;
  readonly #lost: Counter;
  readonly #evicted: Counter;
  #second = 0;
  #lines = 0;

  constructor(parts: { readonly clock: Clock; readonly log: Log; readonly metrics: Metrics }) {
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#refused = parts.metrics.counter({
      name: 'ambit_tunnel_peers_refused_total',
      help: 'Connections to the tunnel door that never became a tunnel, and streams refused at a limit',
      labels: ['response_flags', 'reason'],
    });
    this.#lost = parts.metrics.counter({
      name: 'ambit_tunnels_lost_total',
      help: 'Tunnels that ended although nobody wanted it: floods, broken rules, revoked peers, silence',
      labels: ['direction', 'reason'],
    });
    this.#evicted = parts.metrics.counter({
      name: 'ambit_tunnels_evicted_total',
      help: 'Tunnels that take no new stream since their address is not the same workload any more',
      labels: [],
    });
  }

  /** Never became a tunnel, or a stream. */
  refused(told: Told): void {
    const { code } = told.error;
    this.#refused.inc({ response_flags: FAILURES[code].flag, reason: code });
    this.#tell('connection failed', told);
  }

  lost(told: Told): void {
    this.#lost.inc({ direction: told.direction, reason: told.error.code });
    this.#tell('tunnel lost', told);
  }

  evicted(tunnels: number): void {
    if (tunnels > 0) this.#evicted.inc({}, tunnels);
  }

  #tell(message: string, { source, destination, direction, error }: Told): void {
    const second = Math.floor(this.#clock.now() / 1000);
    if (second !== this.#second) {
      const more = this.#lines - LINES_A_SECOND;
      if (more > 0) this.#log.warn('More tunnels were refused or lost than told', { more });
      this.#second = second;
      this.#lines = 0;
    }
    if (++this.#lines > LINES_A_SECOND) return;
    this.#log.warn(message, {
      'src.addr': formatIpPort(source),
      'dst.addr': formatIpPort(destination),
      direction,
      error: error.message,
      flag: FAILURES[error.code].flag,
    });
  }
}
