// Composition root of the API server: authority, store, tokens, kinds, HTTPS front, kubeconfig.
// The sandbox starts it; everything else talks to it over HTTPS only.

import { mkdir, writeFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { type CertificateRequest, createAuthority, type KeyPair } from './auth/certificates.ts';
import { MASTERS } from './auth/rbac.ts';
import { createTokens, DEFAULT_TOKEN_SETTINGS, type TokenSettings } from './auth/tokens.ts';
import { bootstrap } from './bootstrap.ts';
import type { Cluster } from './cluster.ts';
import { serveDefinitions } from './crd/register.ts';
import { KindRegistry } from './registry.ts';
import { createKubeletDialer } from './rest/kubelet.ts';
import { type ListenOn, startFront } from './rest/listener.ts';
import { OpenApiDocuments } from './rest/openapi.ts';
import { Store } from './store.ts';
import { firstServiceAddress } from './strategy/service-addresses.ts';

export type ApiServerSettings = {
  readonly listen: readonly ListenOn[];
  /** Where clients find the server, the kubeconfig's address first; port 0 stands for the first port really bound. */
  readonly advertise: readonly { readonly host: string; readonly port: number }[];
  /** Where pods reach the server: the endpoint of Service `kubernetes`; the first of `advertise` without it. */
  readonly endpoint?: { readonly host: string; readonly port: number };
  readonly serviceCidrs: readonly string[];
  /** Gets `kubeconfig` and `ca.crt`, readable by the owner only. */
  readonly stateDir: string;
  readonly tokens?: Partial<TokenSettings>;
  /** Changes kept a kind for watches; tests make it small. */
  readonly historyLimit?: number;
};

export interface ApiServer {
  readonly kubeconfigPath: string;
  readonly caPem: string;
  readonly url: string;
  /** The port of the first TCP listener. */
  readonly port: number | undefined;
  /** A certificate of the cluster's authority: for a kubelet's server, or another user's kubeconfig. */
  issueCertificate(request: CertificateRequest): Promise<KeyPair>;
  close(): Promise<void>;
}

/** Names under which pods and people address the server. */
const OWN_NAMES = [
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
  'localhost',
  '127.0.0.1',
  '::1',
];

export async function startApiServer(
  parts: { readonly log: Log; readonly clock: Clock },
  settings: ApiServerSettings,
): Promise<ApiServer> {
  const { log, clock } = parts;
  const authority = await createAuthority(clock.now());
  const cluster: Cluster = {
    store: new Store(
      settings.historyLimit === undefined ? {} : { historyLimit: settings.historyLimit },
    ),
    kinds: new KindRegistry(),
    clock,
    log,
    serviceCidrs: settings.serviceCidrs,
  };
  const [serving, admin, kubeletClient, tokens] = await Promise.all([
    authority.issue({ commonName: 'kube-apiserver', hosts: servingHosts(settings) }),
    authority.issue({ commonName: 'ambit-admin', organizations: [MASTERS] }),
    authority.issue({ commonName: 'kube-apiserver-kubelet-client', organizations: [MASTERS] }),
    createTokens(cluster),
  ]);
  const definitions = serveDefinitions(cluster);
  const first = settings.advertise[0];
  const routeParts = {
    cluster,
    tokens,
    tokenSettings: { ...DEFAULT_TOKEN_SETTINGS, ...settings.tokens },
    kubelets: createKubeletDialer(cluster, kubeletClient),
    openApi: new OpenApiDocuments(cluster.kinds),
    serverAddress: first === undefined ? 'localhost' : authorityOf(first.host, first.port),
  };
  const front = await startFront(routeParts, { serving, caPem: authority.caPem }, settings.listen);
  try {
    const port = front.addresses
      .map((address) => (typeof address === 'object' ? address?.port : undefined))
      .find((bound) => bound !== undefined);
    const address = { host: first?.host ?? '127.0.0.1', port: first?.port || (port ?? 443) };
    bootstrap(cluster, { endpoint: settings.endpoint ?? address, caPem: authority.caPem });
    const url = `https://${authorityOf(address.host, address.port)}`;
    const kubeconfigPath = await writeState(settings.stateDir, {
      url,
      caPem: authority.caPem,
      admin,
    });
    log.info('API server is up', { url, kubeconfig: kubeconfigPath });
    return {
      kubeconfigPath,
      caPem: authority.caPem,
      url,
      port,
      issueCertificate: (request) => authority.issue(request),
      async close() {
        definitions.close();
        await front.close();
      },
    };
  } catch (error) {
    definitions.close();
    await front.close();
    throw error;
  }
}

function servingHosts(settings: ApiServerSettings): string[] {
  const serviceAddresses = settings.serviceCidrs.map((cidr) => firstServiceAddress(cidr));
  return [
    ...OWN_NAMES,
    ...settings.advertise.map(({ host }) => host),
    ...(settings.endpoint === undefined ? [] : [settings.endpoint.host]),
    ...serviceAddresses,
  ];
}

async function writeState(
  stateDir: string,
  { url, caPem, admin }: { readonly url: string; readonly caPem: string; readonly admin: KeyPair },
): Promise<string> {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'ambit-sandbox',
        cluster: { server: url, 'certificate-authority-data': base64(caPem) },
      },
    ],
    users: [
      {
        name: 'ambit-admin',
        user: {
          'client-certificate-data': base64(admin.certPem),
          'client-key-data': base64(admin.keyPem),
        },
      },
    ],
    contexts: [
      { name: 'ambit-sandbox', context: { cluster: 'ambit-sandbox', user: 'ambit-admin' } },
    ],
    'current-context': 'ambit-sandbox',
  };
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const path = join(stateDir, 'kubeconfig');
  await writeFile(path, stringify(kubeconfig), { mode: 0o600 });
  await writeFile(join(stateDir, 'ca.crt'), caPem, { mode: 0o600 });
  return path;
}

function authorityOf(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
