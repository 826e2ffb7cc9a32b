// The CA's settings, each with its default and reason. Read by main.ts from the environment; tests make their own.

import type { Door } from '../runtime/admin.ts';
import { ConfigError, type SettingsReader } from '../runtime/env.ts';
import type { KubernetesSettings } from '../runtime/kubernetes/kubeconfig.ts';
import { readKubernetesSettings } from '../runtime/kubernetes/settings.ts';

export type CaConfig = {
  readonly kubernetes: KubernetesSettings;
  readonly namespace: string;
  /** This replica's name in elections. */
  readonly pod: string;
  readonly trustDomain: string;
  /** Name of the Secret with the operator's own signer, if there is one. */
  readonly pluggedSecret: string;
  /** More names of the serving certificate: foreign agents dial other names. */
  readonly dnsNames: readonly string[];
  /** A token for any of these will do. */
  readonly audiences: readonly string[];
  /** `namespace/account` of those that may ask for the identities of pods on their node. */
  readonly trustedNodeAccounts: readonly string[];
  readonly listen: { readonly host: string | undefined; readonly port: number };
  readonly admin: Door;
  readonly metrics: Door;
  readonly ready: Door;
  readonly defaultTtlMs: number;
  readonly maxTtlMs: number;
  readonly rootTtlMs: number;
};

const DAY_MS = 86_400_000;

/** @throws ConfigError naming every setting that is wrong */
export function readCaConfig(env: SettingsReader): CaConfig {
  const namespace = env.text('AMBIT_NAMESPACE', 'ambit-system');
  const config: CaConfig = {
    kubernetes: readKubernetesSettings(env),
    namespace,
    pod: env.text('AMBIT_POD_NAME', 'ambit-ca'),
    trustDomain: env.text('AMBIT_TRUST_DOMAIN', 'cluster.local'),
    // the name people know, and cert-manager can write
    pluggedSecret: env.text('AMBIT_PLUGGED_SECRET', 'cacerts'),
    dnsNames: env.list('AMBIT_CA_DNS_NAMES', []),
    // `istio-ca` beside it lets agents of the reference in
    audiences: env.list('AMBIT_TOKEN_AUDIENCES', ['ambit-ca']),
    trustedNodeAccounts: env.list('AMBIT_TRUSTED_NODE_ACCOUNTS', [`${namespace}/ambit-node-agent`]),
    listen: {
      host: env.optional('AMBIT_CA_HOST'),
      port: env.integer('AMBIT_CA_PORT', 15012, { min: 0, max: 65535 }),
    },
    // for people on the machine only
    admin: { host: '127.0.0.1', port: env.integer('AMBIT_ADMIN_PORT', 15000) },
    metrics: { host: '0.0.0.0', port: env.integer('AMBIT_METRICS_PORT', 15020) },
    ready: { host: '0.0.0.0', port: env.integer('AMBIT_READY_PORT', 15021) },
    // the reference's lifetimes: a day for workloads, ninety days at most
    defaultTtlMs: env.durationMs('AMBIT_DEFAULT_TTL', DAY_MS),
    maxTtlMs: env.durationMs('AMBIT_MAX_TTL', 90 * DAY_MS),
    rootTtlMs: env.durationMs('AMBIT_ROOT_TTL', 3650 * DAY_MS),
  };
  env.finish();
  const { defaultTtlMs, maxTtlMs, rootTtlMs } = config;
  if (!(0 < defaultTtlMs && defaultTtlMs <= maxTtlMs && maxTtlMs <= rootTtlMs)) {
    throw new ConfigError(
      'Wrong settings: AMBIT_DEFAULT_TTL must be more than zero, not above AMBIT_MAX_TTL, and that not above AMBIT_ROOT_TTL',
    );
  }
  if (rootTtlMs < DAY_MS) throw new ConfigError('Wrong settings: AMBIT_ROOT_TTL is below one day');
  return config;
}
