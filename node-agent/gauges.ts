// What is counted elsewhere and told at each scrape: enrolled pods, tunnels, connections, lines nobody read. Called by
// app.ts.

import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import { VERSION } from '../runtime/version.ts';
import type { AdminView } from './admin-view.ts';

export function exposeGauges(metrics: Metrics, log: Log, view: AdminView): void {
  const { enrolments, pool, connections } = view;
  const one = (name: string, help: string, value: () => number): void =>
    metrics.collectedGauge({ name, help }, () => [{ labels: {}, value: value() }]);
  const count = (enabled: boolean): number =>
    [...enrolments.pods()].filter(({ state }) => (state === 'enabled') === enabled).length;
  metrics.collectedGauge(
    { name: 'istio_build', help: 'Version of this build', labels: ['component', 'tag'] },
    () => [{ labels: { component: 'node-agent', tag: VERSION }, value: 1 }],
  );
  one('workload_manager_active_proxy_count', 'Enrolled pods on this node', () => count(true));
  one(
    'workload_manager_pending_proxy_count',
    'Pods on this node not (or not any more) enrolled',
    () => count(false),
  );
  one('ambit_tunnels_open', 'Tunnels to peers, open or being opened', () => pool.tunnels);
  metrics.collectedCounter(
    {
      name: 'ambit_connections_cut_total',
      help: 'Connections this agent ended before their time, by failure',
      labels: ['reason'],
    },
    () => [...connections.cuts()].map(([reason, value]) => ({ labels: { reason }, value })),
  );
  one('ambit_connections_open', 'Connections carried now', () => connections.count());
  metrics.collectedCounter(
    {
      name: 'ambit_log_lines_dropped_total',
      help: 'Log lines that were not written since nobody read them',
    },
    () => [{ labels: {}, value: log.dropped() }],
  );
}
