import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SERVICES } from '../../runtime/kubernetes/resources.ts';
import { World } from '../../test/support/world.ts';
import { loadBalancers } from './load-balancers.ts';
import type { KubeObject } from './objects.ts';

type Service = KubeObject & {
  readonly spec: object;
  readonly status?: { readonly loadBalancer?: object };
};

function balancerOf(spec: object): unknown {
  const world = new World();
  world.add(SERVICES, { metadata: { name: 'edge', namespace: 'shop' }, spec } as KubeObject);
  world.settle([loadBalancers]);
  return world.get<Service>(SERVICES, 'edge').status?.loadBalancer;
}

describe('a Service of type LoadBalancer', () => {
  const clusterIPs = ['10.96.0.7', 'fd00::7'];

  test('is reached at its cluster addresses', () => {
    assert.deepEqual(balancerOf({ type: 'LoadBalancer', clusterIPs }), {
      ingress: [
        { ip: '10.96.0.7', ipMode: 'VIP' },
        { ip: 'fd00::7', ipMode: 'VIP' },
      ],
    });
  });

  test('others are left as they are, and one with a class is somebody else’s', () => {
    assert.equal(balancerOf({ type: 'ClusterIP', clusterIPs }), undefined);
    const foreign = { type: 'LoadBalancer', clusterIPs, loadBalancerClass: 'example.com/x' };
    assert.equal(balancerOf(foreign), undefined);
  });

  test('that becomes another loses its address', () => {
    const world = new World();
    const spec = { type: 'LoadBalancer', clusterIPs };
    world.add(SERVICES, { metadata: { name: 'edge', namespace: 'shop' }, spec } as KubeObject);
    world.settle([loadBalancers]);
    const known = world.get<Service>(SERVICES, 'edge');
    world.change(SERVICES, { ...known, spec: { ...spec, type: 'ClusterIP' } } as KubeObject);
    world.settle([loadBalancers]);
    assert.deepEqual(world.get<Service>(SERVICES, 'edge').status?.loadBalancer, {});
  });
});
