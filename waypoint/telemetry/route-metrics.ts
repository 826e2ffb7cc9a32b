// How the rules of routes are used: requests by class of answer, and how long they took. Told of each request by
// request-trail.ts. What met no route is in the metrics of requests only.

import type { Clock } from '../../runtime/clock.ts';
import type { Labels, Metrics } from '../../runtime/metrics.ts';
import { SERIES_IDLE_MS, SeriesCells } from '../../runtime/series.ts';
import { BUCKETS, Distribution } from './distribution.ts';
import type { EndedRequest, RequestObserver, RouteName } from './request-facts.ts';

type RouteCell = {
  readonly labels: Labels;
  /** By the first digit of the status; 0: nothing was answered. */
  readonly classes: Float64Array;
  readonly duration: Distribution;
  usedAt: number;
};

/** Sixteen rules of each of some hundred routes, which is more than a waypoint has. */
const MAX_ROUTE_CELLS = 2000;
const CLASSES = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;
const TOO_MANY: RouteName = { route: 'too-many', rule: 'too-many' };

export class RouteMetrics implements RequestObserver {
  readonly name = 'route metrics';
  readonly #cells: SeriesCells<RouteCell>;

  constructor(
    parts: { readonly clock: Clock; readonly metrics: Metrics },
    settings: { readonly seriesIdleMs?: number | undefined } = {},
  ) {
    const { clock, metrics } = parts;
    const idleMs = settings.seriesIdleMs ?? SERIES_IDLE_MS;
    this.#cells = new SeriesCells(clock, { maxCells: MAX_ROUTE_CELLS, idleMs });
    metrics.collectedCounter(
      {
        name: 'ambit_route_requests_total',
        help: 'Requests by the rule of the route that they matched',
        labels: ['route', 'rule', 'code_class'],
      },
      () => [...this.#cells.all()].flatMap(classSamples),
    );
    metrics.collectedHistogram(
      {
        name: 'ambit_route_request_duration_milliseconds',
        help: 'Duration of requests by the rule of the route that they matched',
        labels: ['route', 'rule'],
        buckets: BUCKETS,
      },
      () =>
        [...this.#cells.all()].map(({ labels, duration: { counts, sum } }) => ({
          labels,
          counts,
          sum,
        })),
    );
  }

  ended({ facts: { route }, status, durationMs }: EndedRequest): void {
    if (route === undefined) return;
    const cell =
      this.#cells.take(keyOf(route), () => newCell(route)) ??
      this.#cells.takeAnyway(keyOf(TOO_MANY), () => newCell(TOO_MANY));
    const digit = Math.min(Math.floor(status / 100), CLASSES.length - 1);
    cell.classes[digit] = (cell.classes[digit] ?? 0) + 1;
    cell.duration.add(durationMs);
  }
}

function keyOf({ route, rule }: RouteName): string {
  return `${route}\u0000${rule}`;
}

function newCell({ route, rule }: RouteName): RouteCell {
  const classes = new Float64Array(CLASSES.length);
  return { labels: { route, rule }, classes, duration: new Distribution(), usedAt: 0 };
}

function classSamples({ labels, classes }: RouteCell): { labels: Labels; value: number }[] {
  return CLASSES.map((name, digit) => ({
    labels: { ...labels, code_class: name },
    value: classes[digit] ?? 0,
  })).filter(({ value }) => value > 0);
}
