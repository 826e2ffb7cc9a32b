// The metrics of requests by Istio's names, as its dashboards and Kiali read them, from the waypoint's point of view. Told of
// each request by request-trail.ts.

import type { Clock } from '../../runtime/clock.ts';
import type { HistogramSample, Metrics, Sample } from '../../runtime/metrics.ts';
import { SERIES_IDLE_MS } from '../../runtime/series.ts';
import { BUCKETS, type Distribution } from './distribution.ts';
import type { EndedRequest, RequestObserver } from './request-facts.ts';
import { REQUEST_LABELS, type RequestCell, RequestSeries } from './request-series.ts';

export class RequestMetrics implements RequestObserver {
  readonly name = 'request metrics';
  readonly #series: RequestSeries;

  constructor(
    parts: { readonly clock: Clock; readonly metrics: Metrics },
    settings: { readonly seriesIdleMs?: number | undefined } = {},
  ) {
    const { clock, metrics } = parts;
    this.#series = new RequestSeries(clock, settings.seriesIdleMs ?? SERIES_IDLE_MS);
    const labels = REQUEST_LABELS;
    const counter = (name: string, help: string, read: (cell: RequestCell) => number): void =>
      metrics.collectedCounter({ name, help, labels }, () => this.#counts(read));
    const histogram = (
      name: string,
      help: string,
      read: (cell: RequestCell) => Distribution,
    ): void =>
      metrics.collectedHistogram({ name, help, labels, buckets: BUCKETS }, () =>
        this.#distributions(read),
      );
    counter('istio_requests_total', 'Requests', (cell) => cell.requests);
    counter('istio_request_messages_total', 'Messages of gRPC requests', (c) => c.requestMessages);
    counter('istio_response_messages_total', 'Messages of gRPC answers', (c) => c.responseMessages);
    histogram('istio_request_duration_milliseconds', 'Duration of requests', (c) => c.duration);
    histogram('istio_request_bytes', 'Size of request bodies', (c) => c.requestBytes);
    histogram('istio_response_bytes', 'Size of response bodies', (c) => c.responseBytes);
    metrics.collectedCounter(
      {
        name: 'ambit_metric_series_overflow_total',
        help: 'Requests that were counted without saying whose they were: there were too many series',
      },
      () => [{ labels: {}, value: this.#series.overflowed }],
    );
  }

  ended(request: EndedRequest): void {
    const { counts, durationMs } = request;
    const cell = this.#series.cell(request);
    cell.requests++;
    cell.requestMessages += counts.requestMessages;
    cell.responseMessages += counts.responseMessages;
    cell.duration.add(durationMs);
    cell.requestBytes.add(counts.bytesReceived);
    cell.responseBytes.add(counts.bytesSent);
  }

  *#counts(read: (cell: RequestCell) => number): Iterable<Sample> {
    for (const cell of this.#series.all()) {
      const value = read(cell);
      if (value > 0) yield { labels: cell.labels, value };
    }
  }

  *#distributions(read: (cell: RequestCell) => Distribution): Iterable<HistogramSample> {
    for (const cell of this.#series.all()) {
      const { counts, sum } = read(cell);
      yield { labels: cell.labels, counts, sum };
    }
  }
}
