// Metrics in Prometheus text format. The only importer of prom-client. What runs once a connection or oftener keeps its
// own plain counters and is read at scrape time (collectedCounter): prom-client hashes the labels on every call.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string>>;
export type MetricSettings = {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
};
export type Sample = { readonly labels: Labels; readonly value: number };

export class Metrics {
  readonly #registry = new Registry();

  /** Adds Node's own process metrics (memory, event loop lag, descriptors); once, in a component's composition root. */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  counter(settings: MetricSettings): { inc(labels?: Labels, by?: number): void } {
    const metric = new Counter({ ...this.#base(settings) });
    return { inc: (labels, by) => metric.inc(labels ?? {}, by ?? 1) };
  }

  gauge(settings: MetricSettings): { set(value: number, labels?: Labels): void } {
    const metric = new Gauge({ ...this.#base(settings) });
    return { set: (value, labels) => metric.set(labels ?? {}, value) };
  }

  histogram(settings: MetricSettings & { readonly buckets: readonly number[] }): {
    observe(value: number, labels?: Labels): void;
  } {
    const metric = new Histogram({ ...this.#base(settings), buckets: [...settings.buckets] });
    return { observe: (value, labels) => metric.observe(labels ?? {}, value) };
  }

  /** A counter whose values live elsewhere; `collect` is called at each scrape and gives all of them. */
  collectedCounter(settings: MetricSettings, collect: () => Iterable<Sample>): void {
    new Counter({
      ...this.#base(settings),
      collect() {
        this.reset();
        for (const { labels, value } of collect()) this.inc(labels, value);
      },
    });
  }

  collectedGauge(settings: MetricSettings, collect: () => Iterable<Sample>): void {
    new Gauge({
      ...this.#base(settings),
      collect() {
        this.reset();
        for (const { labels, value } of collect()) this.set(labels, value);
      },
    });
  }

  /** The whole registry in text format 0.0.4. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #base(settings: MetricSettings): {
    name: string;
    help: string;
    labelNames: string[];
    registers: Registry[];
  } {
    return {
      name: settings.name,
      help: settings.help,
      labelNames: [...(settings.labels ?? [])],
      registers: [this.#registry],
    };
  }
}
