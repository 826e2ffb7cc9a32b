// nextHop(): the decision as a value, for each kind of intent.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import { LEFT_TO_DESTINATION } from '../mesh/authorize.ts';
import type { Balance } from '../mesh/balance.ts';
import { classify } from '../mesh/classify.ts';
import { admit } from '../mesh/permit.ts';
import { emptySnapshot, type Snapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import { type Hop, nextHop } from './hop.ts';
import { identityOf, portOf, serviceOf, workloadOf } from './test-support/world.ts';

const CLIENT = { name: 'client', uid: 'c', addresses: ['10.0.0.1'] };
const SERVER = { name: 'server', uid: 's', addresses: ['10.0.0.2', 'fd00::2'] };
const WAYPOINT = { name: 'waypoint', uid: 'w', addresses: ['10.0.0.3'] };
const SERVICE = serviceOf('web', '10.96.0.1', [portOf(80, 8080)]);
const KEY = `${SERVICE.namespace}/${SERVICE.hostname}`;
const BALANCE: Balance = { random: () => 0, load: () => 0 };

const TO_WAYPOINT = { by: 'address', network: '', ip: parseIp('10.0.0.3'), port: 15008 } as const;

function world(server: Partial<Workload> = {}, service: Partial<typeof SERVICE> = {}): Snapshot {
  const behind = new Map([[KEY, [portOf(80, 8080)]]]);
  return emptySnapshot.apply([
    { kind: 'workload', workload: workloadOf(CLIENT) },
    { kind: 'workload', workload: workloadOf(SERVER, { services: behind, ...server }) },
    { kind: 'workload', workload: workloadOf(WAYPOINT) },
    { kind: 'service', service: { ...SERVICE, ...service } },
  ]);
}

function hopFor(snapshot: Snapshot, ip: string, port: number, balance = BALANCE): Hop {
  const source = workloadOf(CLIENT);
  const intent = classify(source, { ip: parseIp(ip), port }, snapshot);
  return nextHop(admit(intent, LEFT_TO_DESTINATION), source, snapshot, balance);
}

describe('nextHop()', () => {
  test('leads a service to the tunnel door of an endpoint, asking for its target port', () => {
    const hop = hopFor(world(), '10.96.0.1', 80);
    assert.equal(hop.via, 'tunnel');
    assert.deepEqual(hop.to, { ip: '10.0.0.2', port: 15008 });
    assert.equal(hop.via === 'tunnel' && hop.authority, '10.0.0.2:8080');
    assert.deepEqual(hop.via === 'tunnel' && hop.expected, [identityOf(SERVER)]);
  });

  test('expects the names of the service besides the endpoint’s own', () => {
    const extra = 'spiffe://cluster.local/ns/shop/sa/extra';
    const hop = hopFor(world({}, { subjectAltNames: [extra, 'nonsense'] }), '10.96.0.1', 80);
    assert.equal(hop.via === 'tunnel' && hop.expected.length, 2);
  });

  test('leads a pod address to its own tunnel door', () => {
    const hop = hopFor(world(), 'fd00::2', 9000);
    assert.deepEqual(hop.to, { ip: 'fd00::2', port: 15008 });
    assert.equal(hop.via === 'tunnel' && hop.authority, '[fd00::2]:9000');
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

  test('goes plain to where it was going when the destination is unknown', () => {
    const hop = hopFor(world(), '192.0.2.1', 443);
    assert.deepEqual([hop.via, hop.to], ['tcp', { ip: '192.0.2.1', port: 443 }]);
    assert.equal(hop.workload, undefined);
  });

  test('goes to a waypoint with the original destination as authority', () => {
    for (const [snapshot, ip, port] of [
      [world({}, { waypoint: TO_WAYPOINT }), '10.96.0.1', 80],
      [world({ waypoint: TO_WAYPOINT }), '10.0.0.2', 8080],
    ] as const) {
      const hop = hopFor(snapshot, ip, port);
      assert.deepEqual(hop.to, { ip: '10.0.0.3', port: 15008 });
      assert.equal(hop.via === 'tunnel' && hop.authority, `${ip}:${port}`);
      assert.deepEqual(hop.via === 'tunnel' && hop.expected, [identityOf(WAYPOINT)]);
    }
  });

  test('never goes around a waypoint that was tried in vain', () => {
    const snapshot = world({}, { waypoint: TO_WAYPOINT });
    const exclude = new Set([workloadOf(WAYPOINT).uid]);
    assert.throws(() => hopFor(snapshot, '10.96.0.1', 80, { ...BALANCE, exclude }), {
      code: 'WAYPOINT_UNAVAILABLE',
    });
  });

  test('refuses an endpoint on another network', () => {
    assert.throws(() => hopFor(world({ network: 'far' }), '10.96.0.1', 80), {
      code: 'NO_HEALTHY_ENDPOINT',
    });
  });
});
