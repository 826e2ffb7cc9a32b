// Where Kubernetes says that connections shall go: each field and annotation, seen through the whole translation.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Service as MeshService } from '../../mesh/service.ts';
import type { Workload } from '../../mesh/workload.ts';
import type {
  EndpointSlice,
  Namespace,
  Node,
  Pod,
  Service,
} from '../../runtime/kubernetes/objects.ts';
import { EMPTY_WORLD } from './test-world.ts';
import { createTranslationMemo, type Translation, translate } from './world.ts';

const SETTINGS = {
  cluster: 'Kubernetes',
  network: '',
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  rootNamespace: 'ambit-system',
  outboundPolicy: 'allow-any',
} as const;

type Cluster = {
  readonly spec?: Partial<Service['spec']>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly namespace?: Readonly<Record<string, string>>;
  readonly endpoints?: EndpointSlice['endpoints'];
  readonly slice?: Partial<EndpointSlice>;
  readonly outboundPolicy?: Workload['outboundPolicy'];
};

const POD: Pod = {
  metadata: { name: 'web-1', namespace: 'shop', uid: 'u1' },
  spec: { nodeName: 'n1', containers: [] },
  status: {
    phase: 'Running',
    podIP: '10.0.0.7',
    conditions: [{ type: 'Ready', status: 'True' }],
  },
};
const NODE: Node = {
  metadata: {
    name: 'n1',
    labels: { 'topology.kubernetes.io/region': 'eu', 'topology.kubernetes.io/zone': 'eu-1' },
  },
};

function run(cluster: Cluster, memo = createTranslationMemo()): Translation {
  const { annotations = {}, endpoints = [] } = cluster;
  const namespace: Namespace = {
    metadata: { name: 'shop', annotations: cluster.namespace ?? {} },
  };
  const service: Service = {
    metadata: { name: 'web', namespace: 'shop', annotations },
    spec: { clusterIP: '10.96.0.1', ports: [{ port: 80, targetPort: 8080 }], ...cluster.spec },
  };
  const slice: EndpointSlice = {
    metadata: {
      name: 'web-abc',
      namespace: 'shop',
      labels: { 'kubernetes.io/service-name': 'web' },
    },
    addressType: 'IPv4',
    ports: [{ port: 8080, protocol: 'TCP' }],
    endpoints,
    ...cluster.slice,
  };
  return translate(
    {
      ...EMPTY_WORLD,
      namespaces: new Map([['shop', namespace]]),
      nodes: new Map([['n1', NODE]]),
      pods: [POD],
      services: [service],
      endpointSlices: [slice],
      authorizationPolicies: [],
      peerAuthentications: [],
      serviceEntries: [],
      workloadEntries: [],
      requestAuthentications: [],
      gateways: [],
    },
    { ...SETTINGS, outboundPolicy: cluster.outboundPolicy ?? SETTINGS.outboundPolicy },
    memo,
  );
}

const serviceIn = (cluster: Cluster): MeshService => {
  const [service] = run(cluster).services;
  assert.ok(service !== undefined);
  return service;
};
const workloadIn = (cluster: Cluster, uid: RegExp): Workload | undefined =>
  run(cluster).workloads.find((workload) => uid.test(workload.uid));

const AMBIT = 'ambit-mesh.io/traffic-distribution';
const ISTIO = 'networking.istio.io/traffic-distribution';
const TOPOLOGY = 'service.kubernetes.io/topology-mode';

describe('which endpoints are near enough', () => {
  const zone = 'network region zone';
  const node = 'network region zone subzone node';
  const hinted = [{ addresses: ['192.0.2.1'], hints: { forZones: [{ name: 'eu-1' }] } }];
  const cases: [string, Cluster, string | undefined][] = [
    ['nothing said', {}, undefined],
    ['the field', { spec: { trafficDistribution: 'PreferSameZone' } }, zone],
    ['an annotation', { annotations: { [AMBIT]: 'PreferSameNode' } }, node],
    ['Istio’s annotation', { annotations: { [ISTIO]: 'PreferClose' } }, zone],
    ['the namespace', { namespace: { [AMBIT]: 'PreferClose' } }, zone],
    [
      'the service before its namespace',
      { annotations: { [AMBIT]: 'Any' }, namespace: { [AMBIT]: 'PreferClose' } },
      undefined,
    ],
    [
      'an annotation before the field',
      { annotations: { [AMBIT]: 'PreferSameNode' }, spec: { trafficDistribution: 'PreferClose' } },
      node,
    ],
    ['a value nobody knows', { annotations: { [AMBIT]: 'PreferMoon' } }, undefined],
    ['topology aware routing without hints', { annotations: { [TOPOLOGY]: 'Auto' } }, undefined],
    [
      'topology aware routing with hints',
      { annotations: { [TOPOLOGY]: 'Auto' }, endpoints: hinted },
      zone,
    ],
    [
      'topology aware routing with hints on some only, which kube-proxy passes over',
      {
        annotations: { [TOPOLOGY]: 'Auto' },
        endpoints: [...hinted, { addresses: ['192.0.2.2'] }],
      },
      undefined,
    ],
  ];
  for (const [what, cluster, preference] of cases) {
    test(`${what}: ${preference ?? 'any'}`, () => {
      const { loadBalancing } = serviceIn(cluster);
      assert.equal(loadBalancing?.preference.join(' '), preference);
      if (preference !== undefined) assert.equal(loadBalancing?.mode, 'failover');
    });
  }

  test('only those of the node, when the service says so: before every preference', () => {
    const local = { internalTrafficPolicy: 'Local', trafficDistribution: 'PreferClose' } as const;
    assert.deepEqual(serviceIn({ spec: local }).loadBalancing, {
      mode: 'strict',
      preference: ['node'],
      health: 'only-healthy',
    });
  });
});

describe('how one of them is chosen', () => {
  const LOAD = 'ambit-mesh.io/load-balancing';

  test('the less loaded of two, unless service or namespace says at random', () => {
    assert.equal(serviceIn({}).balancing, 'least-request');
    assert.equal(serviceIn({ annotations: { [LOAD]: 'random' } }).balancing, 'random');
    assert.equal(serviceIn({ namespace: { [LOAD]: 'random' } }).balancing, 'random');
    const own = { annotations: { [LOAD]: 'least-request' }, namespace: { [LOAD]: 'random' } };
    assert.equal(serviceIn(own).balancing, 'least-request');
  });

  test('the same for a client, for as long as the service says or three hours', () => {
    assert.equal(serviceIn({}).sessionAffinitySeconds, undefined);
    assert.equal(
      serviceIn({ spec: { sessionAffinity: 'None' } }).sessionAffinitySeconds,
      undefined,
    );
    const sticky = { sessionAffinity: 'ClientIP' } as const;
    assert.equal(serviceIn({ spec: sticky }).sessionAffinitySeconds, 10_800);
    const sessionAffinityConfig = { clientIP: { timeoutSeconds: 60 } };
    const short = { ...sticky, sessionAffinityConfig };
    assert.equal(serviceIn({ spec: short }).sessionAffinitySeconds, 60);
  });
});

describe('what pods may reach', () => {
  const OUTBOUND = 'ambit-mesh.io/outbound-traffic-policy';
  const policyIn = (cluster: Cluster) => workloadIn(cluster, /Pod/)?.outboundPolicy;

  test('anything, unless the mesh or the namespace says otherwise; the namespace has the last word', () => {
    assert.equal(policyIn({}), 'allow-any');
    assert.equal(policyIn({ outboundPolicy: 'registry-only' }), 'registry-only');
    assert.equal(policyIn({ namespace: { [OUTBOUND]: 'registry-only' } }), 'registry-only');
    const open = { [OUTBOUND]: 'allow-any' };
    assert.equal(policyIn({ namespace: open, outboundPolicy: 'registry-only' }), 'allow-any');
    assert.equal(
      policyIn({ namespace: { [OUTBOUND]: 'nothing' }, outboundPolicy: 'registry-only' }),
      'registry-only',
    );
  });

  test('a changed annotation changes what was translated before', () => {
    const memo = createTranslationMemo();
    run({}, memo);
    const changed = { namespace: { [OUTBOUND]: 'registry-only', [AMBIT]: 'PreferClose' } };
    assert.deepEqual(run(changed, memo), run(changed));
  });

  test('a value nobody knows names the object, the values there are and the command that mends it', () => {
    const [problem] = run({ namespace: { [OUTBOUND]: 'REGISTRY_ONLY' } }).problems;
    assert.equal(problem?.object, 'Namespace shop');
    assert.match(problem?.message ?? '', /expected allow-any or registry-only/);
    assert.equal(
      problem?.remedy,
      `kubectl annotate namespace shop ${OUTBOUND}=allow-any --overwrite`,
    );
    const [other] = run({ annotations: { [AMBIT]: 'Close' } }).problems;
    assert.equal(other?.object, 'Service shop/web');
  });
});

describe('endpoints', () => {
  test('written by hand are workloads of their own, at the place of their node', () => {
    const endpoints = [{ addresses: ['192.0.2.1'], nodeName: 'n1', zone: 'elsewhere' }];
    const other = workloadIn({ endpoints }, /EndpointSlice/);
    assert.deepEqual(other?.locality, { region: 'eu', zone: 'eu-1', subzone: '' });
    assert.deepEqual(
      [...(other?.services.values() ?? [])],
      [[{ servicePort: 80, targetPort: 8080, appProtocol: 'unknown' }]],
    );
  });

  test('written by hand with the address of a pod are that pod', () => {
    const endpoints = [{ addresses: ['10.0.0.7'] }];
    assert.equal(workloadIn({ endpoints }, /EndpointSlice/), undefined);
    const pod = workloadIn({ endpoints }, /Pod/);
    assert.deepEqual([...(pod?.services.keys() ?? [])], ['shop/web.shop.svc.cluster.local']);
  });

  for (const [conditions, health] of [
    [{}, 'healthy'],
    [{ ready: true, serving: true, terminating: false }, 'healthy'],
    [{ ready: false, serving: true, terminating: true }, 'draining'],
    [{ ready: false, serving: false, terminating: true }, 'unhealthy'],
    [{ ready: false, serving: true, terminating: false }, 'unhealthy'],
    [{ ready: false }, 'unhealthy'],
  ] as const) {
    test(`that are ${JSON.stringify(conditions)} are ${health}`, () => {
      const endpoints = [{ addresses: ['192.0.2.1'], conditions }];
      assert.equal(workloadIn({ endpoints }, /EndpointSlice/)?.health, health);
    });
  }

  test('of a named port say which number it is, each for itself', () => {
    const spec = { ports: [{ name: 'http', port: 80, targetPort: 'web' }] };
    const slice = { ports: [{ name: 'http', port: 9999, protocol: 'TCP' }] } as const;
    const cluster = { spec, slice, endpoints: [{ addresses: ['192.0.2.1'] }] };
    assert.equal(serviceIn(cluster).ports[0]?.targetPort, 0);
    const [ports] = [...(workloadIn(cluster, /EndpointSlice/)?.services.values() ?? [])];
    assert.equal(ports?.[0]?.targetPort, 9999);
  });

  test('of an ExternalName service is the one name it stands for, looked up when it is needed', () => {
    const spec = { type: 'ExternalName', externalName: 'DB.example.com.', clusterIP: '' } as const;
    const alias = workloadIn({ spec }, /Service\/shop\/web$/);
    assert.deepEqual([alias?.hostname, alias?.addresses], ['db.example.com', []]);
    assert.deepEqual([...(alias?.services.keys() ?? [])], ['shop/web.shop.svc.cluster.local']);
    assert.deepEqual(serviceIn({ spec }).vips, []);
  });
});
