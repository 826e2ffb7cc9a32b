// Workloads, services, policies and enrolments for property tests. Names and addresses come from small pools, so that
// generated resources meet: two pods with one address, a service before and after its endpoints, policies of one scope.

import fc from 'fast-check';
import { parseIp } from './address.ts';
import type { CaptureOptions } from './capture-options.ts';
import type { Enrolment, PodDns } from './enrolment.ts';
import type { Identity } from './identity.ts';
import type { MeshNamespace } from './namespace.ts';
import {
  type AuthorizationPolicy,
  type Cidr,
  EMPTY_MATCH,
  type PolicyMatch,
  type StringMatch,
} from './policy.ts';
import type { LoadBalancing, Service, Vip } from './service.ts';
import type { TrustBundle } from './trust.ts';
import type { GatewayAddress, PortMapping, Workload } from './workload.ts';

/** Plain objects, as the code makes them: assertions compare prototypes too. */
const PLAIN = { noNullPrototype: true } as const;
const oneOf = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const some = <T>(item: fc.Arbitrary<T>, maxLength = 3): fc.Arbitrary<T[]> =>
  fc.array(item, { maxLength });
const maybe = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(item, { nil: undefined });

export const ANY_IP = oneOf(
  ...['10.0.0.1', '10.0.0.2', '10.0.1.1', '10.1.0.0', 'fd00::1', 'fd00::2', 'fd00:1::'].map(
    parseIp,
  ),
);
export const ANY_NETWORK = oneOf('', 'east');
export const ANY_NAMESPACE = oneOf('shop', 'ops', 'ambit-system');
const ANY_HOSTNAME = oneOf('a.test', 'b.test', 'c.test');
const ANY_PORT = oneOf(80, 443, 8080);

export const ANY_IDENTITY: fc.Arbitrary<Identity> = fc.record(
  {
    trustDomain: oneOf('cluster.local', 'other.test'),
    namespace: ANY_NAMESPACE,
    serviceAccount: oneOf('web', 'api'),
  },
  PLAIN,
);

export const ANY_TRUST_BUNDLE: fc.Arbitrary<TrustBundle> = fc.record(
  {
    trustDomain: oneOf('cluster.local', 'other.test'),
    roots: fc.array(oneOf('root-1', 'root-2', 'root-3'), { minLength: 1, maxLength: 3 }),
    aliases: some(oneOf('old.test', 'older.test')),
    retiring: some(oneOf('aa', 'bb')),
    renewWithinMs: oneOf(0, 30_000),
    crls: some(oneOf('list-1', 'list-2')),
  },
  PLAIN,
);

const ANY_PORT_MAPPING: fc.Arbitrary<PortMapping> = fc.record(
  {
    servicePort: ANY_PORT,
    targetPort: oneOf(0, 80, 8080, 65535),
    appProtocol: oneOf('unknown', 'http11', 'http2', 'grpc', 'tcp', 'tls'),
  },
  PLAIN,
);

const ANY_GATEWAY: fc.Arbitrary<GatewayAddress> = fc.oneof(
  fc.record(
    {
      by: fc.constant('hostname' as const),
      namespace: ANY_NAMESPACE,
      hostname: ANY_HOSTNAME,
      port: fc.constant(15008),
    },
    PLAIN,
  ),
  fc.record(
    {
      by: fc.constant('address' as const),
      network: ANY_NETWORK,
      ip: ANY_IP,
      port: fc.constant(15008),
    },
    PLAIN,
  ),
);

const ANY_CIDR: fc.Arbitrary<Cidr> = ANY_IP.chain((ip) =>
  fc
    .integer({ min: 0, max: ip.includes(':') ? 128 : 32 })
    .map((prefixLength) => ({ ip, prefixLength })),
);

const ANY_UID = oneOf(
  'k//Pod/shop/1',
  'k//Pod/shop/2',
  'k//Pod/ops/3',
  'k/x/WorkloadEntry/ops/4',
  'k/x/WorkloadEntry/shop/5',
);

export const ANY_WORKLOAD: fc.Arbitrary<Workload> = fc.record(
  {
    uid: ANY_UID,
    name: oneOf('w1', 'w2'),
    namespace: ANY_NAMESPACE,
    serviceAccount: oneOf('default', 'web'),
    trustDomain: oneOf('cluster.local', 'other.test'),
    cluster: oneOf('Kubernetes', 'second'),
    network: ANY_NETWORK,
    node: oneOf('', 'node-1', 'node-2'),
    addresses: some(ANY_IP),
    hostname: oneOf('', 'outside.test'),
    locality: fc.record(
      { region: oneOf('', 'r1', 'r2'), zone: oneOf('', 'z1'), subzone: oneOf('', 's1') },
      PLAIN,
    ),
    health: oneOf('healthy', 'draining', 'unhealthy'),
    protocol: oneOf('hbone', 'tcp'),
    nativeTunnel: fc.boolean(),
    applicationTunnel: maybe(
      fc.record({ protocol: oneOf('none', 'proxy'), port: oneOf(0, 8080, 65535) }, PLAIN),
    ),
    hostNetwork: fc.boolean(),
    waypoint: maybe(ANY_GATEWAY),
    networkGateway: maybe(ANY_GATEWAY),
    canonicalName: oneOf('', 'web'),
    canonicalRevision: oneOf('', 'v1'),
    workloadName: oneOf('', 'web'),
    workloadType: oneOf('deployment', 'cronjob', 'pod', 'job'),
    services: fc
      .array(fc.tuple(ANY_NAMESPACE, ANY_HOSTNAME, some(ANY_PORT_MAPPING)), { maxLength: 3 })
      .map(
        (list) =>
          new Map(list.map(([namespace, hostname, ports]) => [`${namespace}/${hostname}`, ports])),
      ),
    authorizationPolicies: some(
      fc.tuple(ANY_NAMESPACE, oneOf('p1', 'p2', 'p3')).map((key) => key.join('/')),
    ),
    capacity: oneOf(0, 1, 1, 1, 5),
    outboundPolicy: oneOf('allow-any', 'registry-only'),
  },
  PLAIN,
);

const ANY_VIP: fc.Arbitrary<Vip> = fc.oneof(
  fc.record({ network: ANY_NETWORK, ip: ANY_IP, prefixLength: fc.constant(undefined) }, PLAIN),
  fc.tuple(ANY_NETWORK, ANY_CIDR).map(([network, cidr]) => ({ network, ...cidr })),
);

const ANY_LOAD_BALANCING: fc.Arbitrary<LoadBalancing> = fc.record(
  {
    mode: oneOf('unspecified', 'strict', 'failover', 'passthrough'),
    preference: some(oneOf('region', 'zone', 'subzone', 'node', 'cluster', 'network')),
    health: oneOf('only-healthy', 'allow-all'),
  },
  PLAIN,
);

export const ANY_SERVICE: fc.Arbitrary<Service> = fc.record(
  {
    name: oneOf('s1', 's2'),
    namespace: ANY_NAMESPACE,
    hostname: ANY_HOSTNAME,
    vips: some(ANY_VIP),
    ports: some(ANY_PORT_MAPPING),
    subjectAltNames: some(oneOf('spiffe://cluster.local/ns/shop/sa/extra')),
    waypoint: maybe(ANY_GATEWAY),
    weightedWaypoints: some(
      fc.record({ destination: ANY_GATEWAY, weight: oneOf(0, 1, 50) }, PLAIN),
      2,
    ),
    ingressUseWaypoint: fc.boolean(),
    loadBalancing: maybe(ANY_LOAD_BALANCING),
    ipFamilies: oneOf('automatic', 'ipv4', 'ipv6', 'dual'),
    canonical: fc.boolean(),
    visibility: oneOf('public', 'namespace'),
    sessionAffinitySeconds: maybe(oneOf(1, 10_800)),
    balancing: oneOf('least-request', 'random'),
  },
  PLAIN,
);

const ANY_STRING_MATCH: fc.Arbitrary<StringMatch> = fc.oneof(
  fc.constant({ kind: 'presence' as const }),
  fc.record(
    {
      kind: oneOf<'exact' | 'prefix' | 'suffix'>('exact', 'prefix', 'suffix'),
      value: oneOf(
        'shop',
        'sh',
        'op',
        'ops',
        '/sa/web',
        'cluster.local/ns/shop/sa/web',
        'cluster.local/',
        'spiffe://',
      ),
    },
    PLAIN,
  ),
);
const ANY_ACCOUNT = fc.record(
  { namespace: ANY_NAMESPACE, serviceAccount: oneOf('web', 'api') },
  PLAIN,
);
/** Mostly empty, or nothing would ever match. */
const few = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.oneof({ weight: 5, arbitrary: fc.constant<T[]>([]) }, { weight: 1, arbitrary: some(item, 2) });

export const ANY_MATCH: fc.Arbitrary<PolicyMatch> = fc
  .record(
    {
      namespaces: few(ANY_STRING_MATCH),
      notNamespaces: few(ANY_STRING_MATCH),
      principals: few(ANY_STRING_MATCH),
      notPrincipals: few(ANY_STRING_MATCH),
      sourceIps: few(ANY_CIDR),
      notSourceIps: few(ANY_CIDR),
      destinationIps: few(ANY_CIDR),
      notDestinationIps: few(ANY_CIDR),
      destinationPorts: few(ANY_PORT),
      notDestinationPorts: few(ANY_PORT),
      serviceAccounts: few(ANY_ACCOUNT),
    },
    PLAIN,
  )
  .chain((match) =>
    few(ANY_ACCOUNT).map((accounts) =>
      accounts.length === 0 ? match : { ...match, notServiceAccounts: accounts },
    ),
  );

export const ANY_POLICY: fc.Arbitrary<AuthorizationPolicy> = fc.record(
  {
    name: oneOf('p1', 'p2', 'p3'),
    namespace: ANY_NAMESPACE,
    scope: oneOf('mesh', 'namespace', 'workload'),
    action: oneOf('allow', 'allow', 'deny', 'deny', 'audit'),
    rules: some(
      fc.record({ clauses: some(fc.record({ matches: some(ANY_MATCH, 2) }, PLAIN), 2) }, PLAIN),
      2,
    ),
    dryRun: oneOf(false, false, false, true),
  },
  PLAIN,
);

const ANY_PORT_RANGE = fc.record({ first: ANY_PORT, last: oneOf(8080, 9000) }, PLAIN);

export const ANY_CAPTURE: fc.Arbitrary<CaptureOptions> = fc.record(
  {
    excludeInboundPorts: some(ANY_PORT_RANGE),
    excludeOutboundPorts: some(ANY_PORT_RANGE),
    excludeInboundCidrs: some(ANY_CIDR),
    excludeOutboundCidrs: some(ANY_CIDR),
    dns: oneOf('default', 'on', 'off'),
    bypassInbound: fc.boolean(),
  },
  PLAIN,
);

const ANY_POD_DNS: fc.Arbitrary<PodDns> = fc.record(
  {
    servers: some(ANY_IP),
    order: oneOf('instead', 'after'),
    search: some(oneOf('corp.test', 'svc.cluster.local')),
  },
  PLAIN,
);

export const ANY_ENROLMENT: fc.Arbitrary<Enrolment> = fc
  .record(
    {
      podUid: oneOf('u1', 'u2', 'u3'),
      workloadUid: ANY_UID,
      name: oneOf('w1', 'w2'),
      identity: ANY_IDENTITY,
      addresses: some(ANY_IP),
      capture: ANY_CAPTURE,
      dns: maybe(ANY_POD_DNS),
    },
    PLAIN,
  )
  .map(({ dns, ...enrolment }) => ({
    ...enrolment,
    namespace: enrolment.identity.namespace,
    ...(dns === undefined ? {} : { dns }),
  }));

export const ANY_MESH_NAMESPACE: fc.Arbitrary<MeshNamespace> = fc.record(
  { name: oneOf('shop', 'ops', 'elsewhere'), mode: oneOf('ambient', 'none', 'unset') },
  PLAIN,
);

/** A healthy, enrolled pod with one address and nothing else said about it. */
export function workloadOf(parts: Partial<Workload> & Pick<Workload, 'uid'>): Workload {
  return {
    name: parts.uid.split('/').at(-1) ?? '',
    namespace: 'shop',
    serviceAccount: 'default',
    trustDomain: 'cluster.local',
    cluster: 'Kubernetes',
    network: '',
    node: 'node-1',
    addresses: [],
    hostname: '',
    locality: { region: '', zone: '', subzone: '' },
    health: 'healthy',
    protocol: 'hbone',
    nativeTunnel: false,
    applicationTunnel: undefined,
    hostNetwork: false,
    waypoint: undefined,
    networkGateway: undefined,
    canonicalName: '',
    canonicalRevision: '',
    workloadName: '',
    workloadType: 'pod',
    services: new Map(),
    authorizationPolicies: [],
    capacity: 1,
    outboundPolicy: 'allow-any',
    ...parts,
  };
}

/** A service of namespace `shop` without address. */
export function serviceOf(parts: Partial<Service> & Pick<Service, 'hostname'>): Service {
  return {
    name: parts.hostname.split('.')[0] ?? '',
    namespace: 'shop',
    vips: [],
    ports: [],
    subjectAltNames: [],
    waypoint: undefined,
    weightedWaypoints: [],
    ingressUseWaypoint: false,
    loadBalancing: undefined,
    ipFamilies: 'automatic',
    canonical: false,
    visibility: 'public',
    sessionAffinitySeconds: undefined,
    balancing: 'least-request',
    ...parts,
  };
}

/** A policy of namespace `shop` that never matches. */
export function policyOf(
  parts: Partial<AuthorizationPolicy> & Pick<AuthorizationPolicy, 'name'>,
): AuthorizationPolicy {
  return {
    namespace: 'shop',
    scope: 'namespace',
    action: 'deny',
    rules: [],
    dryRun: false,
    ...parts,
  };
}

/** A match in which nothing is asked but what is given. */
export function matchOf(parts: Partial<PolicyMatch>): PolicyMatch {
  return { ...EMPTY_MATCH, ...parts };
}
