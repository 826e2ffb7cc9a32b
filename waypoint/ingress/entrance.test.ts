// Requests from outside to Services that want them to come through their waypoint: which way that is. The way itself is gone
// by test/conformance/gateway-waypoint.ts.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import type { Service } from '../../mesh/service.ts';
import { emptySnapshot } from '../../mesh/snapshot.ts';
import { serviceOf, workloadOf } from '../../mesh/test-arbitraries.ts';
import type { Asked } from '../inbound.ts';
import { entranceOf, throughEntrance } from './entrance.ts';

const SELF = workloadOf({ uid: 'edge', namespace: 'edge', addresses: [parseIp('10.0.0.1')] });
const WAYPOINT = serviceOf({
  name: 'waypoint',
  namespace: 'shop',
  hostname: 'waypoint.shop.svc.cluster.local',
  vips: [{ network: '', ip: parseIp('10.96.0.7'), prefixLength: undefined }],
  ports: [{ servicePort: 15_008, targetPort: 15_008, appProtocol: 'unknown' }],
});
const WEB = serviceOf({
  name: 'web',
  namespace: 'shop',
  hostname: 'web.shop.svc.cluster.local',
  ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 'http11' }],
  waypoint: { by: 'address', network: '', ip: parseIp('10.96.0.7'), port: 15_008 },
  ingressUseWaypoint: true,
});
const LISTENER: Asked = {
  kind: 'listener',
  gateway: 'edge/edge',
  port: 80,
  listeners: () => [],
  scheme: 'http',
  serverName: undefined,
  passthrough: false,
  trustedHops: 0,
};

function entrance(service: Service, asked: Asked | undefined = LISTENER, known = true) {
  const [port] = service.ports;
  assert.ok(port);
  const snapshot = emptySnapshot.apply(known ? [{ kind: 'service', service: WAYPOINT }] : []);
  return entranceOf({ kind: 'service', service, port }, asked, SELF, snapshot);
}

describe('the way of requests from outside to a Service with a waypoint', () => {
  test('leads through it where the Service asks for that, and straight where it does not', () => {
    assert.equal(entrance(WEB)?.waypoint.service, WAYPOINT);
    assert.equal(entrance({ ...WEB, ingressUseWaypoint: false }), undefined);
    assert.equal(entrance({ ...WEB, waypoint: undefined }), undefined);
  });

  test('is another than that of requests inside the mesh', () => {
    const inside: Asked = { kind: 'workload', workload: SELF, port: 80 };
    assert.equal(entrance(WEB, inside), undefined);
  });

  test('is none at all while the waypoint is not there', () => {
    assert.throws(() => entrance(WEB, LISTENER, false), /must be reached through waypoint/);
  });

  test('asks the waypoint for the Service by name', () => {
    const led = entrance(WEB);
    const [port] = WEB.ports;
    assert.ok(led && port);
    const replica = workloadOf({ uid: 'waypoint-1', addresses: [parseIp('10.0.0.9')] });
    const at = { ip: parseIp('10.0.0.9'), port: 15_008 };
    const target = throughEntrance(
      { workload: replica, to: at, service: WAYPOINT, servicePort: 15_008 },
      led,
      { kind: 'service', service: WEB, port },
    );
    assert.deepEqual([target.to, target.service, target.servicePort], [at, WEB, 80]);
    assert.equal(target.through?.authority, 'web.shop.svc.cluster.local:80');
    assert.equal(target.through?.workload, replica);
  });
});
