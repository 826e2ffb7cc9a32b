import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type IpPort, parseIp } from './address.ts';
import { classify } from './classify.ts';
import { type FailureCode, failureCodeOf, MeshError } from './failures.ts';
import type { Intent } from './intent.ts';
import { emptySnapshot, type ResourceUpdate, type Snapshot } from './snapshot.ts';
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

  test("goes to the healthy replicas of the waypoint's service, with its identities", () => {
    const intent = toWeb(known(web, waypointService, workload(replica())));
    assert.ok(intent.kind === 'waypoint');
    assert.deepEqual(
      intent.waypoints.map(({ uid }) => uid),
      ['k//Pod/shop/waypoint-1'],
    );
    assert.deepEqual(
      [intent.port, intent.subjectAltNames],
      [15008, ['spiffe://cluster.local/ns/shop/sa/wp']],
    );
    assert.ok('service' in intent.of && intent.of.service.hostname === 'web');
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

  test('a waypoint may be named by its address, with a port of its own', () => {
    const intent = toWeb(known(service({ hostname: 'web', waypoint: BY_IP }), workload(replica())));
    assert.ok(intent.kind === 'waypoint');
    assert.equal(intent.port, 15009);
  });

  test('is never reached around it: unknown, without replicas, none healthy, on another network, without address', () => {
    for (const updates of [
      [],
      [waypointService],
      [workload(replica())],
      [waypointService, workload(replica({ health: 'unhealthy' }))],
      [waypointService, workload(replica({ network: 'east' }))],
      [waypointService, workload(replica({ addresses: [] }))],
    ]) {
      refused('WAYPOINT_UNAVAILABLE', () => toWeb(known(web, ...updates)));
    }
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
  const refusals: readonly FailureCode[] = ['NO_HEALTHY_ENDPOINT', 'WAYPOINT_UNAVAILABLE'];
  fc.assert(
    fc.property(updates, ANY_IP, fc.constantFrom(80, 443, 15008), (updates, ip, port) => {
      const snapshot = emptySnapshot.apply(updates);
      // SOURCE is nobody's waypoint
      const service = snapshot.serviceByVip(SOURCE.network, ip, SOURCE.namespace);
      const waypoint = (service ?? snapshot.workloadByIp(SOURCE.network, ip))?.waypoint;
      let intent: Intent;
      try {
        intent = classify(SOURCE, { ip, port }, snapshot);
      } catch (error) {
        assert.ok(refusals.includes(failureCodeOf(error)), String(error));
        return;
      }
      assert.deepEqual(intent.destination, { ip, port });
      assert.equal(intent.kind === 'waypoint', waypoint !== undefined);
    }),
    { numRuns: 1000 },
  );
});
