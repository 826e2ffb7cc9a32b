// Metrics in Prometheus text format. The only importer of prom-client. What runs once a connection or oftener keeps its
// own plain counters and is read at scrape time (collectedCounter): prom-client hashes the labels on every call.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string>>;
export type MetricSettings = {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
};
export type HistogramSample = {
  readonly labels: Labels;
  /** How many values fell into each bucket, and last how many above all of them. */
  readonly counts: ArrayLike<number>;
  readonly sum: number;
};
export type Sample = { readonly labels: Labels; readonly value: number };

const OPEN_METRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

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

  /** A histogram whose counts live elsewhere; `collect` is called at each scrape and gives all of them. */
  collectedHistogram(
    settings: MetricSettings & { readonly buckets: readonly number[] },
    collect: () => Iterable<HistogramSample>,
  ): void {
    const { name, buckets } = settings;
    const metric = new Histogram({ ...this.#base(settings), buckets: [...buckets] });
    const head = {
      name,
      help: settings.help,
      type: 'histogram',
      aggregator: 'sum',
    } as const;
    Object.assign(metric, {
      // what the registry reads; the labels that all lines of a cell share are made into text once
      getForPromString: async () => {
        const values = [...collect()].flatMap((sample) => histogramLines(name, buckets, sample));
        return { ...head, values };
      },
    });
  }

  /** The whole registry: OpenMetrics 1.0 for a client that accepts it, else text format 0.0.4. */
  async exposition(accept = ''): Promise<{ contentType: string; body: string }> {
    const text = await this.#registry.metrics();
    if (!/\bapplication\/openmetrics-text\b/.test(accept)) {
      return { contentType: this.#registry.contentType, body: text };
    }
    return { contentType: OPEN_METRICS, body: openMetrics(text) };
  }

  /** The whole registry in text format 0.0.4. */
  async text(): Promise<string> {
    return (await this.exposition()).body;
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

type HistogramLine = {
  readonly labels: Record<string, number | string>;
  readonly sharedLabels: Labels;
  readonly metricName: string;
  readonly value: number;
};

function histogramLines(
  name: string,
  bounds: readonly number[],
  { labels: sharedLabels, counts, sum }: HistogramSample,
): HistogramLine[] {
  let total = 0;
  const lines: HistogramLine[] = [];
  for (let i = 0; i <= bounds.length; i++) {
    total += counts[i] ?? 0;
    const labels = { le: bounds[i] ?? '+Inf' };
    lines.push({ labels, sharedLabels, metricName: `${name}_bucket`, value: total });
  }
  lines.push({ labels: {}, sharedLabels, metricName: `${name}_sum`, value: sum });
  lines.push({ labels: {}, sharedLabels, metricName: `${name}_count`, value: total });
  return lines;
}

/**
 * OpenMetrics names a counter's family without `_total` in HELP and TYPE, demands that every counter's samples have it,
 * and an end mark; a counter of another name is of unknown type there.
 */
function openMetrics(text: string): string {
  const counters = new Set([...text.matchAll(/^# TYPE (\S+) counter$/gm)].map(([, name]) => name));
  const lines = text.split('\n').flatMap((line) => {
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line) ?? [];
    if (keyword === undefined) return line === '' ? [] : [line];
    const counts = counters.has(name);
    const family = counts && name.endsWith('_total') ? name.slice(0, -'_total'.length) : name;
    const type = counts && family === name ? 'unknown' : rest;
    return [`# ${keyword} ${family} ${keyword === 'TYPE' ? type : rest}`];
  });
  return `${lines.join('\n')}\n# EOF\n`;
}
