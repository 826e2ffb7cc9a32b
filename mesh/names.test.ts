import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from './address.ts';
import { type AddressFamily, type NameResolution, resolveName } from './names.ts';
import type { ResourceUpdate } from './resource-update.ts';
import { emptySnapshot } from './snapshot.ts';
import { ANY_SERVICE, ANY_WORKLOAD, serviceOf, workloadOf } from './test-arbitraries.ts';
import type { Workload } from './workload.ts';

const PLACE = { clusterDomain: 'cluster.local' };
const CLIENT = workloadOf({
  uid: 'k//Pod/ns1/client',
  namespace: 'ns1',
  addresses: [parseIp('10.0.0.9')],
});
const DUAL_CLIENT = { ...CLIENT, addresses: [...CLIENT.addresses, parseIp('fd00::9')] };

type ServiceParts = Omit<Parameters<typeof serviceOf>[0], 'vips'> & {
  readonly vips?: readonly string[];
  readonly network?: string;
};
function service({ vips = [], network = '', ...parts }: ServiceParts): ResourceUpdate {
  const read = vips.map((text) => {
    const [ip = '', length] = text.split('/');
    return {
      network,
      ip: parseIp(ip),
      prefixLength: length === undefined ? undefined : Number(length),
    };
  });
  return { kind: 'service', service: serviceOf({ ...parts, vips: read }) };
}
function kube(name: string, namespace: string, vips: readonly string[]): ResourceUpdate {
  const hostname = `${name}.${namespace}.svc.cluster.local`;
  return service({ name, namespace, hostname, vips, canonical: true });
}
function endpoint(
  name: string,
  key: string,
  addresses: readonly string[],
  parts: Partial<Workload> = {},
): ResourceUpdate {
  const workload = workloadOf({
    uid: `k//Pod/ns1/${name}`,
    addresses: addresses.map(parseIp),
    services: new Map([[key, []]]),
    ...parts,
  });
  return { kind: 'workload', workload };
}

const HEADLESS = 'ns1/headless.ns1.svc.cluster.local';
const KNOWN: readonly ResourceUpdate[] = [
  kube('productpage', 'ns1', ['9.9.9.9']),
  kube('productpage', 'ns2', ['9.9.9.8']),
  kube('dual', 'ns1', ['9.9.9.7', 'fd00::7']),
  kube('v6', 'ns1', ['fd00::6']),
  kube('reviews', 'ns3', ['9.9.9.5']),
  service({ hostname: 'www.google.com', namespace: 'ns1', vips: ['1.1.1.1'] }),
  service({ hostname: 'both.example', namespace: 'ns1', vips: ['240.240.0.1', '2001:2::1'] }),
  service({ hostname: 'mapped.example', namespace: 'ns1', vips: ['::ffff:1.1.1.9'] }),
  service({ hostname: '*.wildcard', namespace: 'ns1', vips: ['10.1.2.3'] }),
  service({ hostname: '*.b.wildcard', namespace: 'ns1', vips: ['10.1.2.4'] }),
  service({ hostname: '*.svc.mesh.company.net', namespace: 'ns1', vips: ['10.1.2.5'] }),
  service({ hostname: 'details.ns2.svc.cluster.remote', namespace: 'ns2', vips: ['9.9.9.6'] }),
  service({ hostname: 'far.example', namespace: 'ns1', vips: ['9.9.9.1'], network: 'elsewhere' }),
  service({ hostname: 'range.example', namespace: 'ns1', vips: ['192.0.2.0/24'] }),
  service({ hostname: 'bare.example', namespace: 'ns1' }),
  endpoint('bare', 'ns1/bare.example', ['10.0.0.40']),
  service({ hostname: 'shared.example', namespace: 'ns1', vips: ['2.2.2.1'] }),
  service({ hostname: 'shared.example', namespace: 'ns2', vips: ['2.2.2.2'] }),
  service({ hostname: 'owned.example', namespace: 'ns2', vips: ['3.3.3.2'] }),
  service({ hostname: 'owned.example', namespace: 'ns3', vips: ['3.3.3.3'], canonical: true }),
  service({
    hostname: 'hidden.example',
    namespace: 'ns2',
    vips: ['4.4.4.4'],
    visibility: 'namespace',
  }),
  service({ hostname: 'split.example', namespace: 'ns2', vips: ['5.5.5.2'] }),
  service({
    hostname: 'split.example',
    namespace: 'ns3',
    vips: ['5.5.5.3'],
    visibility: 'namespace',
    canonical: true,
  }),
  kube('headless', 'ns1', []),
  endpoint('h-0', HEADLESS, ['10.0.0.1', 'fd00::1'], {
    hostname: 'h-0.headless.ns1.svc.cluster.local',
  }),
  endpoint('h-1', HEADLESS, ['10.0.0.2'], { hostname: 'h-1.headless.ns1.svc.cluster.local' }),
  endpoint('h-2', HEADLESS, ['10.0.0.3'], {
    health: 'unhealthy',
    hostname: 'h-2.headless.ns1.svc.cluster.local',
  }),
  endpoint('h-far', HEADLESS, ['10.0.0.4'], { network: 'elsewhere' }),
  kube('headless6', 'ns1', []),
  endpoint('h6', 'ns1/headless6.ns1.svc.cluster.local', ['fd00::60']),
  kube('empty', 'ns1', []),
  service({
    hostname: 'starting.ns1.svc.cluster.local',
    namespace: 'ns1',
    loadBalancing: { mode: 'unspecified', preference: [], health: 'allow-all' },
  }),
  endpoint('s-0', 'ns1/starting.ns1.svc.cluster.local', ['10.0.0.50'], {
    health: 'unhealthy',
    hostname: 's-0.starting.ns1.svc.cluster.local',
  }),
];
const SNAPSHOT = emptySnapshot.apply(KNOWN);

/** `forward`, `no-data`, or the addresses, with `name -> ` before them where a CNAME leads there. */
function seen(resolution: NameResolution): string {
  if (resolution.kind === 'forward') return 'forward';
  const { canonicalName, addresses } = resolution;
  const alias = canonicalName === undefined ? '' : `${canonicalName} -> `;
  return alias + (addresses.length === 0 ? 'no-data' : addresses.join(' '));
}
const ask = (name: string, family: AddressFamily = 'ipv4', client = CLIENT): string =>
  seen(resolveName({ name, family }, client, SNAPSHOT, PLACE));

type Row = readonly [what: string, name: string, family: AddressFamily, expected: string];
const CASES: readonly Row[] = [
  ['a host of the mesh outside the cluster', 'www.google.com', 'ipv4', '1.1.1.1'],
  [
    'such a host behind the namespace as search domain leads to it by CNAME',
    'www.google.com.ns1.svc.cluster.local',
    'ipv4',
    'www.google.com -> 1.1.1.1',
  ],
  [
    'behind the cluster as search domain too',
    'www.google.com.cluster.local',
    'ipv4',
    'www.google.com -> 1.1.1.1',
  ],
  ['a host nobody in the mesh knows', 'www.bing.com', 'ipv4', 'forward'],
  ['such a host behind a search domain', 'www.bing.com.ns1.svc.cluster.local', 'ipv4', 'forward'],
  ['a full Kubernetes name', 'productpage.ns1.svc.cluster.local', 'ipv4', '9.9.9.9'],
  ['name.namespace.svc', 'productpage.ns1.svc', 'ipv4', '9.9.9.9'],
  ['name.namespace', 'productpage.ns1', 'ipv4', '9.9.9.9'],
  ['a short name is of the own namespace', 'productpage', 'ipv4', '9.9.9.9'],
  [
    'name.namespace behind a search domain leads to the full name by CNAME',
    'productpage.ns1.ns1.svc.cluster.local',
    'ipv4',
    'productpage.ns1.svc.cluster.local -> 9.9.9.9',
  ],
  ['AAAA of an IPv4 service exists without data', 'productpage', 'ipv6', 'no-data'],
  [
    'no data behind a search domain keeps its CNAME',
    'www.google.com.ns1.svc.cluster.local',
    'ipv6',
    'www.google.com -> no-data',
  ],
  ['a full name of another namespace', 'reviews.ns3.svc.cluster.local', 'ipv4', '9.9.9.5'],
  ['name.namespace of another', 'reviews.ns3', 'ipv4', '9.9.9.5'],
  ['name.namespace.svc of another', 'reviews.ns3.svc', 'ipv4', '9.9.9.5'],
  ['a short name of another namespace is not known', 'reviews', 'ipv4', 'forward'],
  ['a name of a remote cluster in full', 'details.ns2.svc.cluster.remote', 'ipv4', '9.9.9.6'],
  ['a name of a remote cluster is never short', 'details.ns2', 'ipv4', 'forward'],
  ['A gives only IPv4', 'dual', 'ipv4', '9.9.9.7'],
  ['AAAA gives only IPv6', 'dual', 'ipv6', 'fd00::7'],
  ['A of an IPv6 service exists without data', 'v6', 'ipv4', 'no-data'],
  ['a mapped address is IPv4', 'mapped.example', 'ipv4', '1.1.1.9'],
  ['a wildcard', 'foo.wildcard', 'ipv4', '10.1.2.3'],
  ['a wildcard spans several labels', 'a.c.wildcard', 'ipv4', '10.1.2.3'],
  ['the nearest wildcard wins', 'a.b.wildcard', 'ipv4', '10.1.2.4'],
  ['a wildcard is not its own domain', 'wildcard', 'ipv4', 'forward'],
  ['a wildcard of a domain', 'foo.svc.mesh.company.net', 'ipv4', '10.1.2.5'],
  ['and with a namespace before it', 'foo.ns9.svc.mesh.company.net', 'ipv4', '10.1.2.5'],
  [
    'a wildcard behind a search domain leads to the name that was meant',
    'foo.svc.mesh.company.net.ns1.svc.cluster.local',
    'ipv4',
    'foo.svc.mesh.company.net -> 10.1.2.5',
  ],
  ['addresses of another network are not told', 'far.example', 'ipv4', 'no-data'],
  ['a range is no answer', 'range.example', 'ipv4', 'forward'],
  ['a host outside without address of its own', 'bare.example', 'ipv4', 'forward'],
  ['a headless service: healthy endpoints of the network', 'headless', 'ipv4', '10.0.0.1 10.0.0.2'],
  ['and those with IPv6', 'headless', 'ipv6', 'fd00::1'],
  ['a headless service of IPv6 only has no A', 'headless6', 'ipv4', 'no-data'],
  ['but AAAA', 'headless6', 'ipv6', 'fd00::60'],
  ['a headless service without endpoints', 'empty', 'ipv4', 'forward'],
  ['unready endpoints where the service publishes them', 'starting', 'ipv4', '10.0.0.50'],
  ['a pod of a headless service', 'h-0.headless.ns1.svc.cluster.local', 'ipv4', '10.0.0.1'],
  ['in the other family', 'h-1.headless.ns1.svc.cluster.local', 'ipv6', 'no-data'],
  ['name.service.namespace.svc of a pod', 'h-1.headless.ns1.svc', 'ipv4', 'forward'],
  ['a pod that is not ready', 'h-2.headless.ns1.svc.cluster.local', 'ipv4', 'forward'],
  [
    'a pod that is not ready, where published',
    's-0.starting.ns1.svc.cluster.local',
    'ipv4',
    '10.0.0.50',
  ],
  ['no such pod', 'h-9.headless.ns1.svc.cluster.local', 'ipv4', 'forward'],
  ['a pod name before a service with an address', 'x.productpage.ns1.svc', 'ipv4', 'forward'],
  ['several own the host: the own namespace', 'shared.example', 'ipv4', '2.2.2.1'],
  ['several own the host: the canonical', 'owned.example', 'ipv4', '3.3.3.3'],
  ['a host that only another namespace may see', 'hidden.example', 'ipv4', 'forward'],
  ['one that may be seen before one that may not', 'split.example', 'ipv4', '5.5.5.2'],
  ['the root', '', 'ipv4', 'forward'],
  ['empty labels', 'a..b', 'ipv4', 'forward'],
];

describe('what a name means in the mesh', () => {
  for (const [what, name, family, expected] of CASES) {
    test(`${what}: ${name || '.'} ${family === 'ipv4' ? 'A' : 'AAAA'}`, () => {
      assert.equal(ask(name, family), expected);
    });
  }

  test('a short name depends on the client', () => {
    const other = { ...CLIENT, namespace: 'ns2' };
    assert.equal(ask('productpage', 'ipv4', other), '9.9.9.8');
    assert.equal(ask('shared.example', 'ipv4', other), '2.2.2.2');
    assert.equal(ask('hidden.example', 'ipv4', other), '4.4.4.4');
  });

  test('a host outside the cluster is told in families the client has itself', () => {
    assert.equal(ask('both.example'), '240.240.0.1');
    assert.equal(ask('both.example', 'ipv6'), 'no-data');
    assert.equal(ask('both.example', 'ipv6', DUAL_CLIENT), '2001:2::1');
  });

  test("the client's own search domains replace the usual ones", () => {
    const place = { ...PLACE, search: ['corp.example'] };
    const resolve = (name: string): string =>
      seen(resolveName({ name, family: 'ipv4' }, CLIENT, SNAPSHOT, place));
    assert.equal(resolve('www.google.com.corp.example'), 'www.google.com -> 1.1.1.1');
    assert.equal(resolve('www.google.com.ns1.svc.cluster.local'), 'forward');
  });

  test('of several owners elsewhere, the preferred namespace comes before the first, after the canonical', () => {
    const other = { ...CLIENT, namespace: 'ns9' };
    const resolve = (name: string, preferredNamespace?: string): string =>
      seen(
        resolveName({ name, family: 'ipv4' }, other, SNAPSHOT, { ...PLACE, preferredNamespace }),
      );
    assert.equal(resolve('shared.example'), '2.2.2.1');
    assert.equal(resolve('shared.example', 'ns2'), '2.2.2.2');
    assert.equal(resolve('owned.example', 'ns2'), '3.3.3.3');
  });

  test('another cluster domain counts everywhere', () => {
    const snapshot = emptySnapshot.apply([
      service({ hostname: 'web.ns1.svc.mesh.test', namespace: 'ns1', vips: ['9.9.9.9'] }),
    ]);
    const resolve = (name: string): string =>
      seen(resolveName({ name, family: 'ipv4' }, CLIENT, snapshot, { clusterDomain: 'mesh.test' }));
    assert.equal(resolve('web'), '9.9.9.9');
    assert.equal(resolve('web.ns1.svc.mesh.test'), '9.9.9.9');
    assert.equal(resolve('web.ns1.svc.cluster.local'), 'forward');
  });

  test('an answer holds addresses of the asked family that the mesh itself knows, and nothing else', () => {
    fc.assert(
      fc.property(
        fc.array(ANY_SERVICE, { maxLength: 5 }),
        fc.array(ANY_WORKLOAD, { maxLength: 5 }),
        fc.constantFrom('a.test', 'b.test', 'c.test', 'web', 'x.a.test', 'a.test.cluster.local'),
        fc.constantFrom<AddressFamily>('ipv4', 'ipv6'),
        (services, workloads, name, family) => {
          const snapshot = emptySnapshot.apply([
            ...services.map((value): ResourceUpdate => ({ kind: 'service', service: value })),
            ...workloads.map((workload): ResourceUpdate => ({ kind: 'workload', workload })),
          ]);
          const resolution = resolveName({ name, family }, CLIENT, snapshot, PLACE);
          if (resolution.kind === 'forward') return;
          const known = new Set([
            ...services.flatMap(({ vips }) => vips.map(({ ip }) => ip)),
            ...workloads.flatMap(({ addresses }) => addresses),
          ]);
          for (const ip of resolution.addresses) {
            assert.ok(known.has(ip));
            assert.equal(ip.includes(':'), family === 'ipv6');
          }
        },
      ),
    );
  });
});
