// The dump's shape, field by field, as readers of the reference's dumps take it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import type { AuthorizationPolicy } from '../mesh/policy.ts';
import { emptySnapshot } from '../mesh/snapshot.ts';
import { systemClock } from '../runtime/clock.ts';
import { silentLog } from '../runtime/log.ts';
import { Certificates } from '../tunnel/certificates/certificates.ts';
import type { ConfigDump } from '../wire/config-dump.ts';
import { adminRoutes } from './admin-routes.ts';
import { Connections } from './connections.ts';
import { createTestCa, issueFrom, portOf, serviceOf, workloadOf } from './test-support/world.ts';

const POD = { name: 'web', uid: 'u-1', addresses: ['10.0.0.7'] };
const POLICY: AuthorizationPolicy = {
  name: 'only-client',
  namespace: 'shop',
  scope: 'workload',
  action: 'allow',
  dryRun: false,
  rules: [
    {
      clauses: [
        {
          matches: [
            {
              namespaces: [{ kind: 'presence' }],
              notNamespaces: [],
              principals: [{ kind: 'suffix', value: '/sa/client' }],
              notPrincipals: [],
              sourceIps: [{ ip: parseIp('10.0.0.0'), prefixLength: 8 }],
              notSourceIps: [],
              destinationIps: [],
              notDestinationIps: [],
              destinationPorts: [80],
              notDestinationPorts: [],
              serviceAccounts: [{ namespace: 'shop', serviceAccount: 'client' }],
            },
          ],
        },
      ],
    },
  ],
};

async function dumped() {
  const gateway = { by: 'hostname', namespace: 'shop', hostname: 'way', port: 15008 } as const;
  const snapshot = emptySnapshot.apply([
    {
      kind: 'workload',
      workload: workloadOf(POD, {
        waypoint: gateway,
        services: new Map([['shop/web.shop.svc.cluster.local', [portOf(80, 8080)]]]),
      }),
    },
    { kind: 'service', service: serviceOf('web', '10.96.0.10', [portOf(80, 8080)]) },
    { kind: 'policy', policy: POLICY },
  ]);
  const ca = await createTestCa();
  const certificates = new Certificates(
    { clock: systemClock, log: silentLog, issue: issueFrom(ca) },
    { ttlSeconds: 3600, trustDomain: 'cluster.local' },
  );
  const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' };
  const claim = certificates.claim(identity);
  const { svid } = await claim.current();
  const enrolment = {
    podUid: POD.uid,
    workloadUid: 'w',
    name: 'web',
    namespace: 'shop',
    identity,
    addresses: [],
  };
  const connections = new Connections();
  const shown = { src: '10.0.0.1:5', originalDst: '10.96.0.10:80' };
  connections.register({ direction: 'outbound', podUid: POD.uid, description: shown });
  connections.register({ direction: 'inbound', podUid: 'u-2', description: shown });
  const routes = adminRoutes({
    clock: systemClock,
    discovery: { snapshot: () => snapshot },
    certificates,
    connections,
    enrolments: {
      *pods() {
        yield { enrolment, state: 'enabled' };
      },
    } as never,
    pool: undefined as never,
    settings: {},
  });
  const read = async (path: string): Promise<unknown> => {
    const url = new URL(path, 'http://admin');
    const asked = { method: 'GET', url, accept: '', signal: new AbortController().signal };
    return JSON.parse(String((await routes[url.pathname]!(asked)).body));
  };
  const dump = (await read('/config_dump')) as ConfigDump;
  return { dump, read, keyPem: svid.keyPem, close: () => certificates.close() };
}

test('workloads, services and policies are lists with the names readers look for', async () => {
  const { dump, close } = await dumped();
  close();
  const [workload] = dump.workloads;
  assert.equal(workload?.protocol, 'HBONE');
  assert.deepEqual(workload?.workloadIps, ['10.0.0.7']);
  assert.deepEqual(workload?.waypoint, { destination: 'shop/way', hboneMtlsPort: 15008 });
  assert.equal(workload?.status, 'Healthy');
  const [service] = dump.services;
  assert.deepEqual(service?.vips, ['/10.96.0.10']);
  assert.deepEqual(service?.ports, { 80: 8080 });
  assert.deepEqual(Object.values(service?.endpoints ?? {}), [
    {
      workloadUid: 'Kubernetes//Pod/shop/web',
      service: 'shop/web.shop.svc.cluster.local',
      port: { 80: 8080 },
      status: 'Healthy',
    },
  ]);
  assert.deepEqual(dump.policies, [
    {
      name: 'only-client',
      namespace: 'shop',
      scope: 'WorkloadSelector',
      action: 'Allow',
      dryRun: false,
      rules: [
        [
          [
            {
              namespaces: [{ Presence: null }],
              principals: [{ Suffix: '/sa/client' }],
              sourceIps: ['10.0.0.0/8'],
              destinationPorts: [80],
              serviceAccounts: [{ namespace: 'shop', serviceAccount: 'client' }],
            },
          ],
        ],
      ],
    },
  ]);
});

test('certificates have decimal serials, times to the second and base64 PEM; keys are nowhere', async () => {
  const { dump, read, keyPem, close } = await dumped();
  const [one] = dump.certificates;
  assert.equal(one?.identity, 'spiffe://cluster.local/ns/shop/sa/web');
  assert.equal(one?.state, 'Available');
  const leaf = one?.certChain[0];
  assert.match(leaf?.serialNumber ?? '', /^\d+$/);
  assert.match(leaf?.expirationTime ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.match(Buffer.from(leaf?.pem ?? '', 'base64').toString(), /^-----BEGIN CERTIFICATE-----/);
  assert.deepEqual(await read('/certificates'), dump.certificates);
  const secret = keyPem.split('\n')[1]!;
  for (const text of [JSON.stringify(dump), JSON.stringify(await read('/connections'))]) {
    assert.doesNotMatch(text, /PRIVATE KEY/);
    assert.ok(!text.includes(secret));
  }
  close();
});

test('connections are under their pod, and asked for by UID, name or namespace/name', async () => {
  const { dump, read, close } = await dumped();
  close();
  const row = {
    src: '10.0.0.1:5',
    originalDst: '10.96.0.10:80',
    actualDst: '10.96.0.10:80',
    protocol: 'TCP',
  };
  assert.deepEqual(dump.workloadState['u-1'], {
    state: 'Up',
    connections: { inbound: [], outbound: [row] },
    info: { name: 'web', namespace: 'shop', trustDomain: 'cluster.local', serviceAccount: 'web' },
  });
  assert.equal(((await read('/connections')) as unknown[]).length, 2);
  for (const pod of ['u-1', 'web', 'shop/web']) {
    assert.deepEqual(await read(`/connections?pod=${encodeURIComponent(pod)}`), [
      { pod: 'u-1', name: 'shop/web', direction: 'outbound', ...row },
    ]);
  }
  assert.deepEqual(await read('/connections?pod=other'), []);
});
