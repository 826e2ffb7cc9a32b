// Following the start of pods: arrivals and the plugin that hears of them, put together with their metrics. Called by app.ts;
// without settings there is no plugin, and pods are found late.

import { type Metrics, type Sample } from '../../runtime/metrics.ts';
import type { AgentConfig } from '../config.ts';
import { type ArrivalOutcome, type ArrivalParts, Arrivals } from './arrivals.ts';
import { NriPlugin } from './plugin.ts';
import { Sandboxes } from './sandboxes.ts';

export type Starts = Pick<Arrivals, 'has' | 'addresses' | 'podUids' | 'reconsider'> & {
  /** Resolves when it is known whether the runtime tells of pods before they start. */
  readonly settled: Promise<void>;
  /** One line for people: whether the runtime tells of pods, and how many wait. */
  describe(): string;
  /** Says goodbye to the runtime; what is enclosed stays so for the next agent. */
  close(): Promise<void>;
};

type Parts = Pick<ArrivalParts, 'clock' | 'log' | 'capture' | 'enrolments'> & {
  readonly discovery: ArrivalParts['discovery'] & { readonly report: ArrivalParts['report'] };
  readonly sandboxes?: Sandboxes;
  readonly metrics: Metrics;
};

export function followStarts(parts: Parts, settings: AgentConfig['nri']): Starts {
  const { clock, log, metrics, sandboxes = new Sandboxes() } = parts;
  const counts = new Map<ArrivalOutcome, number>();
  const arrivals = new Arrivals(
    {
      ...parts,
      sandboxes,
      report: (report) => parts.discovery.report(report),
      counted: (outcome) => counts.set(outcome, (counts.get(outcome) ?? 0) + 1),
    },
    { waitMs: settings?.waitMs ?? 0 },
  );
  const plugin =
    settings === undefined ? undefined : new NriPlugin({ clock, log, arrivals }, settings);
  metrics.collectedCounter(
    {
      name: 'ambit_pod_starts_total',
      help: 'Pods the container runtime told of before they started, by what became of them',
      labels: ['outcome'],
    },
    () => [...counts].map(([outcome, value]): Sample => ({ labels: { outcome }, value })),
  );
  const gauge = (name: string, help: string, value: () => number): void =>
    metrics.collectedGauge({ name, help }, () => [{ labels: {}, value: value() }]);
  gauge(
    'ambit_nri_connected',
    'Whether the container runtime tells of pods before they start',
    () => (plugin?.connected === true ? 1 : 0),
  );
  gauge(
    'ambit_pods_awaiting_enrolment',
    'Pods that run captured and are not enrolled: their connections fail',
    () => arrivals.waiting(),
  );
  return {
    has: (podUid) => arrivals.has(podUid),
    addresses: (podUid) => arrivals.addresses(podUid),
    podUids: () => arrivals.podUids(),
    reconsider: () => arrivals.reconsider(),
    settled: plugin?.settled ?? Promise.resolve(),
    describe() {
      const told = plugin?.connected === true ? 'tells' : 'does not tell';
      return `${told} of pods before they start; ${arrivals.waiting()} of them wait for their enrolment`;
    },
    async close() {
      await plugin?.close();
      await arrivals.close();
    },
  };
}
