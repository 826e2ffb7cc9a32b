// The node agent's settings, each with its default and reason. Read by main.ts from the environment; tests make their own.

import type { IpPort } from '../mesh/address.ts';
import { type AccessFilter, readAccessFilter } from '../runtime/access-filter.ts';
import type { Door } from '../runtime/admin.ts';
import type { SettingsReader } from '../runtime/env.ts';
import { SERIES_IDLE_MS } from '../runtime/series.ts';
import { readTracingSettings, type TracingSettings } from '../runtime/tracing/tracing.ts';
import { IDLE_RELEASE_MS } from '../tunnel/pool.ts';
import { ACCESS_FLAGS } from './access-log.ts';
import { parseNameServers } from './dns/resolv-conf.ts';
import { DEFAULT_LIMITS, type LimitSettings } from './limits.ts';

export type AgentConfig = {
  readonly nodeName: string;
  readonly podName: string;
  /** Where ca and control plane live, and the mesh's root of names. */
  readonly namespace: string;
  readonly trustDomain: string;
  readonly clusterId: string;
  readonly caAddress: string;
  readonly controlPlaneAddress: string;
  readonly tokenFile: string;
  readonly rootCertFile: string;
  readonly capture: 'netns' | 'loopback';
  readonly podDirectory: string;
  readonly dnsCapture: boolean;
  /** Who answers what the mesh does not know; empty: the servers of the agent's own resolv.conf. */
  readonly dnsUpstream: readonly IpPort[];
  readonly clusterDomain: string;
  /** Which of several ServiceEntries for one host is meant by clients of other namespaces. */
  readonly preferredServiceNamespace: string | undefined;
  /** The container runtime's NRI socket; undefined: pods are found by their namespaces only. */
  readonly nri: { readonly socket: string; readonly waitMs: number } | undefined;
  readonly probeBypass: boolean;
  readonly certificateTtlMs: number;
  readonly drainDeadlineMs: number;
  readonly leaveGraceMs: number;
  readonly watchIntervalMs: number;
  /** How long a tunnel without streams is kept. */
  readonly tunnelIdleMs: number;
  readonly limits: LimitSettings;
  readonly accessFilter: AccessFilter;
  /** How long a metric series nobody uses is still told of. */
  readonly seriesIdleMs: number;
  /** undefined: nobody collects traces. */
  readonly tracing: TracingSettings | undefined;
  /** Where the newest snapshot is kept for a restart without the control plane; undefined: nowhere. */
  readonly stateDirectory: string | undefined;
  readonly snapshotMaxAgeMs: number;
  readonly admin: Door;
  readonly metrics: Door;
  readonly ready: Door;
  /** Where the metrics are had through a mutual-TLS tunnel too; undefined: nowhere. */
  readonly metricsTunnelDoor: Door | undefined;
  /** Where this very agent's readiness is written, for its probe: the ready door may be another agent's. */
  readonly readyFile: string | undefined;
};

const DAY_MS = 86_400_000;
/** What Kubernetes gives a pod that does not say otherwise. */
const TERMINATION_GRACE_MS = 30_000;
/** Discovery tells every peer within milliseconds; this covers one that was just reconnecting. */
const LEAVE_GRACE_MS = 5000;
const WATCH_INTERVAL_MS = 10_000;

/** @throws ConfigError naming every setting that is wrong */
export function readAgentConfig(env: SettingsReader): AgentConfig {
  const namespace = env.text('AMBIT_NAMESPACE', 'ambit-system');
  const port = (name: string, fallback: number): number =>
    env.integer(name, fallback, { max: 65535 });
  const config: AgentConfig = {
    nodeName: env.text('NODE_NAME'),
    podName: env.text('POD_NAME', 'ambit-node-agent'),
    namespace,
    trustDomain: env.text('AMBIT_TRUST_DOMAIN', 'cluster.local'),
    clusterId: env.text('AMBIT_CLUSTER_ID', 'Kubernetes'),
    caAddress: env.text('AMBIT_CA_ADDRESS', `ambit-ca.${namespace}.svc:15012`),
    controlPlaneAddress: env.text(
      'AMBIT_CONTROL_PLANE_ADDRESS',
      `ambit-control-plane.${namespace}.svc:15012`,
    ),
    tokenFile: env.text('AMBIT_TOKEN_FILE', '/var/run/secrets/tokens/ambit-token'),
    rootCertFile: env.text('AMBIT_ROOT_CERT_FILE', '/var/run/secrets/ambit/root-cert.pem'),
    capture: env.oneOf('AMBIT_CAPTURE', ['netns', 'loopback'], 'netns'),
    dnsCapture: env.flag('AMBIT_DNS_CAPTURE', true),
    dnsUpstream: env.parsed('AMBIT_DNS_UPSTREAM', parseNameServers, []),
    clusterDomain: env.text('AMBIT_CLUSTER_DOMAIN', 'cluster.local'),
    preferredServiceNamespace: env.optional('AMBIT_PREFERRED_SERVICE_NAMESPACE'),
    nri: nriOf(env),
    probeBypass: env.flag('AMBIT_PROBE_BYPASS', true),
    podDirectory: env.text('AMBIT_POD_NETNS_DIR', '/run/ambit/pods'),
    // the reference's lifetime; renewed at half of it
    certificateTtlMs: env.durationMs('AMBIT_CERTIFICATE_TTL', DAY_MS),
    drainDeadlineMs: env.durationMs(
      'AMBIT_DRAIN_DEADLINE',
      drainDeadline(env.durationMs('AMBIT_TERMINATION_GRACE', TERMINATION_GRACE_MS)),
    ),
    leaveGraceMs: env.durationMs('AMBIT_LEAVE_GRACE', LEAVE_GRACE_MS),
    // pods live for hours: this only bounds how long one with a new namespace stays outside
    watchIntervalMs: env.durationMs('AMBIT_WATCH_INTERVAL', WATCH_INTERVAL_MS),
    tunnelIdleMs: env.durationMs('AMBIT_TUNNEL_IDLE', IDLE_RELEASE_MS),
    limits: {
      maxConnections: env.integer('AMBIT_MAX_CONNECTIONS', DEFAULT_LIMITS.maxConnections, {
        min: 1,
      }),
      maxConnectionsPerPod: env.integer(
        'AMBIT_MAX_CONNECTIONS_PER_POD',
        DEFAULT_LIMITS.maxConnectionsPerPod,
        {
          min: 1,
        },
      ),
      memoryFraction: env.fraction('AMBIT_MEMORY_LIMIT', DEFAULT_LIMITS.memoryFraction),
    },
    accessFilter: readAccessFilter(env, ACCESS_FLAGS),
    seriesIdleMs: env.durationMs('AMBIT_METRICS_IDLE', SERIES_IDLE_MS),
    tracing: readTracingSettings(env),
    stateDirectory: env.optional('AMBIT_STATE_DIR'),
    snapshotMaxAgeMs: env.durationMs('AMBIT_SNAPSHOT_MAX_AGE', DAY_MS),
    // for people on the machine only
    admin: { host: '127.0.0.1', port: port('AMBIT_ADMIN_PORT', 15000), shared: true },
    metrics: { host: '0.0.0.0', port: port('AMBIT_METRICS_PORT', 15020), shared: true },
    ready: { host: '0.0.0.0', port: port('AMBIT_READY_PORT', 15021), shared: true },
    metricsTunnelDoor: metricsTunnelOf(env),
    readyFile: env.optional('AMBIT_READY_FILE'),
  };
  env.finish();
  return config;
}

/**
 * How long open connections may last, of the time the pod is given to end (`terminationGracePeriodSeconds`): the rest is
 * for closing what remains. The reference's rule.
 */
export function drainDeadline(graceMs: number): number {
  return graceMs > 10_000 ? graceMs - 5000 : Math.max(1000, graceMs - 1000);
}

/** Half of the 2 s after which runtimes drop a plugin; the usual enrolment takes a tenth of it. */
const NRI_WAIT_MS = 1000;

function nriOf(env: SettingsReader): AgentConfig['nri'] {
  const use = env.flag('AMBIT_NRI', true);
  const socket = env.text('AMBIT_NRI_SOCKET', '/var/run/nri/nri.sock');
  const waitMs = env.durationMs('AMBIT_NRI_WAIT', NRI_WAIT_MS);
  return use ? { socket, waitMs } : undefined;
}

/** Off unless a port is given: a node's port is not ours to take unasked. */
function metricsTunnelOf(env: SettingsReader): Door | undefined {
  const port = env.integer('AMBIT_METRICS_TUNNEL_PORT', 0, { max: 65535 });
  return port === 0 ? undefined : { host: '0.0.0.0', port, shared: true };
}
