// The control plane's own figures. Made once by app.ts.

import type { Metrics } from '../runtime/metrics.ts';
import type { Proxies } from './proxies.ts';
import type { PushCounters } from './push/connection.ts';
import type { StatusWriterParts } from './status/paced-writer.ts';
import { type Store, TYPES } from './store.ts';

export function countPushes(metrics: Metrics): PushCounters {
  const labels = ['type'];
  const responses = metrics.counter({
    name: 'ambit_discovery_responses_total',
    help: 'Discovery responses sent to agents and waypoints, by type',
    labels,
  });
  const resources = metrics.counter({
    name: 'ambit_discovery_resources_total',
    help: 'Resources in these responses, by type',
    labels,
  });
  const answers = metrics.counter({
    name: 'ambit_discovery_answers_total',
    help: 'What they answered, by type',
    labels: [...labels, 'answer'],
  });
  return {
    sent(typeUrl, count) {
      const type = shortName(typeUrl);
      responses.inc({ type });
      resources.inc({ type }, count);
    },
    acked: (typeUrl) => answers.inc({ type: shortName(typeUrl), answer: 'ack' }),
    nacked: (typeUrl) => answers.inc({ type: shortName(typeUrl), answer: 'nack' }),
  };
}

export function countStatusWrites(metrics: Metrics): StatusWriterParts['count'] {
  const writes = metrics.counter({
    name: 'ambit_status_writes_total',
    help: "Writes of users' objects' status, by what came of them",
    labels: ['kind', 'result'],
  });
  return (kind, result) => writes.inc({ kind, result });
}

export function exposeControlPlane(
  metrics: Metrics,
  parts: { readonly store: Store; readonly proxies: Proxies; readonly isLeader: () => boolean },
): void {
  const { store, proxies, isLeader } = parts;
  for (const kind of ['agent', 'waypoint'] as const) {
    metrics.collectedGauge(
      {
        name: `ambit_control_plane_${kind}s`,
        help: `Connected ${kind}s, by whether they have all`,
        labels: ['in_sync'],
      },
      () => {
        const all = proxies.list().filter(({ proxy }) => proxy.kind === kind);
        const inSync = all.filter(({ session }) => session.inSync).length;
        return [
          { labels: { in_sync: 'true' }, value: inSync },
          { labels: { in_sync: 'false' }, value: all.length - inSync },
        ];
      },
    );
  }
  metrics.collectedGauge(
    {
      name: 'ambit_control_plane_resources',
      help: 'Published resources, by type',
      labels: ['type'],
    },
    () =>
      TYPES.map((type) => ({
        labels: { type: shortName(type) },
        value: store.current.resources.get(type)?.size ?? 0,
      })),
  );
  metrics.collectedGauge(
    { name: 'ambit_control_plane_version', help: 'Published versions since the start' },
    () => [{ labels: {}, value: store.current.version }],
  );
  metrics.collectedGauge(
    { name: 'ambit_control_plane_leader', help: '1 on the replica that writes' },
    () => [{ labels: {}, value: isLeader() ? 1 : 0 }],
  );
}

function shortName(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
}
