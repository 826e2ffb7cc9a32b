// Which Gateways are ours, and what their status says.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Deployment, Secret, Service } from '../../runtime/kubernetes/objects.ts';
import { createTestCa } from '../../tunnel/test-ca.ts';
import type { GatewayFacts } from './plan.ts';
import {
  HTTP,
  ingress,
  listenersOf,
  MESH,
  messageOf,
  plan,
  READY,
  SERVICE,
  says,
  waypoint,
} from './test-gateways.ts';

const running = (
  deployment: Deployment | undefined,
  service: Service | undefined = SERVICE,
): Partial<GatewayFacts> => ({ running: () => ({ deployment, service }) });

describe('a Gateway', () => {
  test('of somebody else’s class, or of none that is there, is left alone', () => {
    for (const gatewayClassName of ['foreign', 'nowhere']) {
      const it = plan([waypoint({ spec: { gatewayClassName } })]);
      assert.deepEqual(says(it), []);
      assert.ok(it.desired.every(({ resource }) => resource.kind === 'GatewayClass'));
    }
  });

  test('on its way out is not made anew, nor torn down before its time', () => {
    const it = plan([waypoint({ deletionTimestamp: '2030-01-01T00:00:00Z' })]);
    assert.deepEqual(says(it), []);
    assert.deepEqual([...it.untouched], ['u-waypoint']);
  });

  test('is programmed once a replica is ready and its address is known', () => {
    const of = (facts: Partial<GatewayFacts>) => says(plan([waypoint()], facts))[1];
    assert.equal(of({}), 'Programmed=True Programmed');
    assert.equal(of(running(undefined)), 'Programmed=False Pending');
    assert.equal(of(running({ ...READY, status: {} })), 'Programmed=False Pending');
    const quota = { type: 'ReplicaFailure', status: 'True', message: 'exceeded quota' } as const;
    const stuck = plan([waypoint()], running({ ...READY, status: { conditions: [quota] } }));
    assert.equal(says(stuck)[1], 'Programmed=False NoResources');
    assert.match(messageOf(stuck, 'Programmed'), /exceeded quota/);
    const headless = { ...SERVICE, spec: { clusterIP: 'None', clusterIPs: ['None'] } };
    assert.equal(of(running(READY, headless)), 'Programmed=False AddressNotAssigned');
    assert.equal(
      of({ failureOf: () => 'Service shop/waypoint is there already' }),
      'Programmed=False Invalid',
    );
  });

  test('has the addresses of its Service, or of the load balancer before it', () => {
    const addresses = (facts: Partial<GatewayFacts>) =>
      plan([ingress()], facts).outcomes.find(({ resource }) => resource.kind === 'Gateway')
        ?.fields?.['addresses'];
    assert.deepEqual(addresses({}), [
      { type: 'IPAddress', value: '10.96.0.9' },
      { type: 'IPAddress', value: 'fd00::9' },
    ]);
    const balanced = (ingress?: { ip?: string; hostname?: string }[]): Service => ({
      ...SERVICE,
      spec: { ...SERVICE.spec, type: 'LoadBalancer' },
      ...(ingress === undefined ? {} : { status: { loadBalancer: { ingress } } }),
    });
    assert.deepEqual(addresses(running(READY, balanced())), []);
    assert.deepEqual(
      addresses(running(READY, balanced([{ ip: '192.0.2.1' }, { hostname: 'lb.example' }]))),
      [
        { type: 'IPAddress', value: '192.0.2.1' },
        { type: 'Hostname', value: 'lb.example' },
      ],
    );
    assert.deepEqual(
      says(plan([ingress()], running(READY, balanced())))[1],
      'Programmed=False AddressNotAssigned',
    );
  });

  test('with a name no Service can have, or addresses nobody can give it, is not accepted', () => {
    assert.equal(says(plan([waypoint({ name: 'w'.repeat(64) })]))[0], 'Accepted=False Invalid');
    const addresses = [{ value: '192.0.2.1' }];
    assert.equal(
      says(plan([waypoint({ spec: { addresses } })]))[0],
      'Accepted=False UnsupportedAddress',
    );
    const two = [...addresses, { value: '192.0.2.2' }];
    assert.equal(
      says(plan([ingress([HTTP], { spec: { addresses: two } })]))[0],
      'Accepted=False UnsupportedAddress',
    );
    assert.equal(
      says(plan([ingress([HTTP], { spec: { addresses: [{}] } })]))[0],
      'Accepted=True Accepted',
    );
  });

  test('tells of its use, for people', () => {
    const uses = new Map([['shop/waypoint', { services: 3, workloads: 1 }]]);
    const [status] = plan([waypoint({ labels: { 'ambit-mesh.io/waypoint-for': 'all' } })], {
      uses,
    }).waypoints;
    assert.deepEqual(status, {
      namespace: 'shop',
      name: 'waypoint',
      kind: 'waypoint',
      for: 'all',
      replicas: 2,
      ready: 1,
      programmed: true,
      message: 'Its proxy serves',
      addresses: ['10.96.0.9', 'fd00::9'],
      services: 3,
      workloads: 1,
    });
  });

  test('that takes a kind of traffic nobody knows is a problem', () => {
    const { problems } = plan([waypoint({ labels: { 'ambit-mesh.io/waypoint-for': 'pods' } })]);
    assert.deepEqual(
      problems.map(({ reason }) => reason),
      ['UnknownWaypointFor'],
    );
  });
});

describe('GatewayClasses', () => {
  test('of ours are made, and all with our controller are accepted', () => {
    const it = plan([]);
    assert.deepEqual(
      it.desired.map(({ object }) => object.metadata.name),
      ['ambit-waypoint', 'ambit-ingress'],
    );
    assert.deepEqual(
      it.outcomes.map(({ object, findings }) => [
        object.metadata.name,
        ...findings.map(({ type, status }) => `${type}=${status}`),
      ]),
      [
        ['ambit-waypoint', 'Accepted=True', 'SupportedVersion=True'],
        ['ambit-ingress', 'Accepted=True', 'SupportedVersion=True'],
      ],
    );
  });
});

const GOOD = [
  'Accepted=True Accepted',
  'ResolvedRefs=True ResolvedRefs',
  'Conflicted=False NoConflicts',
  'Programmed=True Programmed',
];

describe('a listener', () => {
  test('that is fine says so, and waits with its Gateway', () => {
    assert.deepEqual(listenersOf(plan([waypoint()])), { mesh: GOOD });
    const waiting = listenersOf(plan([waypoint()], running(undefined)))['mesh'];
    assert.equal(waiting?.[3], 'Programmed=False Pending');
  });

  test('takes the kinds of routes of its protocol, counted by others', () => {
    const part = (gateway = waypoint(), name = 'waypoint') => {
      const attachedRoutes = new Map([[`shop/${name}/mesh`, 4]]);
      const { outcomes } = plan([gateway], { attachedRoutes });
      return outcomes.find(({ resource }) => resource.kind === 'Gateway')?.parts?.['listeners']?.[0]
        ?.fields;
    };
    const kinds = (...all: string[]) =>
      all.map((kind) => ({ group: 'gateway.networking.k8s.io', kind }));
    assert.deepEqual(part(), {
      attachedRoutes: 4,
      supportedKinds: kinds('HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute'),
    });
    assert.deepEqual(part(ingress())?.['supportedKinds'], kinds('HTTPRoute', 'GRPCRoute'));
    const tcp = { name: 'tcp', port: 9000, protocol: 'TCP' };
    assert.deepEqual(part(ingress([tcp]))?.['supportedKinds'], kinds('TCPRoute'));
    const tls = (mode: 'Terminate' | 'Passthrough') =>
      part(ingress([{ name: 'tls', port: 443, protocol: 'TLS', tls: { mode } }]))?.[
        'supportedKinds'
      ];
    assert.deepEqual(tls('Passthrough'), kinds('TLSRoute'));
    assert.deepEqual(tls('Terminate'), kinds('TLSRoute', 'TCPRoute'));
    const narrowed = {
      ...HTTP,
      allowedRoutes: { kinds: [{ kind: 'GRPCRoute' }, { kind: 'TCPRoute' }] },
    };
    assert.deepEqual(part(ingress([narrowed]))?.['supportedKinds'], kinds('GRPCRoute'));
    assert.equal(
      listenersOf(plan([ingress([narrowed])]))['http']?.[1],
      'ResolvedRefs=False InvalidRouteKinds',
    );
  });

  test('of a protocol or port nobody serves is refused; the Gateway stands as long as one is left', () => {
    const udp = { name: 'udp', port: 53, protocol: 'UDP' };
    const one = plan([ingress([HTTP, udp])]);
    assert.deepEqual(says(one)[0], 'Accepted=True ListenersNotValid');
    assert.equal(listenersOf(one)['udp']?.[0], 'Accepted=False UnsupportedProtocol');
    assert.equal(listenersOf(one)['udp']?.[3], 'Programmed=False Invalid');
    assert.equal(listenersOf(one)['http']?.[3], 'Programmed=True Programmed');
    assert.deepEqual(says(plan([ingress([udp])])), [
      'Accepted=False ListenersNotValid',
      'Programmed=False Invalid',
    ]);
    const other = plan([waypoint({ spec: { listeners: [{ ...MESH, port: 15009 }] } })]);
    assert.equal(listenersOf(other)['mesh']?.[0], 'Accepted=False PortUnavailable');
    const http = plan([waypoint({ spec: { listeners: [HTTP] } })]);
    assert.equal(listenersOf(http)['http']?.[0], 'Accepted=False UnsupportedProtocol');
  });

  test('conflicts with others of its port by protocol or by hostname', () => {
    const of = (...listeners: Parameters<typeof ingress>[0] & object) =>
      Object.values(listenersOf(plan([ingress(listeners)]))).map((all) => all[2]);
    const tls = { name: 'tls', port: 80, protocol: 'TLS' };
    assert.deepEqual(of(HTTP, tls), [
      'Conflicted=True ProtocolConflict',
      'Conflicted=True ProtocolConflict',
    ]);
    const again = { ...HTTP, name: 'again' };
    assert.deepEqual(of(HTTP, again), [
      'Conflicted=True HostnameConflict',
      'Conflicted=True HostnameConflict',
    ]);
    const named = { ...again, hostname: 'a.example' };
    assert.deepEqual(of(HTTP, named), [
      'Conflicted=False NoConflicts',
      'Conflicted=False NoConflicts',
    ]);
    const https = { ...tls, name: 'https', protocol: 'HTTPS', hostname: 'b.example' };
    assert.deepEqual(of(tls, https), [
      'Conflicted=False NoConflicts',
      'Conflicted=False NoConflicts',
    ]);
  });
});

describe('a listener’s certificate', async () => {
  const ca = await createTestCa();
  const issued = await ca.svid('spiffe://cluster.local/ns/shop/sa/web');
  const other = await ca.svid('spiffe://cluster.local/ns/shop/sa/other');
  const secret = (crt: string, key: string): Secret => ({
    metadata: { name: 'cert' },
    data: {
      'tls.crt': Buffer.from(crt).toString('base64'),
      'tls.key': Buffer.from(key).toString('base64'),
    },
  });
  const resolved = (
    ref: object,
    found: Secret | undefined | 'unknown',
    facts: Partial<GatewayFacts> = {},
  ) => {
    const certificateRefs = [{ name: 'cert', ...ref }];
    const https = { name: 'https', port: 443, protocol: 'HTTPS', tls: { certificateRefs } };
    const it = listenersOf(plan([ingress([https])], { secret: () => found, ...facts }));
    return [it['https']?.[1], it['https']?.[3]];
  };
  const FINE = ['ResolvedRefs=True ResolvedRefs', 'Programmed=True Programmed'];
  const INVALID = ['ResolvedRefs=False InvalidCertificateRef', 'Programmed=False Invalid'];
  const crt = issued.chainPem;
  const good = secret(crt, issued.keyPem);

  test('must be in a Secret that is there, with its own key', () => {
    assert.deepEqual(resolved({}, good), FINE);
    assert.deepEqual(resolved({}, undefined), INVALID);
    assert.deepEqual(resolved({}, secret('junk', issued.keyPem)), INVALID);
    assert.deepEqual(resolved({}, secret(crt, 'junk')), INVALID);
    assert.deepEqual(resolved({}, secret(crt, other.keyPem)), INVALID);
    assert.deepEqual(resolved({ kind: 'ConfigMap' }, good), INVALID);
    assert.deepEqual(resolved({ group: 'example.com' }, good), INVALID);
  });

  test('goes with its key to the proxies, which serve what can be served', () => {
    const https = {
      name: 'https',
      hostname: '*.Shop.example',
      port: 443,
      protocol: 'HTTPS',
      tls: { certificateRefs: [{ name: 'cert' }] },
    };
    const through = {
      name: 'through',
      port: 8443,
      protocol: 'TLS',
      tls: { mode: 'Passthrough' as const },
    };
    const tcp = { name: 'tcp', port: 9000, protocol: 'TCP', hostname: 'means.nothing' };
    const own = { name: 'own', port: 15021, protocol: 'HTTP' };
    const all = [HTTP, https, through, tcp, own];
    const { listeners } = plan([ingress(all), waypoint()], { secret: () => good });
    const key = listeners[0]?.listeners[1]?.serves;
    assert.ok(key?.kind === 'https');
    assert.equal(key.certificates[0]?.keyPem.reveal(), issued.keyPem);
    assert.deepEqual(listeners, [
      {
        gateway: 'shop/edge',
        listeners: [
          { name: 'http', port: 80, hostname: '', serves: { kind: 'http' } },
          {
            name: 'https',
            port: 443,
            hostname: '*.shop.example',
            serves: {
              kind: 'https',
              certificates: [{ chainPem: crt, keyPem: key.certificates[0]?.keyPem }],
            },
          },
          { name: 'through', port: 8443, hostname: '', serves: { kind: 'passthrough' } },
          { name: 'tcp', port: 9000, hostname: '', serves: { kind: 'tcp' } },
        ],
      },
    ]);
    const without = plan([ingress(all)], { secret: () => undefined });
    assert.deepEqual(
      without.listeners[0]?.listeners.map(({ name }) => name),
      ['http', 'through', 'tcp'],
    );
    assert.equal(listenersOf(without)['own']?.[0], 'Accepted=False PortUnavailable');
  });

  test('that was not looked for yet is told of as pending', () => {
    const https = { ...HTTP, protocol: 'HTTPS', tls: { certificateRefs: [{ name: 'cert' }] } };
    assert.deepEqual(
      [...plan([ingress([https])], { secret: () => 'unknown' }).pending],
      ['shop/edge'],
    );
    assert.equal(plan([ingress([https])], { secret: () => undefined }).pending.size, 0);
  });

  test('of another namespace needs a grant there for it', () => {
    const grant = (to: object, namespace = 'shop') => ({
      metadata: { name: 'g', namespace: 'certs' },
      spec: {
        from: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', namespace }],
        to: [{ group: '', kind: 'Secret', ...to }],
      },
    });
    const there = (...grants: ReturnType<typeof grant>[]) =>
      resolved({ namespace: 'certs' }, good, { grants })[0];
    assert.equal(there(), 'ResolvedRefs=False RefNotPermitted');
    assert.equal(there(grant({})), FINE[0]);
    assert.equal(there(grant({ name: 'cert' })), FINE[0]);
    assert.equal(there(grant({ name: 'other' })), 'ResolvedRefs=False RefNotPermitted');
    assert.equal(there(grant({}, 'bank')), 'ResolvedRefs=False RefNotPermitted');
    assert.equal(there(grant({ kind: 'Service' })), 'ResolvedRefs=False RefNotPermitted');
  });

  test('is followed by name, as overlays are', () => {
    const https = {
      name: 'h',
      port: 443,
      protocol: 'HTTPS',
      tls: { certificateRefs: [{ name: 'cert' }] },
    };
    assert.deepEqual(
      plan([ingress([https])]).references.map(({ resource, namespace, name }) => [
        resource.kind,
        namespace,
        name,
      ]),
      [['Secret', 'shop', 'cert']],
    );
  });
});
