import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES } from '../../runtime/kubernetes/resources.ts';
import { World } from '../../test/support/world.ts';
import { endpointSlices } from './endpoint-slices.ts';
import { endpoints } from './endpoints.ts';
import type { EndpointSlice, KubeObject, Pod, Service } from './objects.ts';

const ZONE = 'topology.kubernetes.io/zone';

function cartWorld(spec: Partial<Service['spec']> = {}): World {
  const world = new World();
  world.addNode('node-a', { [ZONE]: 'north' });
  world.add<Service>(SERVICES, {
    metadata: { name: 'cart', labels: { team: 'shop' } },
    spec: {
      clusterIP: '10.96.0.10',
      ipFamilies: ['IPv4'],
      selector: { app: 'cart' },
      ports: [{ name: 'http', port: 80, targetPort: 'web', protocol: 'TCP' }],
      ...spec,
    },
  });
  return world;
}

function addPod(world: World, name: string, port = 8080, spec = {}): Pod {
  const containers = [{ name: 'cart', ports: [{ name: 'web', containerPort: port }] }];
  return world.add<Pod>(PODS, {
    metadata: { name, labels: { app: 'cart' } },
    spec: { nodeName: 'node-a', containers, ...spec },
  });
}

function settled(world: World): readonly EndpointSlice[] {
  world.settle([endpointSlices]);
  return world.list<EndpointSlice>(ENDPOINT_SLICES);
}

const addressesIn = (slices: readonly EndpointSlice[]) =>
  slices.flatMap((slice) => (slice.endpoints ?? []).flatMap(({ addresses }) => addresses)).sort();

describe('EndpointSlices', () => {
  test('say of each pod where it is, what it is and whether it serves', () => {
    const world = cartWorld();
    addPod(world, 'cart-1');
    world.kubelets();
    const [slice, ...others] = settled(world);
    assert.equal(others.length, 0);
    assert.equal(slice?.addressType, 'IPv4');
    assert.deepEqual(slice?.ports, [{ name: 'http', port: 8080, protocol: 'TCP' }]);
    assert.deepEqual(slice?.endpoints, [
      {
        addresses: ['10.0.0.3'],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: 'node-a',
        zone: 'north',
        targetRef: { kind: 'Pod', namespace: 'shop', name: 'cart-1', uid: 'uid-3' },
      },
    ]);
    const labels = slice?.metadata.labels ?? {};
    assert.equal(labels['kubernetes.io/service-name'], 'cart');
    assert.equal(
      labels['endpointslice.kubernetes.io/managed-by'],
      'endpointslice-controller.k8s.io',
    );
    assert.equal(labels['team'], 'shop');
  });

  test('a pod that terminates is not ready but may serve on', () => {
    const world = cartWorld();
    const pod = addPod(world, 'cart-1');
    world.kubelets();
    settled(world);
    world.remove(PODS, pod);
    const [slice] = settled(world);
    assert.deepEqual(slice?.endpoints?.[0]?.conditions, {
      ready: false,
      serving: true,
      terminating: true,
    });
  });

  test('publishNotReadyAddresses makes every endpoint ready, but not serving', () => {
    const world = cartWorld({ publishNotReadyAddresses: true });
    addPod(world, 'cart-1');
    world.kubelets(() => false);
    const [slice] = settled(world);
    assert.deepEqual(slice?.endpoints?.[0]?.conditions, {
      ready: true,
      serving: false,
      terminating: false,
    });
  });

  test('a dual-stack service has slices of both families', () => {
    const world = cartWorld({ ipFamilies: ['IPv4', 'IPv6'] });
    addPod(world, 'cart-1');
    world.kubelets();
    const slices = settled(world);
    assert.deepEqual(slices.map(({ addressType }) => addressType).sort(), ['IPv4', 'IPv6']);
    assert.deepEqual(addressesIn(slices), ['10.0.0.3', 'fd00::3']);
  });

  test('pods that name a port differently get slices of their own', () => {
    const world = cartWorld();
    addPod(world, 'cart-1', 8080);
    addPod(world, 'cart-2', 9090);
    addPod(world, 'cart-3', 8080);
    world.kubelets();
    const slices = settled(world);
    const byPort = Object.fromEntries(
      slices.map((slice) => [slice.ports?.[0]?.port, slice.endpoints?.length]),
    );
    assert.deepEqual(byPort, { 8080: 2, 9090: 1 });
  });

  test('a headless service is marked, and a pod with a matching subdomain keeps its hostname', () => {
    const world = cartWorld({ clusterIP: 'None' });
    addPod(world, 'cart-0', 8080, { hostname: 'cart-0', subdomain: 'cart' });
    world.kubelets();
    const [slice] = settled(world);
    assert.equal(slice?.metadata.labels?.['service.kubernetes.io/headless'], '');
    assert.equal(slice?.endpoints?.[0]?.hostname, 'cart-0');
  });

  test('a service without pods keeps one empty slice under the same name', () => {
    const world = cartWorld();
    const [empty] = settled(world);
    assert.deepEqual(empty?.endpoints, []);
    const pod = addPod(world, 'cart-1');
    world.kubelets();
    settled(world);
    world.caches.remove(PODS, pod);
    const slices = settled(world);
    assert.deepEqual(
      slices.map(({ metadata }) => metadata.name),
      [empty?.metadata.name],
    );
  });

  test('finished pods and pods without an address are left out', () => {
    const world = cartWorld();
    addPod(world, 'cart-1');
    const done = addPod(world, 'cart-2');
    world.run(done, false, { phase: 'Succeeded' });
    assert.deepEqual(addressesIn(settled(world)), []);
  });

  test('a service without a selector is left to whoever fills its slices', () => {
    const world = new World();
    world.add<Service>(SERVICES, { metadata: { name: 'external' }, spec: { ports: [] } });
    const labels = { 'kubernetes.io/service-name': 'external' };
    world.add(ENDPOINT_SLICES, { metadata: { name: 'mine', labels } });
    assert.deepEqual(
      settled(world).map(({ metadata }) => metadata.name),
      ['mine'],
    );
  });

  test('the slices of a deleted service go', () => {
    const world = cartWorld();
    addPod(world, 'cart-1');
    world.kubelets();
    settled(world);
    world.caches.remove(SERVICES, world.get(SERVICES, 'cart'));
    assert.deepEqual(settled(world), []);
  });

  test('hold at most 100 endpoints each, and lose, repeat or move none as pods come and go', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 260 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(steps, (sizes) => {
        const world = cartWorld();
        let made = 0;
        for (const size of sizes) {
          const before = new Map(
            world
              .list<EndpointSlice>(ENDPOINT_SLICES)
              .flatMap((slice) =>
                (slice.endpoints ?? []).map(({ addresses }) => [
                  addresses[0] ?? '',
                  slice.metadata.name,
                ]),
              ) as [string, string][],
          );
          const pods = world.list<Pod>(PODS);
          for (const pod of pods.slice(size)) world.caches.remove(PODS, pod);
          for (let index = pods.length; index < size; index++) addPod(world, `cart-${made++}`);
          world.kubelets();
          const slices = settled(world);
          assert.ok(slices.every((slice) => (slice.endpoints ?? []).length <= 100));
          const wanted = world.list<Pod>(PODS).map((pod) => pod.status?.podIP ?? '');
          assert.deepEqual(addressesIn(slices), wanted.sort());
          for (const slice of slices) {
            for (const { addresses } of slice.endpoints ?? []) {
              const was = before.get(addresses[0] ?? '');
              assert.ok(was === undefined || was === slice.metadata.name);
            }
          }
        }
      }),
      { numRuns: 15 },
    );
  });
});

describe('Endpoints', () => {
  test('list ready and not ready addresses of the first family', () => {
    const world = cartWorld({ ipFamilies: ['IPv6', 'IPv4'] });
    addPod(world, 'cart-1');
    addPod(world, 'cart-2');
    world.kubelets((pod) => pod.metadata.name === 'cart-1');
    world.settle([endpoints]);
    const { subsets } = world.get<KubeObject & { subsets?: unknown }>(ENDPOINTS, 'cart');
    const address = (ip: string, name: string, uid: string) => ({
      ip,
      nodeName: 'node-a',
      targetRef: { kind: 'Pod', namespace: 'shop', name, uid },
    });
    assert.deepEqual(subsets, [
      {
        addresses: [address('fd00::3', 'cart-1', 'uid-3')],
        notReadyAddresses: [address('fd00::4', 'cart-2', 'uid-4')],
        ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      },
    ]);
  });

  test('go with their service', () => {
    const world = cartWorld();
    world.settle([endpoints]);
    world.caches.remove(SERVICES, world.get(SERVICES, 'cart'));
    world.settle([endpoints]);
    assert.equal(world.find(ENDPOINTS, 'cart'), undefined);
  });
});
