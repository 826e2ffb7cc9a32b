// Which tunnel a hop needs, and for how long that tunnel's address is the right one.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import { emptySnapshot, type Snapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import type { TunnelKey } from '../tunnel/pool.ts';
import type { LocalPod } from './local-pod.ts';
import { enrolmentOf, identityOf, type PodSpec, workloadOf } from './test-support/world.ts';
import { isCurrent, tunnelKey } from './tunnels.ts';

const CLIENT: PodSpec = { name: 'client', uid: 'uid-1', addresses: ['10.0.0.1'] };
const SERVER: PodSpec = { name: 'server', uid: 'uid-2', addresses: ['10.0.0.2', 'fd00::2'] };
const SUCCESSOR: PodSpec = { ...SERVER, name: 'successor' };

function snapshotOf(...workloads: readonly Workload[]): Snapshot {
  return emptySnapshot.apply(workloads.map((workload) => ({ kind: 'workload', workload })));
}

function keyTo(workload: Workload, ip = '10.0.0.2'): TunnelKey {
  const pod = { enrolment: enrolmentOf(CLIENT) } as LocalPod;
  const to = { ip: parseIp(ip), port: 15008 };
  return tunnelKey(pod, { to, expected: [identityOf(SERVER)], workload }, emptySnapshot);
}

describe('a tunnel to a workload’s address', () => {
  test('is current while the address is that workload’s, in either family', () => {
    const snapshot = snapshotOf(workloadOf(SERVER));
    assert.equal(isCurrent(keyTo(workloadOf(SERVER)), snapshot), true);
    assert.equal(isCurrent(keyTo(workloadOf(SERVER), 'fd00::2'), snapshot), true);
  });

  for (const [what, snapshot] of [
    ['is gone', snapshotOf()],
    ['has left the address', snapshotOf(workloadOf({ ...SERVER, addresses: ['10.0.0.9'] }))],
    ['has given the address to another of the same account', snapshotOf(workloadOf(SUCCESSOR))],
    [
      'is still known but another in the mesh has the address',
      snapshotOf(workloadOf(SERVER, { protocol: 'tcp' }), workloadOf(SUCCESSOR)),
    ],
  ] as const) {
    test(`is not current once the workload ${what}`, () => {
      assert.equal(isCurrent(keyTo(workloadOf(SERVER)), snapshot), false);
    });
  }

  test('is current on the host’s network, whose address nobody owns', () => {
    const waypoint = workloadOf(SERVER, { hostNetwork: true });
    assert.equal(isCurrent(keyTo(waypoint), snapshotOf(waypoint)), true);
    assert.equal(isCurrent(keyTo(waypoint), snapshotOf()), false);
  });

  test('that is nobody’s, such as a gateway’s, is always current', () => {
    const key = keyTo(workloadOf(SERVER), '192.0.2.1');
    assert.equal(key.workload, undefined);
    assert.equal(isCurrent(key, snapshotOf()), true);
  });

  test('is another one for another workload, though all else is equal', () => {
    const [old, now] = [keyTo(workloadOf(SERVER)), keyTo(workloadOf(SUCCESSOR))];
    assert.notEqual(old.workload, now.workload);
    assert.deepEqual({ ...old, workload: now.workload }, now);
  });
});
