// The CA's own gauges, read at scrape time. Made once by app.ts; what a request counts is in answer.ts.

import type { Metrics } from '../runtime/metrics.ts';
import type { Gate } from './gate.ts';
import type { FollowedRoot } from './root.ts';

const PHASES = ['steady', 'distributing', 'renewing'] as const;

export function exposeGauges(
  metrics: Metrics,
  gate: Gate,
  root: FollowedRoot,
  leads: () => boolean,
): void {
  const one = (name: string, help: string, value: () => number): void =>
    metrics.collectedGauge({ name, help }, () => [{ labels: {}, value: value() }]);
  metrics.collectedGauge(
    {
      name: 'ambit_ca_requests',
      help: 'Certificate requests under way, by state',
      labels: ['state'],
    },
    () => [
      { labels: { state: 'running' }, value: gate.running },
      { labels: { state: 'waiting' }, value: gate.waiting },
    ],
  );
  one('ambit_ca_leader', '1 on the replica that looks after the root', () => (leads() ? 1 : 0));
  one(
    'ambit_ca_root_not_after_seconds',
    'When the signing chain ends, in unix seconds',
    () => (root.current()?.signer.notAfter ?? 0) / 1000,
  );
  one('ambit_ca_secret_unusable', '1 while a Secret of the CA cannot be used as it is', () =>
    root.problem() !== undefined || root.plugged().kind === 'unusable' ? 1 : 0,
  );
  metrics.collectedGauge(
    {
      name: 'ambit_ca_rotation_phase',
      help: '1 for the phase that the rotation of the root is in',
      labels: ['phase'],
    },
    () =>
      PHASES.map((phase) => ({
        labels: { phase },
        value: root.current()?.kept.move.phase === phase ? 1 : 0,
      })),
  );
}
