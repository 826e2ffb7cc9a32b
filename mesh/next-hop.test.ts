// nextHop(): the decision as a value, for each kind of intent.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from './address.ts';
import { LEFT_TO_DESTINATION } from './authorize.ts';
import type { Balance } from './balance.ts';
import { classify } from './classify.ts';
import { type FailureCode, failureCodeOf } from './failures.ts';
import {
  type GatewayHop,
  type Hop,
  hopTo,
  nextHop,
  type TcpHop,
  type TunnelHop,
} from './next-hop.ts';
import { admit } from './permit.ts';
import type { ResourceUpdate } from './resource-update.ts';
import type { Service } from './service.ts';
import { emptySnapshot, type Snapshot } from './snapshot.ts';
import { ANY_IP, ANY_SERVICE, ANY_WORKLOAD, serviceOf, workloadOf } from './test-arbitraries.ts';
import { type GatewayAddress, type Workload, workloadIdentity } from './workload.ts';

const HOST = 'web.shop.svc.cluster.local';
const CLIENT = workloadOf({ uid: 'client', addresses: [parseIp('10.0.0.1')] });
const SERVER = workloadOf({
  uid: 'server',
  serviceAccount: 'server',
  addresses: [parseIp('10.0.0.2'), parseIp('fd00::2')],
});
const WAYPOINT = workloadOf({
  uid: 'waypoint',
  serviceAccount: 'waypoint',
  addresses: [parseIp('10.0.0.3')],
});
const PORT = { servicePort: 80, targetPort: 8080, appProtocol: 'unknown' } as const;
const BALANCE: Balance = { random: () => 0, load: () => 0 };
const TO_WAYPOINT: GatewayAddress = {
  by: 'address',
  network: '',
  ip: parseIp('10.0.0.3'),
  port: 15008,
};
const WEB = serviceOf({
  hostname: HOST,
  vips: [{ network: '', ip: parseIp('10.96.0.1'), prefixLength: undefined }],
  ports: [PORT],
});
const EXTRA = 'spiffe://cluster.local/ns/shop/sa/extra';

function world(
  server: Partial<Workload> = {},
  service: Partial<Service> = {},
  ...more: readonly (Workload | Service)[]
): Snapshot {
  const behind = new Map([[`shop/${HOST}`, [PORT]]]);
  const known: (Workload | Service)[] = [
    CLIENT,
    { ...SERVER, services: behind, ...server },
    WAYPOINT,
    { ...WEB, ...service },
    ...more,
  ];
  return emptySnapshot.apply(
    known.map(
      (one): ResourceUpdate =>
        'uid' in one ? { kind: 'workload', workload: one } : { kind: 'service', service: one },
    ),
  );
}

function anyHopFor(
  snapshot: Snapshot,
  ip: string,
  port: number,
  balance = BALANCE,
  source = CLIENT,
): Hop {
  const intent = classify(source, { ip: parseIp(ip), port }, snapshot);
  return nextHop(admit(intent, LEFT_TO_DESTINATION), source, snapshot, balance);
}

function hopFor(...asked: Parameters<typeof anyHopFor>): TunnelHop | GatewayHop | TcpHop {
  const hop = anyHopFor(...asked);
  assert.ok(hop.via !== 'lookup');
  return hop;
}

function tunnelFor(...asked: Parameters<typeof anyHopFor>): TunnelHop {
  const hop = anyHopFor(...asked);
  assert.ok(hop.via === 'tunnel', hop.via);
  return hop;
}

const refused = (code: FailureCode, run: () => unknown): void =>
  assert.throws(run, (error) => failureCodeOf(error) === code);

describe('nextHop()', () => {
  test('leads a service to the tunnel door of an endpoint, asking for its target port', () => {
    const hop = tunnelFor(world(), '10.96.0.1', 80);
    assert.deepEqual(hop.to, { ip: '10.0.0.2', port: 15008 });
    assert.equal(hop.authority, '10.0.0.2:8080');
    assert.deepEqual(hop.expected, [workloadIdentity(SERVER)]);
  });

  test('expects the names of the service besides the endpoint’s own', () => {
    const snapshot = world({}, { subjectAltNames: [EXTRA, 'nonsense'] });
    assert.equal(tunnelFor(snapshot, '10.96.0.1', 80).expected.length, 2);
  });

  test('leads a pod address to its own tunnel door', () => {
    const hop = tunnelFor(world(), 'fd00::2', 9000);
    assert.deepEqual(hop.to, { ip: 'fd00::2', port: 15008 });
    assert.equal(hop.authority, '[fd00::2]:9000');
  });

  test('tunnels to an endpoint on the same node like to any other', () => {
    assert.equal(tunnelFor(world({ node: CLIENT.node }), '10.96.0.1', 80).to.port, 15008);
  });

  test('goes plain to workloads outside the mesh, by service and by address', () => {
    for (const [ip, port] of [
      ['10.96.0.1', 80],
      ['10.0.0.2', 8080],
    ] as const) {
      const hop = hopFor(world({ protocol: 'tcp' }), ip, port);
      assert.deepEqual([hop.via, hop.to], ['tcp', { ip: '10.0.0.2', port: 8080 }]);
    }
  });

  test('reaches a pod on the host’s network as endpoint of a service only', () => {
    const snapshot = world({ protocol: 'tcp', hostNetwork: true });
    assert.equal(hopFor(snapshot, '10.96.0.1', 80).workload?.uid, 'server');
    assert.equal(hopFor(snapshot, '10.0.0.2', 8080).workload, undefined);
  });

  test('goes plain to where it was going when the destination is unknown', () => {
    const hop = hopFor(world(), '192.0.2.1', 443);
    assert.deepEqual([hop.via, hop.to], ['tcp', { ip: '192.0.2.1', port: 443 }]);
    assert.equal(hop.workload, undefined);
  });

  test('goes plain to where it was going when the service is passed through', () => {
    const loadBalancing = { mode: 'passthrough', preference: [], health: 'only-healthy' } as const;
    const hop = hopFor(world({}, { loadBalancing }), '10.96.0.1', 81);
    assert.deepEqual([hop.via, hop.to], ['tcp', { ip: '10.96.0.1', port: 81 }]);
  });

  test('refuses a service without endpoints, and never passes it through', () => {
    refused('NO_HEALTHY_ENDPOINT', () => hopFor(world({ services: new Map() }), '10.96.0.1', 80));
  });

  test('asks for a lookup when the endpoint has a name only, then for a hop to its address', () => {
    const hop = anyHopFor(
      world({ addresses: [], hostname: 'db.example.com', protocol: 'tcp' }),
      '10.96.0.1',
      80,
    );
    assert.ok(hop.via === 'lookup');
    assert.deepEqual([hop.hostname, hop.port], ['db.example.com', 8080]);
    const to = { ip: parseIp('192.0.2.5'), port: hop.port };
    assert.deepEqual(hopTo(hop.workload, to, hop.service), {
      via: 'tcp',
      to,
      workload: hop.workload,
      service: hop.service,
    });
  });
});

describe('a waypoint', () => {
  const behind: Partial<Workload> = { waypoint: TO_WAYPOINT };

  test('is asked for the original destination', () => {
    for (const [snapshot, ip, port] of [
      [world({}, { waypoint: TO_WAYPOINT }), '10.96.0.1', 80],
      [world(behind), '10.0.0.2', 8080],
    ] as const) {
      const hop = tunnelFor(snapshot, ip, port);
      assert.deepEqual(hop.to, { ip: '10.0.0.3', port: 15008 });
      assert.equal(hop.authority, `${ip}:${port}`);
      assert.deepEqual(hop.expected, [workloadIdentity(WAYPOINT)]);
    }
  });

  test('of an endpoint is not for its service, and is skipped by the waypoint itself', () => {
    assert.equal(tunnelFor(world(behind), '10.96.0.1', 80).workload.uid, 'server');
    assert.equal(
      tunnelFor(world(behind), '10.0.0.2', 8080, BALANCE, WAYPOINT).workload.uid,
      'server',
    );
  });

  test('is not skipped by another workload with the same identity', () => {
    const twin = { ...CLIENT, serviceAccount: WAYPOINT.serviceAccount };
    assert.equal(
      tunnelFor(world(behind), '10.0.0.2', 8080, BALANCE, twin).workload.uid,
      'waypoint',
    );
  });

  test('is never gone around: unknown, unhealthy, tried in vain, without address, abroad', () => {
    const through = { waypoint: TO_WAYPOINT };
    const exclude = new Set([WAYPOINT.uid]);
    const cases: [Snapshot, Balance][] = [
      [world({}, { waypoint: { ...TO_WAYPOINT, ip: parseIp('10.0.0.99') } }), BALANCE],
      [world({}, through, { ...WAYPOINT, health: 'unhealthy' }), BALANCE],
      [world({}, through), { ...BALANCE, exclude }],
      [world({}, { waypoint: { ...TO_WAYPOINT, network: 'east' } }), BALANCE],
    ];
    for (const [snapshot, balance] of cases) {
      refused('WAYPOINT_UNAVAILABLE', () => hopFor(snapshot, '10.96.0.1', 80, balance));
    }
  });

  const SHARED = serviceOf({ hostname: 'wp', subjectAltNames: [EXTRA], ports: [] });
  const replica = (uid: string, parts: Partial<Workload> = {}): Workload => ({
    ...WAYPOINT,
    uid,
    services: new Map([['shop/wp', []]]),
    ...parts,
  });
  const BY_NAME = { by: 'hostname', namespace: 'shop', hostname: 'wp', port: 15009 } as const;

  test('by name is one healthy replica near enough, in the family of the client, with the service’s identities', () => {
    const loadBalancing = {
      mode: 'failover',
      preference: ['zone'],
      health: 'only-healthy',
    } as const;
    const zone = { region: '', zone: 'z1', subzone: '' };
    const both = [parseIp('10.0.0.8'), parseIp('fd00::8')];
    const snapshot = world(
      {},
      {
        waypoint: BY_NAME,
        vips: [{ network: '', ip: parseIp('fd96::1'), prefixLength: undefined }],
      },
      { ...SHARED, loadBalancing },
      replica('sick', { locality: zone, health: 'unhealthy' }),
      replica('far', { addresses: [parseIp('10.0.0.7')] }),
      replica('near', { addresses: both, locality: zone }),
    );
    const source = { ...CLIENT, locality: zone };
    const hop = tunnelFor(snapshot, 'fd96::1', 80, BALANCE, source);
    assert.equal(hop.workload.uid, 'near');
    assert.deepEqual(hop.to, { ip: 'fd00::8', port: 15009 });
    assert.equal(hop.expected.length, 2);
  });

  describe('with a replica in each zone, and others', () => {
    // what PreferClose and PreferSameZone become
    const preference = ['network', 'region', 'zone'] as const;
    const nearby = { mode: 'failover', preference, health: 'only-healthy' } as const;
    const inZone = (zone: string): Partial<Workload> => ({
      locality: { region: 'r', zone, subzone: '' },
    });
    const client = { ...CLIENT, ...inZone('a') };
    const chosen = (
      replicas: Readonly<Record<string, Partial<Workload>>>,
      { exclude = [], service = {} }: { exclude?: string[]; service?: Partial<Service> } = {},
    ): string[] => {
      const snapshot = world(
        {},
        { waypoint: BY_NAME },
        { ...SHARED, loadBalancing: nearby, ...service },
        ...Object.entries(replicas).map(([uid, parts]) => replica(uid, parts)),
      );
      const draws = [0, 0.2, 0.4, 0.6, 0.8, 0.999].map((drawn) => {
        const balance = { ...BALANCE, random: () => drawn, exclude: new Set(exclude) };
        return tunnelFor(snapshot, '10.96.0.1', 80, balance, client).workload.uid;
      });
      return [...new Set(draws)].sort();
    };
    const REPLICAS = { a1: inZone('a'), a2: inZone('a'), b: inZone('b'), c: inZone('c') };

    test('those of the client’s zone share its connections', () => {
      assert.deepEqual(chosen(REPLICAS), ['a1', 'a2']);
    });

    test('the others take over when the near ones are gone, ill, leaving or cannot be reached', () => {
      const { a1, a2, ...away } = REPLICAS;
      assert.deepEqual(chosen(away), ['b', 'c']);
      const ill = { health: 'unhealthy' } as const;
      assert.deepEqual(chosen({ ...away, a1: { ...a1, ...ill } }), ['b', 'c']);
      const leaving = { health: 'draining' } as const;
      assert.deepEqual(chosen({ ...away, a2: { ...a2, ...leaving } }), ['b', 'c']);
      assert.deepEqual(chosen(REPLICAS, { exclude: ['a1', 'a2'] }), ['b', 'c']);
    });

    test('all share them when the waypoint’s Service prefers none', () => {
      const service = { loadBalancing: undefined };
      assert.deepEqual(chosen(REPLICAS, { service }), ['a1', 'a2', 'b', 'c']);
    });
  });

  test('of several is chosen by weight', () => {
    const other = { ...TO_WAYPOINT, ip: parseIp('10.0.0.4') };
    const weightedWaypoints = [
      { destination: TO_WAYPOINT, weight: 90 },
      { destination: { ...TO_WAYPOINT, ip: parseIp('10.0.0.5') }, weight: 0 },
      { destination: other, weight: 10 },
    ];
    const second = { ...WAYPOINT, uid: 'canary', addresses: [parseIp('10.0.0.4')] };
    const snapshot = world({}, { weightedWaypoints }, second);
    const chosen = (random: number): string =>
      tunnelFor(snapshot, '10.96.0.1', 80, { ...BALANCE, random: () => random }).workload.uid;
    assert.deepEqual([0, 0.5, 0.899, 0.9, 0.999].map(chosen), [
      'waypoint',
      'waypoint',
      'waypoint',
      'canary',
      'canary',
    ]);
  });
});

describe('another network', () => {
  const GATEWAY: GatewayAddress = {
    by: 'address',
    network: 'east',
    ip: parseIp('10.9.9.9'),
    port: 15010,
  };
  const gateway = workloadOf({
    uid: 'NetworkGateway/east/10.9.9.9/15010',
    serviceAccount: 'gateway',
    network: 'east',
    addresses: [parseIp('10.9.9.9')],
  });
  const abroad: Partial<Workload> = {
    network: 'east',
    networkGateway: GATEWAY,
    addresses: [],
    capacity: 3,
  };
  const sans = { subjectAltNames: [EXTRA] };

  test('is reached through its gateway: for the gateway’s identity outside, the service’s inside', () => {
    const hop = anyHopFor(world(abroad, sans, gateway), '10.96.0.1', 80);
    assert.ok(hop.via === 'gateway');
    assert.deepEqual(hop.to, { ip: '10.9.9.9', port: 15010 });
    assert.equal(hop.authority, `${HOST}:80`);
    assert.deepEqual(hop.expected, [workloadIdentity(gateway)]);
    assert.deepEqual(hop.expectedInside, [
      { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'extra' },
    ]);
  });

  test('is failed over to when nobody is left here, and only then', () => {
    const here = { ...SERVER, uid: 'here', services: new Map([[`shop/${HOST}`, [PORT]]]) };
    const failover = {
      ...sans,
      loadBalancing: { mode: 'failover', preference: ['network'], health: 'only-healthy' },
    } as const;
    assert.equal(hopFor(world(abroad, failover, gateway, here), '10.96.0.1', 80).via, 'tunnel');
    const sick = { ...here, health: 'unhealthy' } as const;
    assert.equal(hopFor(world(abroad, failover, gateway, sick), '10.96.0.1', 80).via, 'gateway');
  });

  test('is refused without a gateway, or when the gateway is not known or not healthy', () => {
    const none = { ...abroad, networkGateway: undefined };
    refused('NO_HEALTHY_ENDPOINT', () => hopFor(world(none, sans, gateway), '10.96.0.1', 80));
    refused('GATEWAY_UNAVAILABLE', () => hopFor(world(abroad, sans), '10.96.0.1', 80));
    const sick = { ...gateway, health: 'unhealthy' } as const;
    refused('GATEWAY_UNAVAILABLE', () => hopFor(world(abroad, sans, sick), '10.96.0.1', 80));
  });

  test('has addresses that are nobody’s here', () => {
    const hop = hopFor(world({ network: 'east' }), '10.0.0.2', 8080);
    assert.deepEqual([hop.via, hop.workload], ['tcp', undefined]);
  });

  test('may hold the waypoint of a service, not of a workload', () => {
    const far = { ...WAYPOINT, ...abroad, services: new Map([['shop/wp', []]]) };
    const wp = serviceOf({ hostname: 'wp' });
    const waypoint = { by: 'hostname', namespace: 'shop', hostname: 'wp', port: 15008 } as const;
    const hop = anyHopFor(world({}, { ...sans, waypoint }, far, wp, gateway), '10.96.0.1', 80);
    assert.ok(hop.via === 'gateway');
    assert.equal(hop.authority, `${HOST}:80`);
    refused('WAYPOINT_UNAVAILABLE', () =>
      hopFor(world({ waypoint }, {}, far, wp, gateway), '10.0.0.2', 8080),
    );
  });
});

test('whatever is known: a hop in the way the endpoint takes connections, or a named refusal', () => {
  const updates = fc.array(
    fc.oneof(
      ANY_WORKLOAD.map((value) => ({ kind: 'workload', workload: value }) as const),
      ANY_SERVICE.map((value) => ({ kind: 'service', service: value }) as const),
    ),
    { maxLength: 8 },
  );
  const refusals: readonly FailureCode[] = [
    'NO_HEALTHY_ENDPOINT',
    'WAYPOINT_UNAVAILABLE',
    'GATEWAY_UNAVAILABLE',
    'DESTINATION_BLOCKED',
  ];
  const draws = fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }));
  fc.assert(
    fc.property(updates, ANY_WORKLOAD, ANY_IP, draws, (updates, source, ip, draws) => {
      const snapshot = emptySnapshot.apply(updates);
      const destination = { ip, port: 80 };
      const balance = { ...BALANCE, random: () => draws.next().value as number };
      let hop: Hop;
      try {
        const intent = classify(source, destination, snapshot);
        hop = nextHop(admit(intent, LEFT_TO_DESTINATION), source, snapshot, balance);
      } catch (error) {
        assert.ok(refusals.includes(failureCodeOf(error)), String(error));
        return;
      }
      if (hop.via === 'lookup') return assert.deepEqual(hop.workload.addresses, []);
      if (hop.via === 'gateway') return assert.notEqual(hop.workload.network, source.network);
      if (hop.workload === undefined) return assert.deepEqual(hop.to, destination);
      assert.ok(hop.workload.addresses.includes(hop.to.ip));
      assert.equal(hop.workload.network, source.network);
      if (hop.via === 'tcp') assert.equal(hop.workload.protocol, 'tcp');
    }),
    { numRuns: 1000 },
  );
});
