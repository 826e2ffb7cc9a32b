// The waypoint's settings, each with its default and reason. Read by main.ts from the environment; tests make their own.

import { RESPONSE_FLAGS } from '../mesh/http-failures.ts';
import { readAccessFilter } from '../runtime/access-filter.ts';
import type { Door } from '../runtime/admin.ts';
import type { SettingsReader } from '../runtime/env.ts';
import { readTracingSettings, type TracingSettings } from '../runtime/tracing/tracing.ts';
import { type IdleLimits, STREAM_IDLE_MS } from './http/idle-streams.ts';
import type { RequestLogSettings } from './telemetry/access-log.ts';

export type WaypointConfig = {
  readonly podName: string;
  readonly podNamespace: string;
  readonly serviceAccount: string;
  readonly nodeName: string;
  /** `namespace/name` of the Gateway this is a replica of. */
  readonly gateway: string;
  /** An ingress serves the listeners of its Gateway to whoever connects, without tunnels. */
  readonly kind: 'waypoint' | 'ingress';
  /** Where listeners of an ingress are; undefined: every address there is, of both families. */
  readonly listenHost: string | undefined;
  /** Proxies before an ingress whose x-forwarded-for is believed. */
  readonly trustedHops: number;
  /** Where ca and control plane live. */
  readonly namespace: string;
  readonly trustDomain: string;
  readonly clusterId: string;
  readonly caAddress: string;
  readonly controlPlaneAddress: string;
  readonly tokenFile: string;
  readonly rootCertFile: string;
  readonly certificateTtlMs: number;
  /** undefined: nobody collects traces. */
  readonly tracing: TracingSettings | undefined;
  readonly requestLog: RequestLogSettings;
  readonly drainDeadlineMs: number;
  /** How long nothing need move in a request. */
  readonly idle: Pick<IdleLimits, 'streamMs'>;
  /** How long a replica that is told to end serves on as before. */
  readonly drainNoticeMs: number;
  readonly tunnels: Door;
  readonly admin: Door;
  readonly metrics: Door;
  readonly ready: Door;
};

const DAY_MS = 86_400_000;
/** What Kubernetes gives a pod that does not say otherwise. */
const TERMINATION_GRACE_MS = 30_000;
/** Of that, what is left for closing what remains. */
const CLOSING_MS = 5000;
/**
 * Kubernetes takes a pod out of its Services while it tells it to end. A change of endpoints reaches every agent of a large
 * cluster in less than three seconds; load balancers before an ingress look every few.
 */
const NOTICE_MS = { waypoint: 3000, ingress: 5000 } as const;

/** @throws ConfigError naming every setting that is wrong */
export function readWaypointConfig(env: SettingsReader): WaypointConfig {
  const namespace = env.text('AMBIT_NAMESPACE', 'ambit-system');
  const host = env.text('AMBIT_BIND_HOST', '0.0.0.0');
  const port = (name: string, fallback: number): number =>
    env.integer(name, fallback, { max: 65535 });
  const kind = env.oneOf('AMBIT_GATEWAY_KIND', ['waypoint', 'ingress'], 'waypoint');
  const config: WaypointConfig = {
    podName: env.text('POD_NAME'),
    podNamespace: env.text('POD_NAMESPACE'),
    serviceAccount: env.text('SERVICE_ACCOUNT'),
    nodeName: env.text('NODE_NAME', ''),
    gateway: env.text('AMBIT_GATEWAY'),
    kind,
    listenHost: env.text('AMBIT_BIND_HOST', '') || undefined,
    trustedHops: env.integer('AMBIT_TRUSTED_PROXIES', 0, { max: 100 }),
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
    certificateTtlMs: env.durationMs('AMBIT_CERTIFICATE_TTL', DAY_MS),
    drainDeadlineMs: env.durationMs(
      'AMBIT_DRAIN_DEADLINE',
      Math.max(1000, env.durationMs('AMBIT_TERMINATION_GRACE', TERMINATION_GRACE_MS) - CLOSING_MS),
    ),
    idle: { streamMs: env.durationMs('AMBIT_STREAM_IDLE_TIMEOUT', STREAM_IDLE_MS) },
    drainNoticeMs: env.durationMs('AMBIT_DRAIN_NOTICE', NOTICE_MS[kind]),
    tracing: readTracingSettings(env),
    requestLog: {
      filter: readAccessFilter(env, RESPONSE_FLAGS),
      format: env.oneOf('AMBIT_ACCESS_LOG_FORMAT', ['json', 'text'], 'json'),
    },
    tunnels: { host, port: port('AMBIT_TUNNEL_PORT', 15008) },
    // for people in the pod only
    admin: { host: '127.0.0.1', port: port('AMBIT_ADMIN_PORT', 15000) },
    metrics: { host, port: port('AMBIT_METRICS_PORT', 15020) },
    ready: { host, port: port('AMBIT_READY_PORT', 15021) },
  };
  env.finish();
  return config;
}
