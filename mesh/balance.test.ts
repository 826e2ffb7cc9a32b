import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { isIpv6, parseIp } from './address.ts';
import { type Balance, type Endpoint, pickEndpoint } from './balance.ts';
import { failureCodeOf } from './failures.ts';
import { type LoadBalancing, type Service, serviceKey } from './service.ts';
import { emptySnapshot, type Snapshot } from './snapshot.ts';
import { ANY_SERVICE, ANY_WORKLOAD, serviceOf, workloadOf } from './test-arbitraries.ts';
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
  readonly preferIpv6?: boolean;
  readonly random?: () => number;
};
function pick(workloads: readonly Workload[], asked: Asked = {}): Endpoint {
  const service = serviceOf({ hostname: 'web', ports: [PORT], ...asked.service });
  return pickEndpoint(
    { source: SOURCE, service, port: PORT, preferIpv6: asked.preferIpv6 ?? false },
    snapshotOf(workloads),
    {
      random: asked.random ?? (() => 0),
      load: asked.load ?? (() => 0),
      exclude: new Set(asked.exclude),
    },
  );
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
    assert.equal(pick([both]).address, '10.0.0.1');
    assert.equal(pick([both], { preferIpv6: true }).address, 'fd00::1');
    assert.equal(pick([pod('v4')], { preferIpv6: true }).address, '10.0.0.1');
  });

  test('is of a family the service has', () => {
    assert.equal(pick([both], { service: { ipFamilies: 'ipv6' } }).address, 'fd00::1');
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
    const load = ({ workload }: Endpoint): number => loads[workload.uid] ?? 0;
    assert.deepEqual(picked([pod('a'), pod('b')], { load }), ['b']);
    assert.deepEqual(picked([pod('a'), pod('b'), pod('c')], { load }), ['b', 'c']);
  });

  test('load counts for its size: six on capacity four are less than two on one', () => {
    const load = ({ workload }: Endpoint): number => (workload.uid === 'big' ? 6 : 2);
    assert.deepEqual(picked([pod('big', { capacity: 4 }), pod('small')], { load }), ['big']);
  });
});

test('whatever is known and drawn, the endpoint may be picked, or there is none', () => {
  const cases = fc.record({
    workloads: fc.array(ANY_WORKLOAD, { maxLength: 6 }),
    service: ANY_SERVICE,
    source: ANY_WORKLOAD,
    preferIpv6: fc.boolean(),
    draws: fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
    load: fc.func(fc.nat(5)),
  });
  fc.assert(
    fc.property(cases, ({ workloads, service, source, preferIpv6, draws, load }) => {
      const [port] = service.ports;
      if (port === undefined) return;
      const snapshot = snapshotOf(workloads);
      const balance = { random: () => draws.next().value as number, load };
      let endpoint: Endpoint;
      try {
        endpoint = pickEndpoint({ source, service, port, preferIpv6 }, snapshot, balance);
      } catch (error) {
        assert.equal(failureCodeOf(error), 'NO_HEALTHY_ENDPOINT');
        return;
      }
      const { workload, address } = endpoint;
      assert.ok(snapshot.membersOf(serviceKey(service)).includes(workload));
      assert.ok(workload.health === 'healthy' || service.loadBalancing?.health === 'allow-all');
      assert.ok(workload.addresses.includes(address) && endpoint.port > 0 && workload.capacity > 0);
      assert.equal(workload.network, source.network);
      if (service.ipFamilies === 'ipv4') assert.equal(isIpv6(address), false);
    }),
    { numRuns: 1000 },
  );
});
