// carry() with steps made by hand: which endpoints are tried when one cannot be reached, and what is told in the end.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, connect as dialNode, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import { type FailureCode, MeshError } from '../mesh/failures.ts';
import type { Service } from '../mesh/service.ts';
import { emptySnapshot, type Snapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { Metrics } from '../runtime/metrics.ts';
import { Affinity } from './affinity.ts';
import { Connections } from './connections.ts';
import type { LocalPod } from './local-pod.ts';
import { carry, EndpointLoad } from './outbound.ts';
import { enrolmentOf, memoryLog, portOf, serviceOf, workloadOf } from './test-support/world.ts';
import { Trails } from './trail.ts';

const CLIENT = { name: 'client', uid: 'c', addresses: ['10.0.0.1'] };
const VIP = '10.96.0.1';
const PORT = portOf(80, 8080);
const WEB = serviceOf('web', VIP, [PORT]);
const KEY = `${WEB.namespace}/${WEB.hostname}`;
const WAYPOINT = serviceOf('waypoint', '10.96.0.2', [portOf(15008, 15008)]);

function snapshotOf(count: number, service: Partial<Service>, pod: Partial<Workload>): Snapshot {
  return emptySnapshot.apply([
    { kind: 'workload', workload: workloadOf(CLIENT) },
    { kind: 'service', service: { ...WEB, ...service } },
    { kind: 'service', service: WAYPOINT },
    ...Array.from({ length: count }, (_, i) => {
      const spec = { name: `server-${i}`, uid: `s${i}`, addresses: [`10.0.0.${10 + i}`] };
      const workload = workloadOf(spec, { services: new Map([[KEY, [PORT]]]), ...pod });
      return { kind: 'workload', workload } as const;
    }),
  ]);
}

/** A captured connection's two ends. */
async function pair(): Promise<{ near: Socket; far: Socket; close: () => void }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = dialNode(port, '127.0.0.1');
  near.on('error', () => {});
  const [far] = await accepted;
  far.on('error', () => {});
  return { near, far, close: () => server.close() };
}

type Attempt = {
  readonly endpoints?: number;
  readonly service?: Partial<Service>;
  readonly pod?: Partial<Workload>;
  readonly host?: string;
  /** How each try in turn ends. */
  readonly failures: readonly FailureCode[];
  readonly affinity?: Affinity;
};

async function tried(
  attempt: Attempt,
): Promise<{ tried: string[]; line: Record<string, unknown> }> {
  const { endpoints = 5, service = {}, pod: changes = {}, failures, host = VIP } = attempt;
  const clock = new ManualClock();
  const { log, lines } = memoryLog();
  const snapshot = snapshotOf(endpoints, service, changes);
  const tried: string[] = [];
  const fail = (uid: string): never => {
    tried.push(uid);
    const code = failures[Math.min(tried.length, failures.length) - 1] ?? 'INTERNAL';
    throw new MeshError(code, `try ${tried.length}`);
  };
  const pod: LocalPod = {
    enrolment: enrolmentOf(CLIENT),
    dial: async ({ to }) => fail(to.ip),
    udp: () => assert.fail('not needed'),
    credentials: () => assert.fail('not needed'),
  };
  const { near, far, close } = await pair();
  const gone = new Promise((resolve) => near.once('close', resolve));
  const captured = {
    socket: far,
    source: { ip: parseIp('10.0.0.1'), port: 40_000 },
    destination: { ip: parseIp(host), port: host === VIP ? 80 : 8080 },
  };
  near.resume();
  await carry(pod, captured, {
    trails: new Trails({ log, clock, metrics: new Metrics() }),
    connections: new Connections(),
    load: new EndpointLoad(),
    affinity: attempt.affinity ?? new Affinity({ clock }),
    random: () => 0,
    source: async () => ({ source: workloadOf(CLIENT), snapshot }),
    openTunnel: async (_, hop) => fail(hop.workload.uid),
    openThrough: async (_, hop) => fail(hop.workload.uid),
    lookup: async (hostname) => fail(hostname),
  });
  await gone;
  close();
  const line = lines.find((one) => one['message'] === 'connection complete');
  return { tried, line: line ?? {} };
}

describe('carry()', () => {
  for (const code of [
    'UPSTREAM_CONNECT',
    'TUNNEL_CONNECT_TIMEOUT',
    'TUNNEL_UNAVAILABLE',
  ] as const) {
    test(`tries one other endpoint after ${code}, and no third`, async () => {
      const { tried: uids, line } = await tried({ failures: [code] });
      assert.equal(uids.length, 2);
      assert.equal(new Set(uids).size, 2);
      assert.equal(line['error'], 'try 2');
    });
  }

  test('tries nobody else when the peer has seen it: a refusal by policy, a lost stream, a wrong certificate', async () => {
    for (const code of ['TUNNEL_REFUSED', 'TUNNEL_LOST', 'PEER_IDENTITY_MISMATCH'] as const) {
      assert.equal((await tried({ failures: [code] })).tried.length, 1, code);
    }
  });

  test('tries another replica of a waypoint that goes away before it answers', async () => {
    const { namespace, hostname } = WAYPOINT;
    const behind = { waypoint: { by: 'hostname', namespace, hostname, port: 15008 } } as const;
    const replica = { services: new Map([[`${namespace}/${hostname}`, []]]) };
    for (const code of ['TUNNEL_LOST', 'TLS_FAILURE', 'UPSTREAM_CONNECT'] as const) {
      const { tried: uids } = await tried({ service: behind, pod: replica, failures: [code] });
      assert.equal(new Set(uids).size, 2, code);
    }
    const refused = { service: behind, pod: replica, failures: ['TUNNEL_REFUSED'] } as const;
    assert.equal((await tried(refused)).tried.length, 1);
  });

  test('tells what the only endpoint failed of, not that none is left', async () => {
    const { tried: uids, line } = await tried({ endpoints: 1, failures: ['UPSTREAM_CONNECT'] });
    assert.equal(uids.length, 1);
    assert.equal(line['error'], 'try 1');
  });

  test('tries a pod that was asked for by its own address once', async () => {
    const { tried: uids } = await tried({ host: '10.0.0.10', failures: ['TUNNEL_UNAVAILABLE'] });
    assert.equal(uids.length, 1);
  });

  test('tries plain endpoints and names alike', async () => {
    const plain = await tried({ pod: { protocol: 'tcp' }, failures: ['UPSTREAM_CONNECT'] });
    assert.equal(new Set(plain.tried).size, 2);
    const pod = { protocol: 'tcp', addresses: [], hostname: 'db.example.com' } as const;
    const named = await tried({ pod, failures: ['NAME_UNRESOLVED'] });
    assert.deepEqual(named.tried, ['db.example.com', 'db.example.com']);
  });

  test('leaves the endpoint a client is kept to when that one cannot be reached', async () => {
    const clock = new ManualClock();
    const affinity = new Affinity({ clock });
    const service = { ...WEB, sessionAffinitySeconds: 60 };
    const kept = 'Kubernetes//Pod/shop/server-3';
    affinity.note(workloadOf(CLIENT), service, PORT, kept);
    const { tried: uids } = await tried({ service, affinity, failures: ['UPSTREAM_CONNECT'] });
    assert.equal(uids[0], kept);
    assert.notEqual(uids[1], kept);
  });

  test('tries nobody for a service without healthy endpoints, and says so at once', async () => {
    const { tried: uids, line } = await tried({ pod: { health: 'unhealthy' }, failures: [] });
    assert.deepEqual([uids, line['flag'], line['duration']], [[], 'UH', '0ms']);
  });
});
