// A small mesh for tests in one process: a discovery that says what the test wants, a CA, and values with defaults.
// Called by the agent's flow tests, over loopback and in network namespaces alike.

import { setImmediate as turn } from 'node:timers/promises';
import { parseIp } from '../../mesh/address.ts';
import { CAPTURE_EVERYTHING, type CaptureOptions } from '../../mesh/capture-options.ts';
import type { Enrolment, EnrolmentReport } from '../../mesh/enrolment.ts';
import type { Identity } from '../../mesh/identity.ts';
import type { ResourceUpdate } from '../../mesh/resource-update.ts';
import type { Service } from '../../mesh/service.ts';
import { emptySnapshot, type Snapshot } from '../../mesh/snapshot.ts';
import { serviceOf as serviceIn, workloadOf as workloadIn } from '../../mesh/test-arbitraries.ts';
import type { TrustReport } from '../../mesh/trust.ts';
import type { PortMapping, Workload } from '../../mesh/workload.ts';
import { createLog, type Log } from '../../runtime/log.ts';
import type { Issue } from '../../tunnel/certificates/held-certificate.ts';
import { createTestCa, type TestCa } from '../../tunnel/test-ca.ts';
import type { AgentSettings, Discovery } from '../agent-parts.ts';

/** One node's view; all nodes of a test usually share one. */
export class HandmadeDiscovery implements Discovery {
  readonly synced = Promise.resolve();
  readonly reports: EnrolmentReport[] = [];
  readonly trustReports: TrustReport[] = [];
  readonly #listeners = new Set<(snapshot: Snapshot) => void>();
  readonly #waiting = new Set<() => void>();
  #snapshot = emptySnapshot;

  snapshot(): Snapshot {
    return this.#snapshot;
  }

  subscribe(listener: (snapshot: Snapshot) => void): () => void {
    this.#listeners.add(listener);
    for (const wake of this.#waiting) wake();
    return () => void this.#listeners.delete(listener);
  }

  report(report: EnrolmentReport): void {
    this.reports.push(report);
    for (const wake of this.#waiting) wake();
  }

  reportTrust(report: TrustReport): void {
    this.trustReports.push(report);
  }

  push(...updates: readonly ResourceUpdate[]): void {
    this.#snapshot = this.#snapshot.apply(updates);
    for (const listener of this.#listeners) listener(this.#snapshot);
  }

  /** Resolves when that many wait for news. */
  async watched(count: number): Promise<void> {
    while (this.#listeners.size < count) await this.#woken();
  }

  /** Resolves with the first report about the pod, in that state, that came after `since` reports. */
  async reported(
    podUid: string,
    state: EnrolmentReport['state'],
    since = 0,
  ): Promise<EnrolmentReport> {
    for (;;) {
      const found = this.reports
        .slice(since)
        .find((report) => report.podUid === podUid && report.state === state);
      if (found !== undefined) return found;
      await this.#woken();
    }
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
    });
  }
}

export type PodSpec = {
  readonly name: string;
  readonly uid: string;
  readonly addresses: readonly string[];
  readonly trustDomain?: string;
  readonly capture?: CaptureOptions;
};

export const NAMESPACE = 'shop';

export function identityOf(pod: PodSpec): Identity {
  const trustDomain = pod.trustDomain ?? 'cluster.local';
  return { trustDomain, namespace: NAMESPACE, serviceAccount: pod.name };
}

export function enrolmentOf(pod: PodSpec): Enrolment {
  return {
    podUid: pod.uid,
    workloadUid: workloadUid(pod),
    name: pod.name,
    namespace: NAMESPACE,
    identity: identityOf(pod),
    addresses: pod.addresses.map(parseIp),
    capture: pod.capture ?? CAPTURE_EVERYTHING,
  };
}

export function workloadUid(pod: PodSpec): string {
  return `Kubernetes//Pod/${NAMESPACE}/${pod.name}`;
}

export function workloadOf(pod: PodSpec, overrides: Partial<Workload> = {}): Workload {
  return workloadIn({
    uid: workloadUid(pod),
    name: pod.name,
    namespace: NAMESPACE,
    serviceAccount: pod.name,
    trustDomain: pod.trustDomain ?? 'cluster.local',
    node: 'node',
    addresses: pod.addresses.map(parseIp),
    canonicalName: pod.name,
    canonicalRevision: 'latest',
    workloadName: pod.name,
    workloadType: 'deployment',
    ...overrides,
  });
}

export function serviceOf(name: string, vip: string, ports: readonly PortMapping[]): Service {
  return serviceIn({
    name,
    namespace: NAMESPACE,
    hostname: `${name}.${NAMESPACE}.svc.cluster.local`,
    vips: [{ network: '', ip: parseIp(vip), prefixLength: undefined }],
    ports,
    canonical: true,
  });
}

export function portOf(servicePort: number, targetPort: number): PortMapping {
  return { servicePort, targetPort, appProtocol: 'tcp' };
}

export function issueFrom(ca: TestCa): Issue {
  return async (identity, csrPem) => ({ chain: [await ca.sign(csrPem, identity), ca.rootPem] });
}

export { createTestCa, type TestCa };

/** A log that remembers its lines. */
export function memoryLog(): { log: Log; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    component: 'test',
    level: 'debug',
    write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  return { log, lines };
}

/** Of an agent in a test: short waits, doors of its own, no container runtime. Tests spread what they want otherwise. */
export const AGENT_SETTINGS: AgentSettings = {
  trustDomain: 'cluster.local',
  certificateTtlMs: 3_600_000,
  drainDeadlineMs: 5000,
  leaveGraceMs: 100,
  watchIntervalMs: 100,
  dnsCapture: true,
  nri: undefined,
  admin: { host: '127.0.0.1', port: 0 },
  metrics: { host: '127.0.0.1', port: 0 },
  ready: { host: '127.0.0.1', port: 0 },
};

/** Lets work that leaves the event loop (keys, signatures) come back. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}
