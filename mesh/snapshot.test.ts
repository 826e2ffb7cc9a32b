import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from './address.ts';
import { type BackendTls, backendTlsKey } from './backend-tls.ts';
import type { GatewayListeners } from './gateway-listeners.ts';
import { policyKey } from './policy.ts';
import type { ResourceUpdate } from './resource-update.ts';
import { routeKey } from './route.ts';
import { serviceKey } from './service.ts';
import { emptySnapshot, type Snapshot } from './snapshot.ts';
import { ANY_ROUTE } from './test-any-route.ts';
import {
  ANY_ENROLMENT,
  ANY_MESH_NAMESPACE,
  ANY_POLICY,
  ANY_SERVICE,
  ANY_TRUST_BUNDLE,
  ANY_WORKLOAD,
  matchOf,
  policyOf,
  serviceOf,
  workloadOf,
} from './test-arbitraries.ts';
import { trafficPolicyKey } from './traffic-policy.ts';
import type { Workload } from './workload.ts';

const GATEWAYS = ['shop/edge', 'ops/edge'];
const PLAIN = { noNullPrototype: true } as const;
const ANY_LISTENERS: fc.Arbitrary<GatewayListeners> = fc.record(
  {
    gateway: fc.constantFrom(...GATEWAYS),
    listeners: fc.array(
      fc.record(
        {
          name: fc.string(),
          port: fc.nat(),
          hostname: fc.string(),
          serves: fc.constant({ kind: 'http' } as const),
        },
        PLAIN,
      ),
      { maxLength: 2 },
    ),
  },
  PLAIN,
);
const ANY_BACKEND_TLS: fc.Arbitrary<BackendTls> = fc.record(
  {
    service: fc.constantFrom('shop/a.test', 'ops/b.test'),
    port: fc.constantFrom(undefined, 80, 443),
    terms: fc.record({ kind: fc.constant('broken' as const), why: fc.string() }, PLAIN),
  },
  PLAIN,
);

const UPDATE: fc.Arbitrary<ResourceUpdate> = fc.oneof(
  ANY_WORKLOAD.map((workload) => ({ kind: 'workload', workload }) as const),
  ANY_SERVICE.map((service) => ({ kind: 'service', service }) as const),
  ANY_POLICY.map((policy) => ({ kind: 'policy', policy }) as const),
  ANY_ROUTE.map((route) => ({ kind: 'route', route }) as const),
  ANY_ROUTE.map((route) => ({ kind: 'route-removed', name: routeKey(route) }) as const),
  ANY_ENROLMENT.map((enrolment) => ({ kind: 'enrolment', enrolment }) as const),
  ANY_TRUST_BUNDLE.map((bundle) => ({ kind: 'trust', bundle }) as const),
  ANY_TRUST_BUNDLE.map(({ trustDomain }) => ({ kind: 'trust-removed', trustDomain }) as const),
  ANY_LISTENERS.map((listeners) => ({ kind: 'listeners', listeners }) as const),
  ANY_LISTENERS.map(({ gateway }) => ({ kind: 'listeners-removed', gateway }) as const),
  ANY_BACKEND_TLS.map((tls) => ({ kind: 'backend-tls', tls }) as const),
  ANY_BACKEND_TLS.map(
    (tls) => ({ kind: 'backend-tls-removed', name: backendTlsKey(tls) }) as const,
  ),
  fc
    .oneof(
      ANY_WORKLOAD.map(({ uid }) => uid),
      ANY_SERVICE.map(serviceKey),
      fc.constant('nobody'),
    )
    .map((name) => ({ kind: 'address-removed', name }) as const),
  ANY_POLICY.map((policy) => ({ kind: 'policy-removed', name: policyKey(policy) }) as const),
  ANY_ENROLMENT.map(({ podUid }) => ({ kind: 'enrolment-removed', podUid }) as const),
  ANY_MESH_NAMESPACE.map((namespace) => ({ kind: 'namespace', namespace }) as const),
  ANY_MESH_NAMESPACE.map(({ name }) => ({ kind: 'namespace-removed', name }) as const),
);
const BATCHES = fc.array(fc.array(UPDATE, { maxLength: 6 }), { maxLength: 8 });

/** What is left of all updates in the end, in an order of our own. */
// oxlint-disable-next-line complexity -- one case a kind
function survivors(batches: readonly (readonly ResourceUpdate[])[]): ResourceUpdate[] {
  const last = new Map<string, ResourceUpdate>();
  for (const update of batches.flat()) {
    switch (update.kind) {
      case 'workload':
        last.set(`address ${update.workload.uid}`, update);
        break;
      case 'service':
        last.set(`address ${serviceKey(update.service)}`, update);
        break;
      case 'policy':
        last.set(`policy ${policyKey(update.policy)}`, update);
        break;
      case 'route':
        last.set(`route ${routeKey(update.route)}`, update);
        break;
      case 'route-removed':
        last.delete(`route ${update.name}`);
        break;
      case 'traffic-policy':
        last.set(`traffic ${trafficPolicyKey(update.policy)}`, update);
        break;
      case 'traffic-policy-removed':
        last.delete(`traffic ${update.name}`);
        break;
      case 'listeners':
        last.set(`listeners ${update.listeners.gateway}`, update);
        break;
      case 'listeners-removed':
        last.delete(`listeners ${update.gateway}`);
        break;
      case 'backend-tls':
        last.set(`backend-tls ${backendTlsKey(update.tls)}`, update);
        break;
      case 'backend-tls-removed':
        last.delete(`backend-tls ${update.name}`);
        break;
      case 'enrolment':
        last.set(`enrolment ${update.enrolment.podUid}`, update);
        break;
      case 'namespace':
        last.set(`namespace ${update.namespace.name}`, update);
        break;
      case 'namespace-removed':
        last.delete(`namespace ${update.name}`);
        break;
      case 'trust':
        last.set(`trust ${update.bundle.trustDomain}`, update);
        break;
      case 'trust-removed':
        last.delete(`trust ${update.trustDomain}`);
        break;
      case 'address-removed':
        last.delete(`address ${update.name}`);
        break;
      case 'policy-removed':
        last.delete(`policy ${update.name}`);
        break;
      case 'enrolment-removed':
        last.delete(`enrolment ${update.podUid}`);
        break;
      case 'http-policy':
      case 'http-policy-removed':
      case 'request-authentication':
      case 'request-authentication-removed':
        throw new Error(`${update.kind} has a test of its own`);
    }
  }
  return [...last.values()].reverse();
}

const NETWORKS = ['', 'east', 'west'];
const IPS = [
  '10.0.0.1',
  '10.0.0.2',
  '10.0.1.1',
  '10.1.0.0',
  '10.9.9.9',
  'fd00::1',
  'fd00::2',
  'fd00:1::',
  'fd99::',
];
const NAMESPACES = ['shop', 'ops', 'ambit-system', 'elsewhere'];
const HOSTNAMES = ['a.test', 'b.test', 'c.test', 'd.test'];
const by =
  <T>(key: (value: T) => string) =>
  (a: T, b: T): number =>
    key(a) < key(b) ? -1 : 1;
const byUid = by(({ uid }: Workload) => uid);

/** The answer to every question a snapshot can be asked about the pools' names. */
function answers(snapshot: Snapshot): unknown {
  const keys = NAMESPACES.flatMap((namespace) =>
    HOSTNAMES.map((hostname) => `${namespace}/${hostname}`),
  );
  const workloads = [...snapshot.workloads()].sort(byUid);
  const policies = NAMESPACES.flatMap((namespace) =>
    ['p1', 'p2', 'p3'].map((name) => `${namespace}/${name}`),
  );
  return {
    workloads,
    byUid: workloads.map(({ uid }) => snapshot.workloadByUid(uid)),
    byIp: NETWORKS.flatMap((network) =>
      IPS.map((ip) => snapshot.workloadByIp(network, parseIp(ip))),
    ),
    services: [...snapshot.services()].sort(by(serviceKey)),
    listeners: GATEWAYS.map((gateway) => snapshot.listenersOf(gateway)),
    backendTls: keys.flatMap((key) => [80, 443].map((port) => snapshot.backendTlsOf(key, port))),
    byKey: keys.map((key) => snapshot.serviceByKey(key)),
    byVip: NETWORKS.flatMap((network) =>
      IPS.flatMap((ip) =>
        NAMESPACES.map((from) => snapshot.serviceByVip(network, parseIp(ip), from)),
      ),
    ),
    byHostname: HOSTNAMES.flatMap((name) =>
      NAMESPACES.map((from) => snapshot.serviceByHostname(name, from)),
    ),
    members: keys.map((key) => [...snapshot.membersOf(key)].sort(byUid)),
    policies: [...snapshot.policies()].sort(by(policyKey)),
    policyByKey: policies.map((key) => snapshot.policyByKey(key)),
    policiesFor: workloads.map((workload) => snapshot.policiesFor(workload)),
    routes: [...snapshot.routes()].sort(by(routeKey)),
    routesOfServices: keys.map((key) => snapshot.routesOfService(key)),
    routesOfGateways: ['shop/front', 'ops/front'].map((key) => snapshot.routesOfGateway(key)),
    namespaces: NAMESPACES.map((name) => snapshot.namespace(name)),
    enrolments: [...snapshot.enrolments()].sort(by(({ podUid }) => podUid)),
    trust: [...snapshot.trustBundles()].sort(by(({ trustDomain }) => trustDomain)),
    enrolment: ['u1', 'u2', 'u3', 'u4'].map((podUid) => snapshot.enrolment(podUid)),
  };
}

const apply = (...updates: ResourceUpdate[]): Snapshot => emptySnapshot.apply(updates);
const workload = (parts: Parameters<typeof workloadOf>[0]): ResourceUpdate => ({
  kind: 'workload',
  workload: workloadOf(parts),
});
const service = (parts: Parameters<typeof serviceOf>[0]): ResourceUpdate => ({
  kind: 'service',
  service: serviceOf(parts),
});
const policy = (parts: Parameters<typeof policyOf>[0]): ResourceUpdate => ({
  kind: 'policy',
  policy: policyOf(parts),
});

describe('a snapshot made by updates', () => {
  test('equals one rebuilt from what is left, whatever the updates, batches and order', () => {
    fc.assert(
      fc.property(BATCHES, (batches) => {
        const grown = batches.reduce((snapshot, batch) => snapshot.apply(batch), emptySnapshot);
        assert.deepEqual(answers(grown), answers(emptySnapshot.apply(survivors(batches))));
        assert.deepEqual(answers(emptySnapshot.apply(batches.flat())), answers(grown));
      }),
      { numRuns: 300 },
    );
  });

  test('never changes afterwards', () => {
    fc.assert(
      fc.property(BATCHES, (batches) => {
        let snapshot = emptySnapshot;
        const seen: [Snapshot, unknown][] = [];
        for (const batch of batches) {
          snapshot = snapshot.apply(batch);
          seen.push([snapshot, structuredClone(answers(snapshot))]);
        }
        for (const [old, content] of seen) assert.deepEqual(answers(old), content);
      }),
    );
  });

  test('has a version that grows by one with each batch', () => {
    assert.equal(emptySnapshot.version, 0);
    assert.equal(apply(workload({ uid: 'a' }), workload({ uid: 'b' })).version, 1);
    assert.equal(apply().apply([]).version, 2);
  });
});

describe('who an address belongs to', () => {
  const ip = parseIp('10.0.0.1');
  const addresses = [ip];

  test('a pod wins over another workload, then one in the mesh, then the first by uid', () => {
    const entry = workload({ uid: 'k/a/WorkloadEntry/shop/1', addresses });
    const plainPod = workload({ uid: 'k//Pod/shop/2', addresses, protocol: 'tcp' });
    const pod3 = workload({ uid: 'k//Pod/shop/3', addresses });
    const pod4 = workload({ uid: 'k//Pod/shop/4', addresses });
    const winner = (...updates: ResourceUpdate[]) => apply(...updates).workloadByIp('', ip)?.uid;
    assert.equal(winner(entry, plainPod), 'k//Pod/shop/2');
    assert.equal(winner(pod3, plainPod, entry), 'k//Pod/shop/3');
    assert.equal(winner(pod4, pod3), 'k//Pod/shop/3');
  });

  test('the next one has it when the winner is gone or moved', () => {
    const snapshot = apply(
      workload({ uid: 'k//Pod/shop/1', addresses }),
      workload({ uid: 'k//Pod/shop/2', addresses }),
    );
    const left = snapshot.apply([{ kind: 'address-removed', name: 'k//Pod/shop/1' }]);
    assert.equal(left.workloadByIp('', ip)?.uid, 'k//Pod/shop/2');
    const moved = snapshot.apply([
      workload({ uid: 'k//Pod/shop/1', addresses: [parseIp('10.0.0.9')] }),
    ]);
    assert.equal(moved.workloadByIp('', ip)?.uid, 'k//Pod/shop/2');
  });

  test('a workload on the host network owns none, and another network knows none', () => {
    assert.equal(
      apply(workload({ uid: 'a', addresses, hostNetwork: true })).workloadByIp('', ip),
      undefined,
    );
    assert.equal(apply(workload({ uid: 'a', addresses })).workloadByIp('east', ip), undefined);
  });
});

describe('which service an address is', () => {
  const ip = parseIp('10.0.0.1');
  const vip = (prefixLength?: number) => [{ network: '', ip, prefixLength }];
  const found = (from: string, ...updates: ResourceUpdate[]) =>
    apply(...updates).serviceByVip('', ip, from)?.hostname;

  test('an exact address comes before any range', () => {
    const range = service({ hostname: 'range', vips: vip(31) });
    const exact = service({ hostname: 'exact', namespace: 'ops', vips: vip() });
    assert.equal(found('shop', range, exact), 'exact');
  });

  test('a longer prefix comes before a shorter, but the own namespace before both', () => {
    const wide = service({ hostname: 'wide', vips: vip(8) });
    const narrow = service({ hostname: 'narrow', namespace: 'ops', vips: vip(24) });
    assert.equal(found('elsewhere', wide, narrow), 'narrow');
    assert.equal(found('shop', narrow, wide), 'wide');
  });

  test("one address of several services is the own namespace's, then the canonical one's, then the first by name", () => {
    const a = service({ hostname: 'a', namespace: 'ns-a', vips: vip() });
    const b = service({ hostname: 'b', namespace: 'ns-b', vips: vip(), canonical: true });
    const c = service({ hostname: 'c', namespace: 'ns-c', vips: vip() });
    assert.equal(found('ns-c', c, b, a), 'c');
    assert.equal(found('elsewhere', c, a, b), 'b');
    assert.equal(found('elsewhere', c, a), 'a');
  });

  test('a service of one namespace is nobody else’s: neither by address nor by range nor by name', () => {
    const exact = service({ hostname: 'exact', vips: vip(), visibility: 'namespace' });
    const range = service({ hostname: 'range', namespace: 'ops', vips: vip(24) });
    assert.equal(found('shop', exact, range), 'exact');
    // the exact one is not there for them, so that the range is asked
    assert.equal(found('elsewhere', exact, range), 'range');
    const hidden = service({ hostname: 'hidden', vips: vip(8), visibility: 'namespace' });
    assert.equal(found('elsewhere', hidden), undefined);
    assert.equal(apply(exact).serviceByHostname('exact', 'elsewhere'), undefined);
    assert.equal(apply(exact).serviceByHostname('exact', 'shop')?.hostname, 'exact');
  });

  test('services of one name: visible ones only, own namespace first', () => {
    const parts = { hostname: 'web.test', vips: vip() };
    const a = service({ ...parts, namespace: 'ns-a', visibility: 'namespace', canonical: true });
    const b = service({ ...parts, namespace: 'ns-b' });
    const named = (from: string): string | undefined =>
      apply(a, b).serviceByHostname('web.test', from)?.namespace;
    assert.deepEqual(['ns-a', 'ns-b', 'ns-c'].map(named), ['ns-a', 'ns-b', 'ns-b']);
  });

  test('ranges are of one network and one family', () => {
    const east = service({ hostname: 'east', vips: [{ network: 'east', ip, prefixLength: 8 }] });
    const v6 = [{ network: '', ip: parseIp('::'), prefixLength: 0 }];
    assert.equal(found('shop', east, service({ hostname: 'v6', vips: v6 })), undefined);
  });

  test('a range that is taken away is nobody’s', () => {
    const range = service({ hostname: 'range', vips: vip(24) });
    const gone: ResourceUpdate = { kind: 'address-removed', name: 'shop/range' };
    assert.equal(found('shop', range, gone), undefined);
  });
});

describe('the workloads behind a service', () => {
  test('are there whether the service or the workload came first, and go with either', () => {
    const pod = workload({ uid: 'pod', services: new Map([['shop/web', []]]) });
    const staged = apply(pod);
    assert.equal(staged.membersOf('shop/web')[0]?.uid, 'pod');
    const both = staged.apply([service({ hostname: 'web' })]);
    assert.equal(both.membersOf('shop/web').length, 1);
    assert.deepEqual(
      both.apply([{ kind: 'address-removed', name: 'pod' }]).membersOf('shop/web'),
      [],
    );
    assert.deepEqual(both.apply([workload({ uid: 'pod' })]).membersOf('shop/web'), []);
  });
});

describe('the policies of a workload', () => {
  const rules = [{ clauses: [{ matches: [matchOf({ destinationPorts: [1] })] }] }];
  const names = (snapshot: Snapshot, authorizationPolicies: string[] = []) =>
    snapshot.policiesFor(workloadOf({ uid: 'pod', authorizationPolicies })).map(policyKey);

  test("are its namespace's, the mesh's and those that selected it, each once", () => {
    const snapshot = apply(
      policy({ name: 'own', rules }),
      policy({ name: 'foreign', namespace: 'ops' }),
      policy({ name: 'mesh', namespace: 'ambit-system', scope: 'mesh' }),
      policy({ name: 'selected', namespace: 'ambit-system', scope: 'workload' }),
      policy({ name: 'unselected', scope: 'workload' }),
    );
    assert.deepEqual(names(snapshot), ['shop/own', 'ambit-system/mesh']);
    assert.deepEqual(names(snapshot, ['ambit-system/selected', 'shop/own', 'shop/unknown']), [
      'shop/own',
      'ambit-system/mesh',
      'ambit-system/selected',
    ]);
  });

  test('of ten thousand policies are its own few: others cost a decision nothing', () => {
    const many = Array.from({ length: 10_000 }, (_, i) =>
      policy({ name: `p${i}`, namespace: `ns${i % 1000}`, rules }),
    );
    const snapshot = apply(...many, policy({ name: 'selected', scope: 'workload' }));
    const found = snapshot.policiesFor(
      workloadOf({ uid: 'pod', namespace: 'ns7', authorizationPolicies: ['shop/selected'] }),
    );
    assert.equal(found.length, 11);
    assert.ok(found.every(({ namespace }) => namespace === 'ns7' || namespace === 'shop'));
  });

  test('a policy whose scope changes leaves where it was', () => {
    let snapshot = apply(policy({ name: 'p', scope: 'mesh' }));
    assert.deepEqual(names(snapshot), ['shop/p']);
    snapshot = snapshot.apply([policy({ name: 'p', scope: 'workload' })]);
    assert.deepEqual(names(snapshot), []);
    snapshot = snapshot.apply([policy({ name: 'p', scope: 'namespace' })]);
    assert.deepEqual(names(snapshot), ['shop/p']);
    assert.deepEqual(names(snapshot.apply([{ kind: 'policy-removed', name: 'shop/p' }])), []);
  });
});
