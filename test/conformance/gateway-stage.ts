// The stage of the gateway tests: backends as the Gateway API's suite has them, a client outside the mesh, and two Gateways
// for all routes. A test has host names of its own instead of a Gateway of its own: a Gateway is a process, a name is
// nothing. Called by gateway.test.ts.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import {
  CONFIG_MAPS,
  DEPLOYMENTS,
  GATEWAYS,
  NAMESPACES,
  PODS,
  SECRETS,
  SERVICES,
} from '../../runtime/kubernetes/resources.ts';
import { createAuthority } from '../../sandbox/apiserver/auth/certificates.ts';
import { MODE } from '../support/enrolled.ts';
import type { Sandbox } from '../support/sandbox.ts';
import { startPod } from '../support/traffic.ts';
import type { Row } from './expectation.ts';
import { expectGateway } from './gateway-status.ts';
import { INGRESS_CLASS } from './names.ts';
import { echoDeployment, type Object } from './objects.ts';
import type { Clients } from './requests.ts';

export const INFRA = 'gateway-conformance-infra';
export const WEB = 'gateway-conformance-web-backend';
const CLIENTS = 'gateway-conformance-client';

/** Listeners of both Gateways by the word that rows and routes use: Gateway, name of the listener, port. */
export const VIA = {
  /** Routes of its own namespace. */
  http: ['shared', 'http', 80],
  /** Routes of all namespaces. */
  all: ['shared', 'all', 8080],
  /** Routes of namespaces with a label. */
  backends: ['shared', 'backends', 8090],
  https: ['shared', 'https', 443],
  'second-https': ['shared', 'second-https', 443],
  'wild-https': ['shared', 'wild-https', 443],
  /** With a certificate that changes. */
  rotated: ['shared', 'rotated', 8444],
  /** TLS that ends at the backend. */
  through: ['shared', 'through', 8443],
  /** TLS that ends at the Gateway, with bytes in it. */
  tls: ['shared', 'tls', 8443],
  tcp: ['shared', 'tcp', 9000],
  /** Listeners of one port, each for fewer hosts than the one before. */
  'isolated-any': ['shared', 'isolated-any', 8085],
  'isolated-example': ['shared', 'isolated-example', 8085],
  'isolated-foo': ['shared', 'isolated-foo', 8085],
  'isolated-abc': ['shared', 'isolated-abc', 8085],
  bar: ['hostnames', 'bar', 80],
  'foo-bar': ['hostnames', 'foo-bar', 80],
  'any-bar': ['hostnames', 'any-bar', 80],
  'any-foo': ['hostnames', 'any-foo', 80],
} as const satisfies Readonly<Record<string, readonly [string, string, number]>>;
export type Via = keyof typeof VIA;

/** `via` is the listener it goes through; `http` when left out. */
export type GatewayRow = Row & { readonly via?: Via };

export type GatewayStage = Clients & {
  /** By Gateway. */
  readonly addresses: Readonly<Record<string, string>>;
  /** Of the pod of infra-backend-v1. */
  readonly backendIp: string;
  /** A file with the root of the listeners' certificates. */
  readonly caFile: string;
};

const CERTIFIED = [
  'https.example',
  '*.https.example',
  'second-example.org',
  '*.wildcard.org',
  'tls.example',
];
/** What the backend of TLS shows; its root is in ConfigMap `backend-ca`. */
export const TLS_BACKEND = { name: 'tls-backend', hosts: ['abc.example.com', 'x.through.example'] };

export async function openGatewayStage(sandbox: Sandbox): Promise<GatewayStage> {
  const { client } = sandbox;
  const namespaces = { [INFRA]: 'infra', [WEB]: 'backend' };
  for (const [name, value] of Object.entries(namespaces)) {
    await client.create<Object>(NAMESPACES, {
      metadata: { name, labels: { 'gateway-conformance': value, [MODE]: 'ambient' } },
    });
  }
  await client.create<Object>(NAMESPACES, { metadata: { name: CLIENTS } });
  const authority = await createAuthority(Date.now());
  const caFile = join(sandbox.directory, 'listeners-ca.pem');
  await writeFile(caFile, authority.caPem);
  const pair = await authority.issue({ commonName: 'listeners', hosts: CERTIFIED });
  await client.create(SECRETS, tlsSecret(INFRA, 'listeners', pair));
  await client.create(SECRETS, tlsSecret(INFRA, 'listeners-rotated', pair));
  const backend = await authority.issue({ commonName: 'backend', hosts: TLS_BACKEND.hosts });
  await client.create(SECRETS, tlsSecret(INFRA, 'tls-backend', backend));
  await client.create<Object>(CONFIG_MAPS, {
    metadata: { name: 'backend-ca', namespace: INFRA },
    data: { 'ca.crt': authority.caPem },
  });
  await client.create(DEPLOYMENTS, tlsBackend());
  await client.create(SERVICES, tlsService());
  for (const object of sharedGateways()) await client.create(GATEWAYS, object);
  for (const [namespace, name] of [
    [INFRA, 'infra-backend-v1'],
    [INFRA, 'infra-backend-v2'],
    [INFRA, 'infra-backend-v3'],
    [WEB, 'web-backend'],
  ] as const) {
    await client.create(DEPLOYMENTS, backendDeployment(namespace, name));
    await client.create(SERVICES, backendService(namespace, name));
  }
  const usual = { namespace: CLIENTS, name: 'client' };
  await startPod(sandbox, { ...usual, image: 'host', command: ['sleep', '1d'] });
  await Promise.all([sandbox.rolledOut(INFRA), sandbox.rolledOut(WEB)]);
  const [shared, hostnames] = await Promise.all(
    ['shared', 'hostnames'].map(async (name) =>
      addressOf(await expectGateway(sandbox, INFRA, name)),
    ),
  );
  const { items } = await client.list<Pod>(PODS, {
    namespace: INFRA,
    labelSelector: 'app=infra-backend-v1',
  });
  return {
    sandbox,
    namespace: INFRA,
    usual: 'client',
    pods: { client: usual },
    addresses: { shared: shared ?? '', hostnames: hostnames ?? '' },
    backendIp: items[0]?.status?.podIP ?? '',
    caFile,
  };
}

/** The row as one for expectRows(): with the address its connection goes to. */
export function through({ addresses, caFile }: GatewayStage, row: GatewayRow): Row {
  const { via = 'http', ...rest } = row;
  const [gateway, , port] = VIA[via];
  const address = addresses[gateway] ?? '';
  const host = address.includes(':') ? `[${address}]` : address;
  const words = [...(rest.words ?? []), `--connect=${host}:${port}`];
  const secured = /^(?:https|h2):/.test(row.url);
  const given = words.some((word) => word.startsWith('--ca='));
  return { ...rest, words: secured && !given ? [...words, `--ca=${caFile}`] : words };
}

export function gatewayParent(via: Via, more: object = {}): object {
  const [name, sectionName] = VIA[via];
  return { name, sectionName, ...more };
}

export function tlsSecret(
  namespace: string,
  name: string,
  pair: { readonly certPem: string; readonly keyPem: string },
): Object {
  return {
    metadata: { name, namespace },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': base64(pair.certPem), 'tls.key': base64(pair.keyPem) },
  };
}

export function gateway(name: string, listeners: readonly object[]): Object & { spec: object } {
  return {
    metadata: { name, namespace: INFRA },
    spec: { gatewayClassName: INGRESS_CLASS, listeners },
  };
}

export function backendDeployment(namespace: string, name: string): Object {
  const labels = { app: name };
  return echoDeployment(namespace, name, labels, {
    variables: { HTTP_PORTS: '3000', H2C_PORTS: '3001', TCP_PORT: '3002' },
    readyPort: 3000,
  });
}

function backendService(namespace: string, name: string): Object {
  return {
    metadata: { name, namespace },
    spec: {
      selector: { app: name },
      ports: [
        { name: 'first-port', port: 8080, targetPort: 3000 },
        { name: 'second-port', port: 8081, targetPort: 3001, appProtocol: 'kubernetes.io/h2c' },
        { name: 'third-port', port: 8082, targetPort: 3000, appProtocol: 'kubernetes.io/ws' },
        { name: 'tcp-port', port: 9000, targetPort: 3002 },
      ],
    },
  };
}

function tlsBackend(): Object {
  const directory = '/var/run/certificate';
  const labels = { app: TLS_BACKEND.name };
  return echoDeployment(INFRA, TLS_BACKEND.name, labels, {
    variables: {
      HTTP_PORTS: '0',
      H2C_PORTS: '0',
      TCP_PORT: '0',
      TLS_PORT: '8443',
      TLS_CERT_FILE: `${directory}/tls.crt`,
      TLS_KEY_FILE: `${directory}/tls.key`,
    },
    readyPort: 8443,
    container: { volumeMounts: [{ name: 'certificate', mountPath: directory }] },
    spec: { volumes: [{ name: 'certificate', secret: { secretName: TLS_BACKEND.name } }] },
  });
}

function tlsService(): Object {
  return {
    metadata: { name: TLS_BACKEND.name, namespace: INFRA },
    spec: {
      selector: { app: TLS_BACKEND.name },
      ports: ['https', 'other', 'broken', 'passed-on'].map((name, i) => ({
        name,
        port: 443 + i,
        targetPort: 8443,
      })),
    },
  };
}

export function sharedGateways(): readonly Object[] {
  return [sharedGateway(), hostnamesGateway()];
}

function sharedGateway(): Object {
  const from = (where: object): object => ({ allowedRoutes: { namespaces: where } });
  const labelled = { matchLabels: { 'gateway-conformance': 'backend' } };
  const tls = { tls: { mode: 'Terminate', certificateRefs: [{ name: 'listeners' }] } };
  return gateway('shared', [
    { name: 'http', port: 80, protocol: 'HTTP', ...from({ from: 'Same' }) },
    { name: 'all', port: 8080, protocol: 'HTTP', ...from({ from: 'All' }) },
    {
      name: 'backends',
      port: 8090,
      protocol: 'HTTP',
      ...from({ from: 'Selector', selector: labelled }),
    },
    { name: 'https', port: 443, protocol: 'HTTPS', ...tls },
    {
      name: 'second-https',
      port: 443,
      protocol: 'HTTPS',
      hostname: 'second-example.org',
      ...tls,
    },
    ...['', '*.example.com', '*.foo.example.com', 'abc.foo.example.com'].map((hostname, i) => ({
      name: `isolated-${['any', 'example', 'foo', 'abc'][i]}`,
      port: 8085,
      protocol: 'HTTP',
      ...(hostname === '' ? {} : { hostname }),
    })),
    { name: 'wild-https', port: 443, protocol: 'HTTPS', hostname: '*.wildcard.org', ...tls },
    {
      name: 'through',
      port: 8443,
      protocol: 'TLS',
      hostname: '*.through.example',
      tls: { mode: 'Passthrough' },
    },
    { name: 'tls', port: 8443, protocol: 'TLS', hostname: 'tls.example', ...tls },
    {
      name: 'rotated',
      port: 8444,
      protocol: 'HTTPS',
      tls: { certificateRefs: [{ name: 'listeners-rotated' }] },
    },
    { name: 'tcp', port: 9000, protocol: 'TCP' },
  ]);
}

function hostnamesGateway(): Object {
  const listener = (name: string, hostname: string): object => ({
    name,
    hostname,
    port: 80,
    protocol: 'HTTP',
  });
  return gateway('hostnames', [
    listener('bar', 'bar.com'),
    listener('foo-bar', 'foo.bar.com'),
    listener('any-bar', '*.bar.com'),
    listener('any-foo', '*.foo.com'),
  ]);
}

function addressOf({
  status,
}: {
  readonly status?: { readonly addresses?: readonly { readonly value: string }[] };
}): string {
  return status?.addresses?.[0]?.value ?? '';
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
