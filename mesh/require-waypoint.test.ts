// requireWaypoint(): who may come straight to a workload that has a waypoint.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from './address.ts';
import { failureCodeOf } from './failures.ts';
import type { Identity } from './identity.ts';
import { requireWaypoint } from './require-waypoint.ts';
import type { Service } from './service.ts';
import { emptySnapshot, type Snapshot } from './snapshot.ts';
import { ANY_WORKLOAD, serviceOf, workloadOf } from './test-arbitraries.ts';
import { type GatewayAddress, type Workload, workloadIdentity } from './workload.ts';

const HOST = 'web.shop.svc.cluster.local';
const PORT = { servicePort: 80, targetPort: 8080, appProtocol: 'unknown' } as const;
const at = (hostname: string): GatewayAddress => ({
  by: 'hostname',
  namespace: 'shop',
  hostname,
  port: 15008,
});
const replica = (name: string, of: string): Workload =>
  workloadOf({
    uid: name,
    serviceAccount: of,
    addresses: [parseIp('10.0.0.3')],
    services: new Map([[`shop/${of}`, []]]),
  });
const WAYPOINT = at('waypoint');
const OTHER = at('other');
const CLIENT = workloadIdentity(workloadOf({ uid: 'client', serviceAccount: 'client' }));
const REPLICA = replica('waypoint-1', 'waypoint');
const OTHER_REPLICA = replica('other-1', 'other');

function world(server: Partial<Workload>, service: Partial<Service> = {}): Snapshot {
  return emptySnapshot.apply([
    { kind: 'workload', workload: workloadOf({ uid: 'server', ...server }) },
    { kind: 'service', service: serviceOf({ hostname: HOST, ports: [PORT], ...service }) },
    { kind: 'service', service: serviceOf({ hostname: 'waypoint' }) },
    { kind: 'service', service: serviceOf({ hostname: 'other' }) },
    { kind: 'workload', workload: REPLICA },
    { kind: 'workload', workload: OTHER_REPLICA },
  ]);
}
function isLetIn(peer: Identity | undefined, snapshot: Snapshot, port = 8080): boolean {
  try {
    requireWaypoint({ peer, port }, snapshot.workloadByUid('server') ?? assert.fail(), snapshot);
    return true;
  } catch (error) {
    assert.equal(failureCodeOf(error), 'WAYPOINT_REQUIRED');
    return false;
  }
}
const behind = (
  ...mappings: (typeof PORT | { servicePort: 80; targetPort: 0; appProtocol: 'unknown' })[]
) => ({
  waypoint: WAYPOINT,
  services: new Map([[`shop/${HOST}`, mappings]]),
});

describe('a workload with a waypoint', () => {
  test('takes connections of its replicas only, whether draining or not', () => {
    const snapshot = world({ waypoint: WAYPOINT });
    assert.equal(isLetIn(workloadIdentity(REPLICA), snapshot), true);
    assert.equal(isLetIn(CLIENT, snapshot), false);
    assert.equal(isLetIn(workloadIdentity(OTHER_REPLICA), snapshot), false);
    const draining = snapshot.apply([
      { kind: 'workload', workload: { ...REPLICA, health: 'draining' } },
    ]);
    assert.equal(isLetIn(workloadIdentity(REPLICA), draining), true);
  });

  test('takes no plain text', () => {
    assert.equal(isLetIn(undefined, world({ waypoint: WAYPOINT })), false);
  });

  test('takes nobody while the waypoint is not known: not even who has its name', () => {
    const snapshot = world({ waypoint: at('gone') });
    assert.equal(isLetIn({ ...CLIENT, serviceAccount: 'gone' }, snapshot), false);
    assert.equal(isLetIn(workloadIdentity(REPLICA), snapshot), false);
  });

  test('takes the waypoint of a service of that port too, which is another way in', () => {
    const snapshot = world(behind(PORT), { waypoint: OTHER });
    assert.equal(isLetIn(workloadIdentity(OTHER_REPLICA), snapshot), true);
    assert.equal(isLetIn(workloadIdentity(REPLICA), snapshot), true);
    assert.equal(isLetIn(CLIENT, snapshot), false);
    assert.equal(isLetIn(workloadIdentity(OTHER_REPLICA), snapshot, 9999), false);
    const named = world(behind({ servicePort: 80, targetPort: 0, appProtocol: 'unknown' }), {
      waypoint: OTHER,
    });
    assert.equal(isLetIn(workloadIdentity(OTHER_REPLICA), named), true);
  });

  test('takes everybody at a port whose service has none: they address the service', () => {
    const snapshot = world(behind(PORT));
    assert.equal(isLetIn(CLIENT, snapshot), true);
    assert.equal(isLetIn(undefined, snapshot), true);
    assert.equal(isLetIn(CLIENT, snapshot, 9999), false);
  });

  test('takes nobody but its own where the service’s waypoints have no weight', () => {
    const weightedWaypoints = [{ destination: OTHER, weight: 0 }];
    const snapshot = world(behind(PORT), { weightedWaypoints });
    assert.equal(isLetIn(CLIENT, snapshot), false);
    assert.equal(isLetIn(workloadIdentity(OTHER_REPLICA), snapshot), false);
  });

  test('without services takes exactly who has the identity of a replica', () => {
    fc.assert(
      fc.property(ANY_WORKLOAD, fc.array(ANY_WORKLOAD, { maxLength: 3 }), (caller, others) => {
        const members = others.map((one, index) => ({
          ...one,
          uid: `r${index}`,
          waypoint: undefined,
          services: new Map([['shop/waypoint', []]]),
        }));
        const snapshot = emptySnapshot.apply([
          { kind: 'service', service: serviceOf({ hostname: 'waypoint' }) },
          { kind: 'workload', workload: workloadOf({ uid: 'server', waypoint: WAYPOINT }) },
          ...members.map((workload) => ({ kind: 'workload' as const, workload })),
        ]);
        const peer = workloadIdentity(caller);
        const known = members.some(
          (one) => JSON.stringify(workloadIdentity(one)) === JSON.stringify(peer),
        );
        assert.equal(isLetIn(peer, snapshot), known);
      }),
    );
  });
});

test('a workload without a waypoint takes everybody', () => {
  assert.equal(isLetIn(CLIENT, world({})), true);
  assert.equal(isLetIn(undefined, world({}, { waypoint: OTHER })), true);
});
