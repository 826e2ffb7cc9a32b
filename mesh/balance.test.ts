import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { isIpv6, parseIp } from './address.ts';
import { type Balance, type Endpoint, pickEndpoint } from './balance.ts';
import { failureCodeOf } from './failures.ts';
import { type LoadBalancing, type Service, serviceKey } from './service.ts';
import { emptySnapshot, type Snapshot } from './snapshot.ts';
import { ANY_IP, ANY_SERVICE, ANY_WORKLOAD, serviceOf, workloadOf } from './test-arbitraries.ts';
import type { PortMapping, Workload } from './workload.ts';

const PORT: PortMapping = { servicePort: 80, targetPort: 8080, appProtocol: 'unknown' };
const SOURCE = workloadOf({
  uid: 'source',
  node: 'n1',
  locality: { region: 'r1', zone: 'z1', subzone: 's1' },
});

type Parts = Partial<Workload> & { readonly ports?: readonly PortMapping[] };
function pod(uid: string, { ports = [PORT], ...parts }: Parts = {}): Workload {
  const services = new Map([['shop/web', ports]]);
  return workloadOf({ uid, addresses: [parseIp('10.0.0.1')], services, ...parts });
}
const snapshotOf = (workloads: readonly Workload[]): Snapshot =>
  emptySnapshot.apply(workloads.map((workload) => ({ kind: 'workload', workload })));

/** A small fixed generator: the same draws in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

type Asked = {
  readonly service?: Partial<Service>;
  readonly load?: Balance['load'];
  readonly exclude?: readonly string[];
  readonly destination?: string;
  readonly kept?: string;
  readonly source?: Workload;
  readonly random?: () => number;
};
function pick(workloads: readonly Workload[], asked: Asked = {}): Endpoint {
  const service = serviceOf({ hostname: 'web', ports: [PORT], ...asked.service });
  return pickEndpoint(
    {
      source: asked.source ?? SOURCE,
      service,
      port: PORT,
      destination: parseIp(asked.destination ?? '10.96.0.1'),
    },
    snapshotOf(workloads),
    {
      random: asked.random ?? (() => 0),
      load: asked.load ?? (() => 0),
      exclude: new Set(asked.exclude),
      kept: () => asked.kept,
    },
  );
}
function addressOf(endpoint: Endpoint): string | undefined {
  return endpoint.reach.by === 'address' ? endpoint.reach.ip : undefined;
}
/** How often each endpoint is picked in many draws. */
function shares(workloads: readonly Workload[], asked: Asked = {}): Record<string, number> {
  const random = generator(7);
  const counts: Record<string, number> = {};
  for (let i = 0; i < 4000; i++) {
    const { uid } = pick(workloads, { ...asked, random }).workload;
    counts[uid] = (counts[uid] ?? 0) + 1 / 4000;
  }
  return counts;
}
const picked = (workloads: readonly Workload[], asked?: Asked): string[] =>
  Object.keys(shares(workloads, asked)).sort();
const refuses = (workloads: readonly Workload[], asked?: Asked): void =>
  assert.throws(
    () => pick(workloads, asked),
    (error) => failureCodeOf(error) === 'NO_HEALTHY_ENDPOINT',
  );

describe('who may be picked', () => {
  test('nobody there is a refusal', () => refuses([]));

  test('only the healthy, unless the service takes all', () => {
    const sick = pod('sick', { health: 'unhealthy' });
    refuses([sick]);
    assert.deepEqual(picked([sick, pod('well')]), ['well']);
    const loadBalancing: LoadBalancing = {
      mode: 'unspecified',
      preference: [],
      health: 'allow-all',
    };
    assert.deepEqual(picked([sick, pod('well')], { service: { loadBalancing } }), ['sick', 'well']);
  });

  test('those on their way out only when nobody else is left, near enough included', () => {
    const draining = pod('draining', { health: 'draining', node: 'n1' });
    assert.deepEqual(picked([draining]), ['draining']);
    assert.deepEqual(picked([draining, pod('well')]), ['well']);
    refuses([pod('sick', { health: 'unhealthy' })]);
    const local: LoadBalancing = { mode: 'strict', preference: ['node'], health: 'only-healthy' };
    const elsewhere = pod('well', { node: 'n2' });
    assert.deepEqual(picked([draining, elsewhere], { service: { loadBalancing: local } }), [
      'draining',
    ]);
  });

  test('only those that serve the port; a named port is what the endpoint says', () => {
    refuses([pod('other', { ports: [{ ...PORT, servicePort: 81 }] })]);
    refuses([pod('none', { ports: [] })]);
    assert.equal(pick([pod('own', { ports: [{ ...PORT, targetPort: 9000 }] })]).port, 9000);
    assert.equal(pick([pod('service', { ports: [{ ...PORT, targetPort: 0 }] })]).port, 8080);
  });

  test('only those of our network, with an address and some capacity', () => {
    refuses([pod('far', { network: 'east' })]);
    refuses([pod('nowhere', { addresses: [] })]);
    refuses([pod('nothing', { capacity: 0 })]);
  });

  test('nobody who was tried before', () => {
    assert.deepEqual(picked([pod('a'), pod('b')], { exclude: ['a'] }), ['b']);
    refuses([pod('a')], { exclude: ['a'] });
  });
});

describe('the address of an endpoint', () => {
  const both = pod('both', { addresses: [parseIp('10.0.0.1'), parseIp('fd00::1')] });

  test("is of the caller's family when there is one", () => {
    assert.equal(addressOf(pick([both])), '10.0.0.1');
    assert.equal(addressOf(pick([both], { destination: 'fd96::1' })), 'fd00::1');
    assert.equal(addressOf(pick([pod('v4')], { destination: 'fd96::1' })), '10.0.0.1');
  });

  test('is the very one that was asked for, when it has it', () => {
    const two = pod('two', { addresses: [parseIp('10.0.0.1'), parseIp('10.0.0.7')] });
    assert.equal(addressOf(pick([two], { destination: '10.0.0.7' })), '10.0.0.7');
  });

  test('is looked up when there is only a name', () => {
    const { reach, port } = pick([pod('out', { addresses: [], hostname: 'db.example.com' })]);
    assert.deepEqual([reach, port], [{ by: 'hostname', hostname: 'db.example.com' }, 8080]);
  });

  test('is a gateway when it is on another network and takes tunnels', () => {
    const gateway = {
      by: 'address',
      network: 'east',
      ip: parseIp('10.9.9.9'),
      port: 15008,
    } as const;
    const far = { network: 'east', networkGateway: gateway, addresses: [] };
    const { reach } = pick([pod('far', { ...far, ports: [{ ...PORT, targetPort: 0 }] })]);
    assert.deepEqual(reach, { by: 'gateway', gateway });
    refuses([pod('far', { ...far, protocol: 'tcp' })]);
  });

  test('is of a family the service has', () => {
    assert.equal(addressOf(pick([both], { service: { ipFamilies: 'ipv6' } })), 'fd00::1');
    refuses([pod('v4')], { service: { ipFamilies: 'ipv6' } });
  });
});

describe('locality', () => {
  const place = (uid: string, region: string, zone: string, subzone = ''): Workload =>
    pod(uid, { locality: { region, zone, subzone }, node: uid });
  const near = place('near', 'r1', 'z1', 's1');
  const zone = place('zone', 'r1', 'z1');
  const region = place('region', 'r1', 'z2');
  const far = place('far', 'r2', 'z1', 's1');
  const all = [near, zone, region, far];
  const by = (mode: LoadBalancing['mode'], ...preference: LoadBalancing['preference']): Asked => ({
    service: { loadBalancing: { mode, preference, health: 'only-healthy' } },
  });

  test('failover takes those that match the most scopes in a row, and only them', () => {
    const preferred = by('failover', 'network', 'region', 'zone', 'subzone');
    assert.deepEqual(picked(all, preferred), ['near']);
    assert.deepEqual(picked([zone, region, far], preferred), ['zone']);
    // its zone has the same name, but in another region: the row ends before
    assert.deepEqual(picked([region, far], preferred), ['region']);
    assert.deepEqual(picked([far], preferred), ['far']);
  });

  test('failover goes on to the next group when the nearest was tried in vain', () => {
    const preferred = by('failover', 'region', 'zone', 'subzone');
    assert.deepEqual(picked(all, { ...preferred, exclude: ['near'] }), ['zone']);
  });

  test('strict takes those that match every scope, or none', () => {
    assert.deepEqual(picked(all, by('strict', 'region', 'zone')), ['near', 'zone']);
    refuses(all, by('strict', 'node'));
    assert.deepEqual(picked([...all, pod('same', { node: 'n1' })], by('strict', 'node')), ['same']);
  });

  test('failover with the network first ranks the near network 5, 4, 3 and the far one 2, 1, 0', () => {
    const networkGateway = { by: 'address', network: 'east', ip: parseIp('10.9.9.9'), port: 15008 };
    const abroad = { network: 'east', networkGateway } as const;
    const at = (uid: string, region: string, zone: string, parts: Partial<Workload> = {}) =>
      pod(uid, { locality: { region, zone, subzone: '' }, ...parts });
    const ranked = [
      at('5', 'r1', 'z1'),
      at('4', 'r1', 'z2'),
      at('3', 'r2', 'z1'),
      at('2', 'r1', 'z1', abroad as Partial<Workload>),
      at('1', 'r1', 'z2', abroad as Partial<Workload>),
      at('0', 'r2', 'z1', abroad as Partial<Workload>),
    ];
    const preferred = by('failover', 'network', 'region', 'zone');
    for (let from = 0; from < ranked.length; from++) {
      assert.deepEqual(picked(ranked.slice(from).toReversed(), preferred), [ranked[from]?.uid]);
    }
  });

  test('without a mode preferences are nothing', () => {
    assert.equal(picked(all, by('unspecified', 'region')).length, 4);
  });
});

describe('the choice', () => {
  const near = (share: number | undefined, expected: number): void =>
    assert.ok(Math.abs((share ?? 0) - expected) < 0.03, `${share} is not about ${expected}`);

  test('idle endpoints are picked equally often', () => {
    for (const share of Object.values(shares([pod('a'), pod('b'), pod('c'), pod('d')])))
      near(share, 0.25);
  });

  test('idle endpoints are picked by their capacity', () => {
    const { a, b } = shares([pod('a', { capacity: 3 }), pod('b')]);
    near(a, 0.75);
    near(b, 0.25);
  });

  test('of two the less loaded is picked, always; of many the most loaded never', () => {
    const loads: Record<string, number> = { a: 5, b: 1, c: 3 };
    const load = ({ uid }: Workload): number => loads[uid] ?? 0;
    assert.deepEqual(picked([pod('a'), pod('b')], { load }), ['b']);
    assert.deepEqual(picked([pod('a'), pod('b'), pod('c')], { load }), ['b', 'c']);
  });

  test('load counts for its size: six on capacity four are less than two on one', () => {
    const load = ({ uid }: Workload): number => (uid === 'big' ? 6 : 2);
    assert.deepEqual(picked([pod('big', { capacity: 4 }), pod('small')], { load }), ['big']);
  });

  test('at random means by capacity alone, whatever the load', () => {
    const load = ({ uid }: Workload): number => (uid === 'a' ? 1000 : 0);
    const service = { balancing: 'random' } as const;
    const { a } = shares([pod('a', { capacity: 3 }), pod('b')], { load, service });
    near(a, 0.75);
  });
});

describe('session affinity', () => {
  const service = { sessionAffinitySeconds: 60 };
  const all = ['a', 'b', 'c', 'd'].map((uid) => pod(uid));
  const clients = Array.from({ length: 400 }, (_, i) => workloadOf({ uid: `client-${i}` }));
  const ownOf = (source: Workload, workloads: readonly Workload[]): string =>
    pick(workloads, { service, source }).workload.uid;

  test('a client keeps the endpoint that is remembered, while it may be used', () => {
    for (const kept of ['a', 'b', 'c', 'd']) {
      assert.deepEqual(picked(all, { service, kept }), [kept]);
    }
    const sick = pod('a', { health: 'unhealthy' });
    assert.notDeepEqual(picked([sick, ...all.slice(1)], { service, kept: 'a' }), ['a']);
    assert.notDeepEqual(picked(all, { service, kept: 'a', exclude: ['a'] }), ['a']);
  });

  test('a client of whom nothing is remembered has one endpoint of its own, in whatever order they are known', () => {
    for (const source of clients) {
      assert.equal(ownOf(source, all), ownOf(source, all.toReversed()));
    }
  });

  test('clients are spread evenly over the endpoints', () => {
    for (const { uid } of all) {
      const share = clients.filter((client) => ownOf(client, all) === uid).length / clients.length;
      assert.ok(share > 0.17 && share < 0.33, `${uid} has ${share}`);
    }
  });

  test('an endpoint that goes moves its own clients only', () => {
    for (const client of clients) {
      const before = ownOf(client, all);
      if (before !== 'd') assert.equal(ownOf(client, all.slice(0, 3)), before);
    }
  });

  test('a service without it remembers nobody', () => {
    assert.deepEqual(picked(all, { kept: 'a' }), ['a', 'b', 'c', 'd']);
  });
});

test('whatever is known and drawn, the endpoint may be picked, or there is none', () => {
  const cases = fc.record({
    workloads: fc.array(ANY_WORKLOAD, { maxLength: 6 }),
    service: ANY_SERVICE,
    source: ANY_WORKLOAD,
    destination: ANY_IP,
    draws: fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
    load: fc.func(fc.nat(5)),
  });
  fc.assert(
    fc.property(cases, ({ workloads, service, source, destination, draws, load }) => {
      const [port] = service.ports;
      if (port === undefined) return;
      const snapshot = snapshotOf(workloads);
      const balance = { random: () => draws.next().value as number, load };
      let endpoint: Endpoint;
      try {
        endpoint = pickEndpoint({ source, service, port, destination }, snapshot, balance);
      } catch (error) {
        assert.equal(failureCodeOf(error), 'NO_HEALTHY_ENDPOINT');
        return;
      }
      const { workload, reach } = endpoint;
      assert.ok(snapshot.membersOf(serviceKey(service)).includes(workload));
      assert.ok(workload.health !== 'unhealthy' || service.loadBalancing?.health === 'allow-all');
      assert.ok(workload.capacity > 0);
      assert.equal(reach.by === 'gateway', workload.network !== source.network);
      if (reach.by === 'gateway') return assert.equal(workload.protocol, 'hbone');
      assert.ok(endpoint.port > 0);
      if (reach.by === 'hostname') return assert.deepEqual(workload.addresses, []);
      assert.ok(workload.addresses.includes(reach.ip));
      if (service.ipFamilies === 'ipv4' && reach.ip !== destination) {
        assert.equal(isIpv6(reach.ip), false);
      }
    }),
    { numRuns: 1000 },
  );
});
