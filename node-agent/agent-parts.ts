// What an agent is made of and how it is set: what app.ts takes from connected.ts, or from a test, which brings its own
// discovery, issuance and capture.

import type { EnrolmentReport } from '../mesh/enrolment.ts';
import type { TrustReport } from '../mesh/trust.ts';
import type { Clock } from '../runtime/clock.ts';
import type { DiscoveryRecord } from '../runtime/discovery-metrics.ts';
import type { Log } from '../runtime/log.ts';
import type { Issue } from '../tunnel/certificates/held-certificate.ts';
import type { CaptureDriver } from './capture/capture.ts';
import type { AgentConfig } from './config.ts';
import type { DnsSettings } from './dns/dns.ts';
import type { ResolveHost } from './host-lookup.ts';
import type { SnapshotSource } from './known-source.ts';
import type { MetricsTunnelSettings } from './metrics-tunnel.ts';
import type { Sandboxes } from './nri/sandboxes.ts';

export type Discovery = SnapshotSource & {
  /** There is a snapshot to work from. */
  readonly synced: Promise<void>;
  /** The control plane itself has told everything; absent where every snapshot is its own. */
  readonly live?: Promise<void>;
  /** What is known of the connection, where there is one. */
  readonly record?: DiscoveryRecord;
  /** How often the snapshot could not be kept. */
  readonly saveFailures?: () => number;
  report(report: EnrolmentReport): void;
  reportTrust(report: TrustReport): void;
};

export type AgentParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly discovery: Discovery;
  readonly issue: Issue;
  readonly capture: CaptureDriver;
  /** Where `capture` looks for what the container runtime tells of. */
  readonly sandboxes?: Sandboxes;
  readonly random?: () => number;
  /** Ends the process politely: what /quitquitquit asks for. */
  readonly quit?: (why: string) => void;
  /** For endpoints that have a DNS name only. */
  readonly resolveHost?: ResolveHost;
};

export type AgentSettings = Pick<
  AgentConfig,
  | 'trustDomain'
  | 'certificateTtlMs'
  | 'drainDeadlineMs'
  | 'leaveGraceMs'
  | 'watchIntervalMs'
  | 'dnsCapture'
  | 'nri'
  | 'admin'
  | 'metrics'
  | 'ready'
> &
  Partial<
    Pick<
      AgentConfig,
      | 'nodeName'
      | 'tunnelIdleMs'
      | 'readyFile'
      | 'accessFilter'
      | 'seriesIdleMs'
      | 'limits'
      | 'tracing'
    >
  > & {
    /** Without it the DNS of no pod is captured. */
    readonly dns?: DnsSettings | undefined;
    /** Without it metrics are served in plain text only. */
    readonly metricsTunnel?: MetricsTunnelSettings | undefined;
  };
