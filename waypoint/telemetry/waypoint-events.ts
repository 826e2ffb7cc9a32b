// What a waypoint did about a request or an endpoint besides carrying it on: retries, ejections, limits, faults. Called by
// the parts that do these things.

import type { Service } from '../../mesh/service.ts';
import type { Clock } from '../../runtime/clock.ts';
import { LabelCounts } from '../../runtime/label-counts.ts';
import type { Metrics } from '../../runtime/metrics.ts';

export type WaypointEvent =
  | 'retry'
  | 'retry_denied'
  | 'ejection'
  | 'readmission'
  | 'limit'
  | 'fault'
  | 'rate_limited'
  | 'shed'
  | 'hedge'
  | 'mirror';

export class WaypointEvents {
  readonly #counts: LabelCounts;

  constructor(parts: { readonly clock: Clock; readonly metrics: Metrics }) {
    this.#counts = new LabelCounts(parts, {
      beyond: (labels) => ({ ...labels, service: 'too-many' }),
    });
    parts.metrics.collectedCounter(
      {
        name: 'ambit_waypoint_events_total',
        help: 'What the waypoint did about requests and endpoints, and why',
        labels: ['event', 'reason', 'service'],
      },
      () => this.#counts.samples(),
    );
  }

  /** `reason` is one of few words of the caller's, never a text that came in a request. */
  count(
    event: WaypointEvent,
    reason: string,
    service: Pick<Service, 'hostname'> | undefined,
  ): void {
    this.#counts.inc({ event, reason, service: service?.hostname ?? 'unknown' });
  }
}
