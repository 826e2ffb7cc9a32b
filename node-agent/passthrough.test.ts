// admitPlain() with connections made by hand: plain text gets no further than policy, and the way it must come, allow.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import { emptySnapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import { systemClock } from '../runtime/clock.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { Metrics } from '../runtime/metrics.ts';
import { Connections } from './connections.ts';
import type { LocalPod } from './local-pod.ts';
import { admitPlain } from './passthrough.ts';
import { PolicyRecord } from './policy-record.ts';
import { enrolmentOf, memoryLog, workloadOf } from './test-support/world.ts';
import { Trails } from './trail.ts';

const SERVER = { name: 'server', uid: 's', addresses: ['10.0.0.2'] };
const WAYPOINT = {
  by: 'hostname',
  namespace: 'shop',
  hostname: 'waypoint.shop.svc.cluster.local',
  port: 15008,
} as const;

async function outcomeOf(server: Partial<Workload>, port = 8080) {
  const snapshot = emptySnapshot.apply([
    { kind: 'workload', workload: workloadOf(SERVER, server) },
  ]);
  const { log, lines } = memoryLog();
  const metrics = new Metrics();
  let resets = 0;
  let dials = 0;
  const pod: LocalPod = {
    enrolment: enrolmentOf(SERVER),
    dial: async () => {
      dials++;
      throw new MeshError('UPSTREAM_CONNECT', 'refused');
    },
    udp: () => assert.fail('not needed'),
    credentials: () => assert.fail('not needed'),
  };
  const socket = { resetAndDestroy: () => resets++ } as unknown as Socket;
  const captured = {
    socket,
    source: { ip: parseIp('192.0.2.1'), port: 40_000 },
    destination: { ip: parseIp('10.0.0.2'), port },
  };
  await admitPlain(pod, captured, {
    trails: new Trails({ log, clock: new ManualClock(), metrics }),
    connections: new Connections(),
    snapshot: () => snapshot,
    policy: {
      snapshot: () => snapshot,
      record: new PolicyRecord({ log, metrics, clock: systemClock }),
    },
  });
  const line = lines.find((one) => one['message'] === 'connection complete');
  return { resets, dials, flag: line?.['flag'] };
}

describe('admitPlain()', () => {
  test('dials the pod, and resets the client when it refuses', async () => {
    assert.deepEqual(await outcomeOf({}), { resets: 1, dials: 1, flag: 'CONNECT' });
  });

  test('refuses plain text to a pod that is behind a waypoint', async () => {
    const outcome = await outcomeOf({ waypoint: WAYPOINT });
    assert.deepEqual(outcome, { resets: 1, dials: 0, flag: 'WAYPOINT_REQUIRED' });
  });

  test('refuses the ports of the agent', async () => {
    assert.deepEqual(await outcomeOf({}, 15008), { resets: 1, dials: 0, flag: 'LOOP' });
  });
});
