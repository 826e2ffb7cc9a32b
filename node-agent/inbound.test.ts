// receive() with requests made by hand: each refusal has its status, and nothing is dialled before policy said yes.

import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import { emptySnapshot, type Snapshot } from '../mesh/snapshot.ts';
import { systemClock } from '../runtime/clock.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { Metrics } from '../runtime/metrics.ts';
import type { DialTarget } from '../tunnel/socket.ts';
import type { TunnelRequest } from '../tunnel/tunnel.ts';
import { Connections } from './connections.ts';
import { receive } from './inbound.ts';
import type { LocalPod } from './local-pod.ts';
import { PolicyRecord } from './policy-record.ts';
import {
  enrolmentOf,
  identityOf,
  memoryLog,
  portOf,
  serviceOf,
  workloadOf,
} from './test-support/world.ts';
import { Trails } from './trail.ts';

const CLIENT = { name: 'client', uid: 'c', addresses: ['10.0.0.1'] };
const SERVER = { name: 'server', uid: 's', addresses: ['10.0.0.2'] };
const SERVICE = serviceOf('web', '10.96.0.1', [portOf(80, 8080)]);
const KEY = `${SERVICE.namespace}/${SERVICE.hostname}`;

const KNOWN = emptySnapshot.apply([
  { kind: 'workload', workload: workloadOf(CLIENT) },
  {
    kind: 'workload',
    workload: workloadOf(SERVER, { services: new Map([[KEY, [portOf(80, 8080)]]]) }),
  },
  { kind: 'service', service: SERVICE },
]);
const DENYING = KNOWN.apply([
  {
    kind: 'policy',
    policy: {
      name: 'nothing',
      namespace: 'shop',
      scope: 'namespace',
      action: 'allow',
      rules: [],
      dryRun: false,
    },
  },
]);

const WAYPOINT = {
  by: 'hostname',
  namespace: 'shop',
  hostname: 'waypoint.shop.svc.cluster.local',
  port: 15008,
} as const;
const BEHIND = KNOWN.apply([
  { kind: 'workload', workload: workloadOf(SERVER, { waypoint: WAYPOINT }) },
  { kind: 'service', service: serviceOf('waypoint', '10.96.0.9', [portOf(15008, 15008)]) },
  {
    kind: 'workload',
    workload: workloadOf(
      { name: 'waypoint', uid: 'w', addresses: ['10.0.0.9'] },
      { services: new Map([[`shop/${WAYPOINT.hostname}`, [portOf(15008, 15008)]]]) },
    ),
  },
]);

type Outcome = {
  readonly statuses: number[];
  readonly dialled: DialTarget[];
  readonly line: Record<string, unknown> | undefined;
  readonly open: number;
};

async function outcomeOf(
  changes: Partial<TunnelRequest>,
  snapshot: Snapshot = KNOWN,
): Promise<Outcome> {
  const clock = new ManualClock();
  const { log, lines } = memoryLog();
  const connections = new Connections();
  const statuses: number[] = [];
  const dialled: DialTarget[] = [];
  const pod: LocalPod = {
    enrolment: enrolmentOf(SERVER),
    dial: async (target) => {
      assert.equal(connections.count(), 1, 'registered before it is dialled');
      dialled.push(target);
      throw new MeshError('UPSTREAM_CONNECT', 'refused');
    },
    udp: () => assert.fail('not needed'),
    credentials: () => assert.fail('not needed'),
  };
  const request: TunnelRequest = {
    peer: identityOf(CLIENT),
    method: 'CONNECT',
    authority: '10.0.0.2:8080',
    fields: {},
    remote: { ip: parseIp('10.0.0.1'), port: 40_000 },
    local: { ip: parseIp('10.0.0.2'), port: 15008 },
    signal: new AbortController().signal,
    accept: () => assert.fail(`no 200: ${new PassThrough()}`),
    refuse: (status) => statuses.push(status),
    ...changes,
  };
  const metrics = new Metrics();
  await receive(pod, request, {
    trails: new Trails({ log, clock, metrics }),
    connections,
    snapshot: () => snapshot,
    policy: {
      snapshot: () => snapshot,
      record: new PolicyRecord({ log, metrics, clock: systemClock }),
    },
  });
  const line = lines.find((one) => one['message'] === 'connection complete');
  return { statuses, dialled, line, open: connections.count() };
}

const MALFORMED = [
  '10.0.0.2',
  'a b:80',
  '10.0.0.2:0',
  '10.0.0.2:65536',
  '10.0.0.2:-1',
  '10.0.0.2:080',
  '10.0.0.2:80 ',
  'user@10.0.0.2:80',
  '[fe80::1%eth0]:80',
  'fd00::2:80',
  `${'a'.repeat(10_240)}:80`,
];

describe('receive()', () => {
  const cases: [string, Partial<TunnelRequest>, number, Snapshot?][] = [
    ...['GET', 'POST', 'connect', ''].map(
      (method) => [`method "${method}"`, { method }, 400] as [string, object, number],
    ),
    ['no authority', { authority: undefined }, 400],
    ...MALFORMED.map(
      (authority) =>
        [`authority ${authority.slice(0, 40)}`, { authority }, 400] as [string, object, number],
    ),
    ['the address of another pod', { authority: '10.0.0.9:8080' }, 400],
    ['loopback', { authority: '127.0.0.1:8080' }, 400],
    ['loopback of IPv6', { authority: '[::1]:8080' }, 400],
    ['the machine’s metadata', { authority: '169.254.169.254:80' }, 400],
    ['the address of the service', { authority: '10.96.0.1:80' }, 400],
    ['a workload that is not known yet', {}, 503, emptySnapshot],
    ['a hostname that is no service', { authority: 'nowhere.example:80' }, 503],
    ['a service port that is not there', { authority: `${SERVICE.hostname}:81` }, 503],
    ['the outbound port of the agent', { authority: '10.0.0.2:15001' }, 503],
    ['the plaintext port of the agent', { authority: '10.0.0.2:15006' }, 503],
    ['the tunnel port of the agent', { authority: '10.0.0.2:15008' }, 503],
    ['what policy denies', {}, 401, DENYING],
    ['what goes around the waypoint', {}, 401, BEHIND],
  ];
  for (const [what, changes, status, snapshot] of cases) {
    test(`refuses ${what} with ${status} and dials nobody`, async () => {
      const outcome = await outcomeOf(changes, snapshot);
      assert.deepEqual(outcome.statuses, [status]);
      assert.deepEqual(outcome.dialled, []);
      assert.equal(typeof outcome.line?.['error'], 'string');
      assert.equal(outcome.open, 0);
    });
  }

  test('answers 503 when the application refuses', async () => {
    const { statuses, line, open } = await outcomeOf({});
    assert.deepEqual(statuses, [503]);
    assert.equal(line?.['flag'], 'CONNECT');
    assert.equal(open, 0);
  });

  test('names what is missing of a connection that goes around the waypoint', async () => {
    const { line } = await outcomeOf({}, BEHIND);
    assert.equal(line?.['flag'], 'WAYPOINT_REQUIRED');
    assert.match(String(line?.['error']), /must come through waypoint waypoint\.shop/);
  });

  test('takes what comes through the waypoint', async () => {
    const peer = { ...identityOf(CLIENT), serviceAccount: 'waypoint' };
    const { dialled } = await outcomeOf({ peer }, BEHIND);
    assert.equal(dialled.length, 1);
  });

  test('dials the pod as the caller', async () => {
    const { dialled } = await outcomeOf({});
    assert.deepEqual(dialled, [{ to: { ip: '10.0.0.2', port: 8080 }, from: '10.0.0.1' }]);
  });

  test('dials the pod as itself when the pod calls itself', async () => {
    const { dialled } = await outcomeOf({ remote: { ip: parseIp('10.0.0.2'), port: 40_000 } });
    assert.deepEqual(dialled, [{ to: { ip: '10.0.0.2', port: 8080 } }]);
  });

  test('finds the target port of a service asked for by name', async () => {
    const { dialled, line } = await outcomeOf({ authority: `${SERVICE.hostname}:80` });
    assert.equal(dialled[0]?.to.port, 8080);
    assert.equal(line?.['dst.service'], SERVICE.hostname);
  });

  test('believes no header: spoofed, malformed or oversized ones decide nothing and name nobody', async () => {
    const spoofed = {
      forwarded: 'for="10.0.0.99:1";host=bank.example;by=x',
      baggage: 'k8s.namespace.name=bank,k8s.pod.name=vault',
      'x-forwarded-network': '',
      traceparent: '00-zz-zz-00',
    };
    const outcome = await outcomeOf({ fields: spoofed });
    assert.deepEqual(outcome.dialled[0]?.from, '10.0.0.1');
    assert.equal(outcome.line?.['src.namespace'], 'shop');
    assert.equal(outcome.line?.['src.workload'], 'client');
    assert.equal(outcome.line?.['dst.service'], SERVICE.hostname);
    const garbage = '\u0000;=,"\\%zz'.repeat(8192);
    const fields = { forwarded: garbage, baggage: garbage, traceparent: garbage };
    assert.deepEqual((await outcomeOf({ fields })).dialled, outcome.dialled);
    const denied = await outcomeOf({ fields: spoofed }, DENYING);
    assert.deepEqual(denied.statuses, [401]);
  });

  test('takes its word of whom it is from another network, but for the namespace its certificate proves', async () => {
    const fields = {
      baggage: 'k8s.cluster.name=far,k8s.namespace.name=bank,k8s.deployment.name=app',
      'x-forwarded-network': 'east',
    };
    const { line } = await outcomeOf({ fields });
    assert.deepEqual(
      [line?.['src.workload'], line?.['src.namespace'], line?.['src.cluster']],
      ['app', 'shop', 'far'],
    );
  });

  test('dials over loopback, as itself, an application that wants a PROXY header', async () => {
    const applicationTunnel = { protocol: 'proxy', port: 15088 } as const;
    const workload = workloadOf(SERVER, { applicationTunnel });
    const snapshot = KNOWN.apply([{ kind: 'workload', workload }]);
    const { dialled } = await outcomeOf({ authority: '192.0.2.1:80' }, snapshot);
    assert.deepEqual(dialled, [{ to: { ip: '127.0.0.1', port: 15088 } }]);
  });

  test('names the source workload only when the certificate agrees with the address', async () => {
    assert.equal((await outcomeOf({})).line?.['src.workload'], 'client');
    const peer = { ...identityOf(CLIENT), serviceAccount: 'other' };
    assert.equal((await outcomeOf({ peer })).line?.['src.workload'], undefined);
  });
});
