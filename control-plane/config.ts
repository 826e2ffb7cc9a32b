// The control plane's settings, each with its default and reason. Read by main.ts from the environment; tests make their
// own.

import type { Workload } from '../mesh/workload.ts';
import type { Door } from '../runtime/admin.ts';
import type { SettingsReader } from '../runtime/env.ts';
import type { KubernetesSettings } from '../runtime/kubernetes/kubeconfig.ts';
import { readKubernetesSettings } from '../runtime/kubernetes/settings.ts';
import { VERSION } from '../runtime/version.ts';

import type { DeploySettings } from './deploy/settings.ts';

export type ControlPlaneConfig = {
  readonly kubernetes: KubernetesSettings;
  /** Our own namespace, which is also where mesh-wide policies live. */
  readonly namespace: string;
  /** This replica's name in elections. */
  readonly pod: string;
  readonly trustDomain: string;
  /** Other names of our own trust domain, believed as the same. */
  readonly trustDomainAliases: readonly string[];
  readonly clusterDomain: string;
  readonly cluster: string;
  readonly network: string;
  /** A token for any of these will do. */
  readonly audiences: readonly string[];
  /** Whether pods may connect to what the mesh does not know, where their namespace does not say. */
  readonly outboundPolicy: Workload['outboundPolicy'];
  /** `namespace/account` of those that may receive discovery. */
  readonly agentAccounts: readonly string[];
  readonly listen: { readonly host: string | undefined; readonly port: number };
  readonly caAddress: string;
  /** Where proxies that we deploy find us. */
  readonly controlPlaneAddress: string;
  readonly waypointImage: string;
  readonly waypointReplicas: number;
  readonly otlpEndpoint: string | undefined;
  readonly traceSampling: string | undefined;
  readonly tokenFile: string;
  readonly rootCertFile: string;
  readonly admin: Door;
  readonly metrics: Door;
  readonly ready: Door;
  readonly quietMs: number;
  readonly maxDelayMs: number;
};

/** What of it the proxies we deploy are told, or made by. */
export function deploySettingsOf(config: ControlPlaneConfig): DeploySettings {
  const { waypointImage: image, waypointReplicas: replicas, audiences, ...rest } = config;
  return { ...rest, image, replicas, audience: audiences[0] ?? 'ambit-ca' };
}

/** @throws ConfigError naming every setting that is wrong */
export function readControlPlaneConfig(env: SettingsReader): ControlPlaneConfig {
  const namespace = env.text('AMBIT_NAMESPACE', 'ambit-system');
  const config: ControlPlaneConfig = {
    kubernetes: readKubernetesSettings(env),
    namespace,
    pod: env.text('AMBIT_POD_NAME', 'ambit-control-plane'),
    trustDomain: env.text('AMBIT_TRUST_DOMAIN', 'cluster.local'),
    trustDomainAliases: env.list('AMBIT_TRUST_DOMAIN_ALIASES', []),
    clusterDomain: env.text('AMBIT_CLUSTER_DOMAIN', 'cluster.local'),
    cluster: env.text('AMBIT_CLUSTER_ID', 'Kubernetes'),
    network: env.text('AMBIT_NETWORK', ''),
    audiences: env.list('AMBIT_TOKEN_AUDIENCES', ['ambit-ca']),
    // as in Kubernetes without a mesh: restricting is a choice
    outboundPolicy: env.oneOf(
      'AMBIT_OUTBOUND_TRAFFIC_POLICY',
      ['allow-any', 'registry-only'],
      'allow-any',
    ),
    agentAccounts: env.list('AMBIT_AGENT_ACCOUNTS', [`${namespace}/ambit-node-agent`]),
    listen: {
      host: env.optional('AMBIT_DISCOVERY_HOST'),
      port: env.integer('AMBIT_DISCOVERY_PORT', 15012, { min: 0, max: 65535 }),
    },
    caAddress: env.text('AMBIT_CA_ADDRESS', `ambit-ca.${namespace}.svc:15012`),
    controlPlaneAddress: env.text(
      'AMBIT_CONTROL_PLANE_ADDRESS',
      `ambit-control-plane.${namespace}.svc:15012`,
    ),
    waypointImage: env.text('AMBIT_WAYPOINT_IMAGE', `ambit-mesh/waypoint:${VERSION}`),
    // one may go, or be replaced, without anybody noticing
    waypointReplicas: env.integer('AMBIT_WAYPOINT_REPLICAS', 2, { min: 1, max: 100 }),
    // handed on as they are; their headers may hold a key, which has no place in the Deployments of users
    otlpEndpoint: env.optional('AMBIT_OTLP_ENDPOINT'),
    traceSampling: env.optional('AMBIT_TRACE_SAMPLING'),
    tokenFile: env.text('AMBIT_TOKEN_FILE', '/var/run/secrets/tokens/ambit-token'),
    rootCertFile: env.text('AMBIT_ROOT_CERT_FILE', '/var/run/secrets/ambit/root-cert.pem'),
    // for people on the machine, and for the cli through a port-forward
    admin: { host: '127.0.0.1', port: env.integer('AMBIT_ADMIN_PORT', 15000) },
    metrics: { host: '0.0.0.0', port: env.integer('AMBIT_METRICS_PORT', 15020) },
    ready: { host: '0.0.0.0', port: env.integer('AMBIT_READY_PORT', 15021) },
    // a burst is over after 50 ms without a change; half a second is what people accept as "at once"
    quietMs: env.durationMs('AMBIT_PUSH_QUIET', 50),
    maxDelayMs: env.durationMs('AMBIT_PUSH_MAX_DELAY', 500),
  };
  env.finish();
  return config;
}
