// What this agent's certificates and roots look like from outside: metrics, and the report to the control plane by which
// a rotation of the root goes on. Called by app.ts.

import { X509Certificate } from 'node:crypto';
import { formatIdentity } from '../../mesh/identity.ts';
import type { TrustReport } from '../../mesh/trust.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Metrics, Sample } from '../../runtime/metrics.ts';
import { fingerprintOf } from '../../runtime/trust.ts';
import type { Certificates } from './certificates.ts';
import type { Priority } from './signing-queue.ts';

/** One series an identity: more than any node's pods have accounts in practice; those that end first are shown. */
const MAX_SERIES = 200;
/** A hundred certificates come and go together: one report a quarter second tells of all of them. */
const QUIET_MS = 250;
const PRIORITIES: readonly Priority[] = ['realtime', 'warmup', 'background'];

export function exposeCertificates(
  metrics: Metrics,
  certificates: Certificates,
  clock: Clock,
): void {
  metrics.collectedGauge(
    {
      name: 'ambit_certificate_expiration_timestamp_seconds',
      help: `When the certificate of an identity ends, in unix seconds; the ${MAX_SERIES} that end first`,
      labels: ['identity'],
    },
    () =>
      [...certificates.ends()]
        .flatMap(({ identity, notAfter }): Sample[] =>
          notAfter === undefined
            ? []
            : [{ labels: { identity: formatIdentity(identity) }, value: notAfter / 1000 }],
        )
        .toSorted((a, b) => a.value - b.value)
        .slice(0, MAX_SERIES),
  );
  metrics.collectedGauge(
    {
      name: 'ambit_certificates',
      help: 'Identities with a pod on this node, by the state of their certificate',
      labels: ['state'],
    },
    () => {
      const counts = { valid: 0, expired: 0, missing: 0 };
      for (const { notAfter } of certificates.ends()) {
        if (notAfter === undefined) counts.missing++;
        else if (notAfter <= clock.now()) counts.expired++;
        else counts.valid++;
      }
      return Object.entries(counts).map(([state, value]) => ({ labels: { state }, value }));
    },
  );
  metrics.collectedGauge(
    {
      name: 'ambit_root_expiration_timestamp_seconds',
      help: 'When a root this agent believes ends, in unix seconds',
      labels: ['fingerprint'],
    },
    () =>
      certificates.trust.roots.map((pem) => ({
        labels: { fingerprint: fingerprintOf(pem).slice(0, 16) },
        value: new X509Certificate(pem).validToDate.getTime() / 1000,
      })),
  );
  metrics.collectedGauge(
    {
      name: 'ambit_certificate_requests',
      help: 'Requests to the CA, by what they wait for; running ones are asked already',
      labels: ['priority'],
    },
    () => [
      { labels: { priority: 'running' }, value: certificates.queue.running },
      ...PRIORITIES.map((priority) => ({
        labels: { priority },
        value: certificates.queue.waiting(priority),
      })),
    ],
  );
  metrics.collectedGauge(
    {
      name: 'ambit_certificates_failing',
      help: 'Identities without a certificate, or with one whose renewal is overdue',
    },
    () => [{ labels: {}, value: certificates.failing }],
  );
}

/** Tells the control plane whenever what this agent believes or holds has changed, until closed. */
export function reportTrust(
  parts: {
    readonly clock: Clock;
    readonly discovery: { reportTrust(report: TrustReport): void };
  },
  certificates: Certificates,
): { close(): void } {
  let timer: Timer | undefined;
  let told = '';
  const tell = (): void => {
    timer = undefined;
    const report = certificates.report();
    if (report === undefined) return;
    const text = JSON.stringify(report);
    if (text === told) return;
    told = text;
    parts.discovery.reportTrust(report);
  };
  const unsubscribe = certificates.subscribe(() => {
    timer ??= parts.clock.timer(QUIET_MS, tell);
  });
  return {
    close() {
      unsubscribe();
      timer?.cancel();
    },
  };
}
