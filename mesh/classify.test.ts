import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type IpPort, parseIp } from './address.ts';
import { classify } from './classify.ts';
import { type FailureCode, failureCodeOf, MeshError } from './failures.ts';
import type { Intent } from './intent.ts';
import type { ResourceUpdate } from './resource-update.ts';
import { emptySnapshot, type Snapshot } from './snapshot.ts';
import { ANY_IP, ANY_SERVICE, ANY_WORKLOAD, serviceOf, workloadOf } from './test-arbitraries.ts';
import type { GatewayAddress, Workload } from './workload.ts';

const VIP = parseIp('10.96.0.1');
const POD = parseIp('10.0.0.1');
const at = (ip: string, port: number): IpPort => ({ ip: parseIp(ip), port });
const PORT = { servicePort: 80, targetPort: 8080, appProtocol: 'unknown' } as const;
const SOURCE = workloadOf({ uid: 'k//Pod/shop/client', addresses: [parseIp('10.0.0.9')] });

const workload = (value: Workload): ResourceUpdate => ({ kind: 'workload', workload: value });
const service = (parts: Parameters<typeof serviceOf>[0]): ResourceUpdate => ({
  kind: 'service',
  service: serviceOf({
    vips: [{ network: '', ip: VIP, prefixLength: undefined }],
    ports: [PORT],
    ...parts,
  }),
});
const known = (...updates: ResourceUpdate[]): Snapshot => emptySnapshot.apply(updates);

function refused(code: FailureCode, run: () => unknown): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof MeshError, String(error));
    return error.code === code;
  });
}

describe('what a connection addresses', () => {
  test('a service address with one of its ports is that service', () => {
    const intent = classify(SOURCE, { ip: VIP, port: 80 }, known(service({ hostname: 'web' })));
    assert.ok(intent.kind === 'service');
    assert.deepEqual([intent.service.hostname, intent.port], ['web', PORT]);
  });

  test('a service address with another port is refused, never let through', () => {
    const snapshot = known(service({ hostname: 'web' }));
    refused('NO_HEALTHY_ENDPOINT', () => classify(SOURCE, { ip: VIP, port: 81 }, snapshot));
  });

  test('a service comes before a workload with the same address', () => {
    const pod = workload(workloadOf({ uid: 'pod', addresses: [VIP] }));
    assert.equal(
      classify(SOURCE, { ip: VIP, port: 80 }, known(pod, service({ hostname: 'web' }))).kind,
      'service',
    );
  });

  test('a workload address is that workload, on any port', () => {
    const pod = workloadOf({ uid: 'pod', addresses: [POD] });
    const intent = classify(SOURCE, { ip: POD, port: 1234 }, known(workload(pod)));
    assert.deepEqual(intent, {
      kind: 'workload',
      destination: { ip: POD, port: 1234 },
      workload: pod,
    });
  });

  test("anything else is not ours: another network's, the host's, the outside", () => {
    const far = workload(workloadOf({ uid: 'far', addresses: [POD], network: 'east' }));
    const host = workload(workloadOf({ uid: 'host', addresses: [POD], hostNetwork: true }));
    for (const snapshot of [emptySnapshot, known(far), known(host)]) {
      assert.deepEqual(classify(SOURCE, { ip: POD, port: 80 }, snapshot), {
        kind: 'passthrough',
        destination: { ip: POD, port: 80 },
        reason: 'unknown-destination',
      });
    }
  });

  test('a service in passthrough mode is left alone', () => {
    const loadBalancing = { mode: 'passthrough', preference: [], health: 'only-healthy' } as const;
    const intent = classify(
      SOURCE,
      { ip: VIP, port: 81 },
      known(service({ hostname: 'db', loadBalancing })),
    );
    assert.deepEqual(
      [intent.kind, 'reason' in intent && intent.reason],
      ['passthrough', 'passthrough-service'],
    );
  });

  test("the agent's own ports on loopback are refused", () => {
    for (const port of [15001, 15006, 15008]) {
      refused('RECURSION', () => classify(SOURCE, at('127.0.0.1', port), emptySnapshot));
      refused('RECURSION', () => classify(SOURCE, at('::1', port), emptySnapshot));
    }
    assert.equal(classify(SOURCE, at('127.0.0.1', 15002), emptySnapshot).kind, 'passthrough');
  });
});

describe('what must not leave', () => {
  test('is what the mesh does not know, when the namespace may connect to known things only', () => {
    const source = { ...SOURCE, outboundPolicy: 'registry-only' } as const;
    const snapshot = known(
      service({ hostname: 'kubernetes' }),
      service({
        hostname: 'outside',
        vips: [{ network: '', ip: parseIp('192.0.2.0'), prefixLength: 24 }],
        loadBalancing: { mode: 'passthrough', preference: [], health: 'only-healthy' },
      }),
      workload(workloadOf({ uid: 'pod', addresses: [POD] })),
    );
    refused('DESTINATION_BLOCKED', () => classify(source, at('198.51.100.1', 443), snapshot));
    refused('DESTINATION_BLOCKED', () => classify(source, at('2001:db8::1', 443), snapshot));
    for (const [ip, kind] of [
      [VIP, 'service'],
      [POD, 'workload'],
      ['192.0.2.9', 'passthrough'],
    ] as const) {
      assert.equal(classify(source, at(ip, 80), snapshot).kind, kind);
    }
  });

  test("is the pod's own doors by its own address", () => {
    const [own = ''] = SOURCE.addresses;
    for (const port of [15001, 15006, 15008]) {
      refused('RECURSION', () => classify(SOURCE, at(own, port), emptySnapshot));
    }
  });
});

describe('a destination behind a waypoint', () => {
  const BY_NAME: GatewayAddress = {
    by: 'hostname',
    namespace: 'shop',
    hostname: 'waypoint',
    port: 15008,
  };
  const BY_IP: GatewayAddress = {
    by: 'address',
    network: '',
    ip: parseIp('10.0.7.7'),
    port: 15009,
  };
  const replica = (parts: Partial<Workload> = {}): Workload =>
    workloadOf({
      uid: 'k//Pod/shop/waypoint-1',
      addresses: [parseIp('10.0.7.7')],
      services: new Map([['shop/waypoint', []]]),
      ...parts,
    });
  const waypointService: ResourceUpdate = {
    kind: 'service',
    service: serviceOf({
      hostname: 'waypoint',
      subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/wp'],
    }),
  };
  const web = service({ hostname: 'web', waypoint: BY_NAME });
  const toWeb = (snapshot: Snapshot, source = SOURCE) =>
    classify(source, { ip: VIP, port: 80 }, snapshot);
  const replicasOf = (intent: Intent): string[] =>
    intent.kind === 'waypoint'
      ? intent.choices.flatMap(({ replicas }) => replicas.map(({ uid }) => uid))
      : assert.fail(`it is a ${intent.kind}`);

  test("goes to the replicas of the waypoint's service", () => {
    const intent = toWeb(known(web, waypointService, workload(replica())));
    assert.deepEqual(replicasOf(intent), ['k//Pod/shop/waypoint-1']);
    assert.ok(intent.kind === 'waypoint' && 'service' in intent.of);
    assert.equal(intent.of.service.hostname, 'web');
    assert.equal(intent.choices[0]?.service?.hostname, 'waypoint');
  });

  test('goes through it on every port, and in passthrough mode too', () => {
    const loadBalancing = { mode: 'passthrough', preference: [], health: 'only-healthy' } as const;
    const snapshot = known(
      service({ hostname: 'web', waypoint: BY_NAME, loadBalancing }),
      waypointService,
      workload(replica()),
    );
    assert.equal(classify(SOURCE, { ip: VIP, port: 9999 }, snapshot).kind, 'waypoint');
  });

  test('a waypoint may be named by its address, or by the hostname of a workload', () => {
    const byAddress = known(service({ hostname: 'web', waypoint: BY_IP }), workload(replica()));
    assert.deepEqual(replicasOf(toWeb(byAddress)), ['k//Pod/shop/waypoint-1']);
    const byName = known(web, workload(replica({ hostname: 'waypoint', services: new Map() })));
    assert.deepEqual(replicasOf(toWeb(byName)), ['k//Pod/shop/waypoint-1']);
    const elsewhere = replica({ hostname: 'waypoint', namespace: 'ops', services: new Map() });
    assert.deepEqual(replicasOf(toWeb(known(web, workload(elsewhere)))), []);
  });

  test('is the waypoint’s even when nothing is known of it: never reached around it', () => {
    assert.deepEqual(replicasOf(toWeb(known(web))), []);
  });

  test('weighted waypoints take the place of the one; weight 0 gets nothing', () => {
    const weightedWaypoints = [
      { destination: BY_IP, weight: 0 },
      { destination: BY_NAME, weight: 3 },
    ];
    const split = service({ hostname: 'web', waypoint: BY_IP, weightedWaypoints });
    const intent = toWeb(known(split, waypointService, workload(replica())));
    assert.ok(intent.kind === 'waypoint');
    assert.deepEqual(
      intent.choices.map(({ gateway, weight }) => [gateway.by, weight]),
      [['hostname', 3]],
    );
  });

  test('is refused when every waypoint has weight 0, and not reached around them', () => {
    const none = service({
      hostname: 'web',
      weightedWaypoints: [{ destination: BY_IP, weight: 0 }],
    });
    refused('WAYPOINT_UNAVAILABLE', () => toWeb(known(none)));
  });

  test('the waypoint itself goes straight on, even while it drains', () => {
    const draining = replica({ health: 'unhealthy' });
    for (const source of [replica(), draining]) {
      assert.equal(toWeb(known(web, waypointService, workload(source)), source).kind, 'service');
    }
  });

  test('a workload with a waypoint goes through it when it is addressed itself, not as an endpoint of a service', () => {
    const pod = workload(workloadOf({ uid: 'pod', addresses: [POD], waypoint: BY_NAME }));
    const snapshot = known(pod, service({ hostname: 'web' }), waypointService, workload(replica()));
    assert.equal(classify(SOURCE, { ip: POD, port: 80 }, snapshot).kind, 'waypoint');
    assert.equal(classify(replica(), { ip: POD, port: 80 }, snapshot).kind, 'workload');
    assert.equal(toWeb(snapshot).kind, 'service');
  });
});

test('whatever is known: an intent for that destination or a named refusal, and never past a waypoint', () => {
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
    'DESTINATION_BLOCKED',
  ];
  fc.assert(
    fc.property(updates, ANY_IP, fc.constantFrom(80, 443, 15008), (updates, ip, port) => {
      const snapshot = emptySnapshot.apply(updates);
      // SOURCE is nobody's waypoint
      const service = snapshot.serviceByVip(SOURCE.network, ip, SOURCE.namespace);
      const addressed = service ?? snapshot.workloadByIp(SOURCE.network, ip);
      let intent: Intent;
      try {
        intent = classify(SOURCE, { ip, port }, snapshot);
      } catch (error) {
        assert.ok(refusals.includes(failureCodeOf(error)), String(error));
        return;
      }
      assert.deepEqual(intent.destination, { ip, port });
      const weights = service?.weightedWaypoints.length ?? 0;
      const fronted = addressed?.waypoint !== undefined || weights > 0;
      assert.equal(intent.kind === 'waypoint', fronted);
    }),
    { numRuns: 1000 },
  );
});
