// targetOf(): which CONNECTs a workload takes, and where its application is dialled for them.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Authority, parseIp } from './address.ts';
import { dialledAt, type Target, targetOf } from './destination.ts';
import { type FailureCode, failureCodeOf } from './failures.ts';
import type { ResourceUpdate } from './resource-update.ts';
import type { Service } from './service.ts';
import { emptySnapshot, type Snapshot } from './snapshot.ts';
import { ANY_IP, ANY_SERVICE, ANY_WORKLOAD, serviceOf, workloadOf } from './test-arbitraries.ts';
import type { GatewayAddress, Workload } from './workload.ts';

const POD = parseIp('10.0.0.2');
const VIP = parseIp('10.96.0.1');
const WAYPOINT_IP = parseIp('10.0.0.3');
const WAYPOINT_VIP = parseIp('10.96.0.3');
const HOST = 'web.shop.svc.cluster.local';
const PORT = { servicePort: 80, targetPort: 8080, appProtocol: 'unknown' } as const;
const LOCAL = { ip: POD, port: 15008 };

const at = (ip: string, port: number): Authority => ({ kind: 'address', ip: parseIp(ip), port });
const named = (hostname: string, port: number): Authority => ({ kind: 'hostname', hostname, port });

const SERVER = workloadOf({
  uid: 'server',
  addresses: [POD],
  services: new Map([[`shop/${HOST}`, [PORT]]]),
});
const WEB = serviceOf({
  hostname: HOST,
  vips: [{ network: '', ip: VIP, prefixLength: undefined }],
  ports: [PORT],
});
const WAYPOINT = workloadOf({
  uid: 'waypoint',
  serviceAccount: 'waypoint',
  addresses: [WAYPOINT_IP],
  services: new Map([['shop/waypoint', []]]),
});
const WAYPOINT_SERVICE = serviceOf({
  hostname: 'waypoint',
  vips: [{ network: '', ip: WAYPOINT_VIP, prefixLength: undefined }],
});
const BY_POD: GatewayAddress = { by: 'address', network: '', ip: WAYPOINT_IP, port: 15008 };
const BY_VIP: GatewayAddress = { by: 'address', network: '', ip: WAYPOINT_VIP, port: 15008 };
const BY_NAME: GatewayAddress = {
  by: 'hostname',
  namespace: 'shop',
  hostname: 'waypoint',
  port: 15008,
};

function world(server: Partial<Workload> = {}, service: Partial<Service> = {}): Snapshot {
  return emptySnapshot.apply([
    { kind: 'workload', workload: { ...SERVER, ...server } },
    { kind: 'service', service: { ...WEB, ...service } },
    { kind: 'workload', workload: WAYPOINT },
    { kind: 'service', service: WAYPOINT_SERVICE },
  ]);
}
const toServer = (authority: Authority, snapshot = world()): Target =>
  targetOf({ authority, local: LOCAL }, snapshot.workloadByUid('server') ?? SERVER, snapshot);
const toWaypoint = (authority: Authority, snapshot: Snapshot, changes = {}): Target => {
  const local = { ip: WAYPOINT_IP, port: 15008 };
  return targetOf({ authority, local }, { ...WAYPOINT, ...changes }, snapshot);
};
const refused = (code: FailureCode, run: () => unknown): void =>
  assert.throws(run, (error) => failureCodeOf(error) === code);

describe('a workload', () => {
  test('takes its own address, on the port that was asked for', () => {
    assert.deepEqual(toServer(at('10.0.0.2', 9000)).to, { ip: POD, port: 9000 });
  });

  test('takes the name of its service, on the target port', () => {
    const target = toServer(named(HOST, 80));
    assert.deepEqual([target.to, target.service?.hostname], [{ ip: POD, port: 8080 }, HOST]);
  });

  test('takes the name of its service with a named port: its own number, else the service’s', () => {
    const own = { services: new Map([[`shop/${HOST}`, [{ ...PORT, targetPort: 9090 }]]]) };
    const unsaid = { services: new Map([[`shop/${HOST}`, [{ ...PORT, targetPort: 0 }]]]) };
    const namedPort = { ports: [{ ...PORT, targetPort: 0 }] };
    assert.equal(toServer(named(HOST, 80), world(own, namedPort)).to.port, 9090);
    assert.equal(toServer(named(HOST, 80), world(unsaid)).to.port, 8080);
    refused('DESTINATION_UNKNOWN', () => toServer(named(HOST, 80), world(unsaid, namedPort)));
  });

  test('finds its service among several of one name', () => {
    const other = serviceOf({ hostname: HOST, namespace: 'ops', ports: [PORT], canonical: true });
    const snapshot = world().apply([{ kind: 'service', service: other }]);
    assert.equal(toServer(named(HOST, 80), snapshot).service?.namespace, 'shop');
  });

  test('refuses names of services it is not behind, and ports they do not have', () => {
    refused('DESTINATION_UNKNOWN', () => toServer(named('waypoint', 80)));
    refused('DESTINATION_UNKNOWN', () => toServer(named('nowhere.example', 80)));
    refused('DESTINATION_UNKNOWN', () => toServer(named(HOST, 81)));
  });

  test('refuses every address but the one the connection came to', () => {
    for (const ip of [
      '10.0.0.3',
      '10.96.0.1',
      '127.0.0.1',
      '::1',
      '169.254.169.254',
      '192.0.2.1',
    ]) {
      refused('DESTINATION_MISMATCH', () => toServer(at(ip, 8080)));
    }
  });

  test('refuses the ports of the node agent, asked for by address and by name', () => {
    for (const port of [15001, 15006, 15008]) {
      refused('RECURSION', () => toServer(at('10.0.0.2', port)));
      const own = { services: new Map([[`shop/${HOST}`, [{ ...PORT, targetPort: port }]]]) };
      refused('RECURSION', () => toServer(named(HOST, 80), world(own)));
      const applicationTunnel = { protocol: 'none', port } as const;
      refused('RECURSION', () => toServer(at('10.0.0.2', 80), world({ applicationTunnel })));
    }
  });
});

describe('a waypoint behind a node agent', () => {
  const gateways = { pod: BY_POD, VIP: BY_VIP, name: BY_NAME };
  for (const [by, waypoint] of Object.entries(gateways)) {
    test(`takes what its workloads and services are addressed by, named by ${by}`, () => {
      assert.deepEqual(toWaypoint(at('10.0.0.2', 8080), world({ waypoint })).to, {
        ip: WAYPOINT_IP,
        port: 8080,
      });
      assert.deepEqual(toWaypoint(at('10.96.0.1', 80), world({}, { waypoint })).to, {
        ip: WAYPOINT_IP,
        port: 80,
      });
    });
  }

  test('takes what it is one of several weighted waypoints of', () => {
    const weightedWaypoints = [{ destination: BY_NAME, weight: 1 }];
    assert.equal(toWaypoint(at('10.96.0.1', 80), world({}, { weightedWaypoints })).to.port, 80);
  });

  test('refuses what it is not the waypoint of', () => {
    const other = { ...BY_POD, ip: parseIp('10.0.0.77') };
    refused('DESTINATION_MISMATCH', () => toWaypoint(at('10.0.0.2', 8080), world()));
    refused('DESTINATION_MISMATCH', () => toWaypoint(at('10.96.0.1', 80), world()));
    refused('DESTINATION_MISMATCH', () =>
      toWaypoint(at('10.0.0.2', 8080), world({ waypoint: other })),
    );
    refused('DESTINATION_MISMATCH', () =>
      toWaypoint(at('10.96.0.1', 80), world({}, { waypoint: other })),
    );
    // the service has a waypoint: its endpoints by their own address have not
    refused('DESTINATION_MISMATCH', () =>
      toWaypoint(at('10.0.0.2', 8080), world({}, { waypoint: BY_POD })),
    );
  });
});

describe('a tunnel to the application', () => {
  const proxy = { applicationTunnel: { protocol: 'proxy', port: 15088 } } as const;
  const plain = { applicationTunnel: { protocol: 'none', port: 15088 } } as const;

  test('leads everything to its port, whatever was asked for', () => {
    for (const ip of ['10.0.0.2', '10.96.0.1', '192.0.2.1']) {
      const { to, announced } = toWaypoint(at(ip, 80), world(), plain);
      assert.deepEqual([to, announced], [{ ip: WAYPOINT_IP, port: 15088 }, undefined]);
    }
  });

  test('without a port of its own keeps the one that was asked for', () => {
    const none = { applicationTunnel: { protocol: 'none', port: 0 } };
    assert.equal(toWaypoint(at('192.0.2.1', 80), world(), none).to.port, 80);
  });

  test('announces what was asked for, when it speaks PROXY', () => {
    const { to, announced } = toWaypoint(at('10.96.0.1', 80), world(), proxy);
    assert.deepEqual([to.port, announced], [15088, { ip: VIP, port: 80 }]);
  });

  test('announces the address of a service that was asked for by name, or refuses', () => {
    assert.deepEqual(toWaypoint(named(HOST, 80), world(), proxy).announced, { ip: VIP, port: 80 });
    refused('DESTINATION_UNKNOWN', () => toWaypoint(named('nowhere', 80), world(), proxy));
    const headless = world({}, { vips: [] });
    refused('DESTINATION_UNKNOWN', () => toWaypoint(named(HOST, 80), headless, proxy));
  });
});

test('an application that takes a PROXY header is dialled over loopback, any other at its own address', () => {
  const proxy = { applicationTunnel: { protocol: 'proxy', port: 15088 } } as const;
  const announced = toWaypoint(at('10.96.0.1', 80), world(), proxy);
  assert.deepEqual(dialledAt(announced), { ip: '127.0.0.1', port: 15088 });
  const v6 = { ...announced, to: { ip: parseIp('fd00::3'), port: 15088 } };
  assert.deepEqual(dialledAt(v6), { ip: '::1', port: 15088 });
  const own = { ...announced, to: { ip: parseIp('127.64.0.3'), port: 15088 } };
  assert.deepEqual(dialledAt(own), own.to);
  assert.deepEqual(dialledAt(toServer(at('10.0.0.2', 80))), { ip: POD, port: 80 });
});

test('whatever is known and asked for: this workload’s own address, or a named refusal', () => {
  const updates = fc.array(
    fc.oneof(
      ANY_WORKLOAD.map((value): ResourceUpdate => ({ kind: 'workload', workload: value })),
      ANY_SERVICE.map((value): ResourceUpdate => ({ kind: 'service', service: value })),
    ),
    { maxLength: 8 },
  );
  const authority = fc.oneof(
    ANY_IP.map((ip): Authority => ({ kind: 'address', ip, port: 80 })),
    fc.constantFrom('a.test', 'b.test', 'none.test').map((hostname) => named(hostname, 80)),
  );
  const refusals: readonly FailureCode[] = [
    'DESTINATION_UNKNOWN',
    'DESTINATION_MISMATCH',
    'RECURSION',
  ];
  fc.assert(
    fc.property(updates, ANY_WORKLOAD, authority, (updates, workload, authority) => {
      const snapshot = emptySnapshot.apply([...updates, { kind: 'workload', workload }]);
      let target: Target;
      try {
        target = targetOf({ authority, local: LOCAL }, workload, snapshot);
      } catch (error) {
        assert.ok(refusals.includes(failureCodeOf(error)), String(error));
        return;
      }
      assert.equal(target.to.ip, LOCAL.ip);
      assert.ok(target.to.port > 0);
      assert.equal(
        target.announced !== undefined,
        workload.applicationTunnel?.protocol === 'proxy',
      );
    }),
    { numRuns: 1000 },
  );
});
