// The translation, seen as a whole: one small cluster, one rule a test.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Namespace, Node, Pod, Service } from '../../runtime/kubernetes/objects.ts';
import { EMPTY_WORLD } from './test-world.ts';
import { createTranslationMemo, type Translation, translate, type World } from './world.ts';

const SETTINGS = {
  cluster: 'Kubernetes',
  network: '',
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  rootNamespace: 'ambit-system',
  outboundPolicy: 'allow-any',
} as const;

type Changes = {
  pod?: object;
  labels?: Record<string, string>;
  podLabels?: Record<string, string>;
  annotations?: Record<string, string>;
  service?: object;
  endpoint?: object;
  world?: Partial<World>;
};

function pod({ pod = {}, podLabels = {}, annotations = {} }: Changes = {}): Pod {
  return {
    metadata: {
      name: 'web-7d4-x1',
      namespace: 'shop',
      uid: 'u1',
      labels: { app: 'web', 'pod-template-hash': '7d4', ...podLabels },
      annotations,
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-7d4', uid: 'r', controller: true },
      ],
      ...('metadata' in pod ? (pod.metadata as object) : {}),
    },
    spec: {
      nodeName: 'n1',
      serviceAccountName: 'web',
      containers: [],
      ...('spec' in pod ? (pod.spec as object) : {}),
    },
    status: {
      phase: 'Running',
      podIP: '10.0.0.7',
      podIPs: [{ ip: '10.0.0.7' }, { ip: 'fd00::7' }],
      conditions: [{ type: 'Ready', status: 'True' }],
      ...('status' in pod ? (pod.status as object) : {}),
    },
  };
}

function service(changes: object = {}): Service {
  return {
    metadata: { name: 'web', namespace: 'shop' },
    spec: {
      clusterIP: '10.96.0.1',
      clusterIPs: ['10.96.0.1', 'fd01::1'],
      ipFamilies: ['IPv4', 'IPv6'],
      ports: [
        { name: 'http', port: 80, targetPort: 'web' },
        { name: 'grpc-api', port: 9000, targetPort: 9001 },
        { name: 'dns', port: 53, protocol: 'UDP' },
      ],
      ...changes,
    },
  };
}

function run(changes: Changes = {}, memo = createTranslationMemo()): Translation {
  const namespace: Namespace = {
    metadata: { name: 'shop', labels: changes.labels ?? { 'ambit-mesh.io/mode': 'ambient' } },
  };
  const node: Node = {
    metadata: {
      name: 'n1',
      labels: { 'topology.kubernetes.io/region': 'eu', 'topology.kubernetes.io/zone': 'eu-1' },
    },
  };
  return translate(
    {
      ...EMPTY_WORLD,
      namespaces: new Map([['shop', namespace]]),
      nodes: new Map([['n1', node]]),
      pods: [pod(changes)],
      services: [service(changes.service)],
      endpointSlices: [
        {
          metadata: {
            name: 'web-abc',
            namespace: 'shop',
            labels: { 'kubernetes.io/service-name': 'web' },
          },
          addressType: 'IPv4',
          ports: [
            { name: 'http', port: 8080, protocol: 'TCP' },
            { name: 'grpc-api', port: 9001, protocol: 'TCP' },
          ],
          endpoints: [
            changes.endpoint === undefined
              ? {
                  addresses: ['10.0.0.7'],
                  targetRef: { kind: 'Pod', name: 'web-7d4-x1', namespace: 'shop' },
                }
              : { addresses: ['192.0.2.1'], ...changes.endpoint },
          ],
        },
      ],
      authorizationPolicies: [],
      peerAuthentications: [],
      serviceEntries: [],
      workloadEntries: [],
      requestAuthentications: [],
      gateways: [],
      ...changes.world,
    },
    SETTINGS,
    memo,
  );
}

const only = (translation: Translation) => {
  assert.equal(translation.workloads.length, 1);
  return translation.workloads[0]!;
};
const ENABLED = { 'ambit-mesh.io/redirection': 'enabled' };

describe('translate(): pods', () => {
  test('a pod becomes a workload with its place, names and services', () => {
    const workload = only(run({ annotations: ENABLED }));
    assert.deepEqual(
      { ...workload, services: [...workload.services] },
      {
        uid: 'Kubernetes//Pod/shop/web-7d4-x1',
        name: 'web-7d4-x1',
        namespace: 'shop',
        serviceAccount: 'web',
        trustDomain: 'cluster.local',
        cluster: 'Kubernetes',
        network: '',
        node: 'n1',
        addresses: ['10.0.0.7', 'fd00::7'],
        hostname: '',
        locality: { region: 'eu', zone: 'eu-1', subzone: '' },
        health: 'healthy',
        protocol: 'hbone',
        hostNetwork: false,
        waypoint: undefined,
        networkGateway: undefined,
        nativeTunnel: false,
        applicationTunnel: undefined,
        canonicalName: 'web',
        canonicalRevision: 'latest',
        workloadName: 'web',
        workloadType: 'deployment',
        services: [
          [
            'shop/web.shop.svc.cluster.local',
            [
              { servicePort: 80, targetPort: 8080, appProtocol: 'http11' },
              { servicePort: 9000, targetPort: 9001, appProtocol: 'grpc' },
            ],
          ],
        ],
        authorizationPolicies: [],
        capacity: 1,
        outboundPolicy: 'allow-any',
      },
    );
  });

  const protocols: [string, Changes, 'hbone' | 'tcp', boolean][] = [
    ['labelled and reported', { annotations: ENABLED }, 'hbone', true],
    ['labelled, not yet reported', {}, 'tcp', true],
    [
      'labelled and failed',
      { annotations: { 'ambit-mesh.io/redirection': 'failed' } },
      'tcp',
      true,
    ],
    ['reported, label gone', { annotations: ENABLED, labels: {} }, 'tcp', false],
    [
      'opted out by its own label',
      { annotations: ENABLED, podLabels: { 'ambit-mesh.io/mode': 'none' } },
      'tcp',
      false,
    ],
    [
      'opted in by its own label',
      { annotations: ENABLED, labels: {}, podLabels: { 'ambit-mesh.io/mode': 'ambient' } },
      'hbone',
      true,
    ],
    [
      'on the host network',
      { annotations: ENABLED, pod: { spec: { hostNetwork: true } } },
      'tcp',
      false,
    ],
    [
      'a label value nobody knows',
      { annotations: ENABLED, labels: { 'ambit-mesh.io/mode': 'ambiant' } },
      'tcp',
      false,
    ],
  ];
  for (const [name, changes, protocol, enrolled] of protocols) {
    test(`${name}: ${protocol}, ${enrolled ? 'enrolled' : 'not enrolled'}`, () => {
      const translation = run(changes);
      assert.equal(only(translation).protocol, protocol);
      assert.deepEqual(
        translation.enrolments.map(({ node, enrolment }) => [
          node,
          enrolment.podUid,
          enrolment.identity,
        ]),
        enrolled
          ? [
              [
                'n1',
                'u1',
                { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' },
              ],
            ]
          : [],
      );
    });
  }

  for (const [name, changes] of [
    ['has ended', { status: { phase: 'Succeeded' } }],
    ['has no node', { spec: { nodeName: '' } }],
  ] as const) {
    test(`a pod that ${name} is no workload`, () => {
      const translation = run({ pod: changes });
      assert.deepEqual([translation.workloads, translation.enrolments], [[], []]);
    });
  }

  test('a pod without address is no workload, and is enrolled from the moment it has a node', () => {
    const translation = run({ pod: { status: { podIP: '', podIPs: [] } } });
    assert.deepEqual(translation.workloads, []);
    assert.deepEqual(
      translation.enrolments.map(({ node, enrolment }) => [node, enrolment.addresses]),
      [['n1', []]],
    );
  });

  for (const [name, changes, health] of [
    ['ready', {}, 'healthy'],
    ['not ready', { status: { conditions: [{ type: 'Ready', status: 'False' }] } }, 'unhealthy'],
    ['being deleted', { metadata: { deletionTimestamp: '2030-01-01T00:00:00Z' } }, 'draining'],
    [
      'being deleted and not ready',
      {
        metadata: { deletionTimestamp: '2030-01-01T00:00:00Z' },
        status: { conditions: [{ type: 'Ready', status: 'False' }] },
      },
      'unhealthy',
    ],
  ] as const) {
    test(`a pod that is ${name} is ${health}`, () => {
      assert.equal(only(run({ pod: changes })).health, health);
    });
  }
});

describe('translate(): services', () => {
  test('a service has its addresses, and named ports are left to the endpoints', () => {
    const [service] = run().services;
    assert.deepEqual(
      service?.vips.map(({ ip }) => ip),
      ['10.96.0.1', 'fd01::1'],
    );
    assert.deepEqual(service?.ports, [
      { servicePort: 80, targetPort: 0, appProtocol: 'http11' },
      { servicePort: 9000, targetPort: 9001, appProtocol: 'grpc' },
    ]);
    assert.equal(service?.ipFamilies, 'dual');
    assert.equal(service?.loadBalancing, undefined);
  });

  const balancing: [object, unknown][] = [
    [
      { internalTrafficPolicy: 'Local' },
      { mode: 'strict', preference: ['node'], health: 'only-healthy' },
    ],
    [
      { trafficDistribution: 'PreferClose' },
      { mode: 'failover', preference: ['network', 'region', 'zone'], health: 'only-healthy' },
    ],
    [
      { trafficDistribution: 'PreferSameNode' },
      {
        mode: 'failover',
        preference: ['network', 'region', 'zone', 'subzone', 'node'],
        health: 'only-healthy',
      },
    ],
    [
      { publishNotReadyAddresses: true },
      { mode: 'unspecified', preference: [], health: 'allow-all' },
    ],
  ];
  for (const [changes, expected] of balancing) {
    test(`${JSON.stringify(changes)} decides the balancing`, () => {
      assert.deepEqual(run({ service: changes }).services[0]?.loadBalancing, expected);
    });
  }

  test('a headless service has no address', () => {
    assert.deepEqual(
      run({ service: { clusterIP: 'None', clusterIPs: ['None'] } }).services[0]?.vips,
      [],
    );
  });

  test('an endpoint without a pod is a workload of its own, reached in plain TCP', () => {
    const other = run({ endpoint: {} }).workloads.find(({ uid }) => uid.includes('EndpointSlice'));
    assert.equal(other?.uid, 'Kubernetes/discovery.k8s.io/EndpointSlice/shop/web-abc/192.0.2.1');
    assert.deepEqual(
      [other?.protocol, other?.health, [...(other?.services.keys() ?? [])]],
      ['tcp', 'healthy', ['shop/web.shop.svc.cluster.local']],
    );
  });
});

describe('translate(): problems', () => {
  test('a label value nobody knows names the object and the command that mends it', () => {
    const { problems } = run({ labels: { 'ambit-mesh.io/mode': 'ambiant' } });
    assert.deepEqual(problems, [
      {
        object: 'Namespace shop',
        reason: 'UnknownMode',
        message: 'Label ambit-mesh.io/mode is "ambiant": expected ambient or none. It is ignored',
        remedy: 'kubectl label namespace shop ambit-mesh.io/mode=ambient --overwrite',
      },
    ]);
  });

  test('a failed enrolment is told with what the agent said', () => {
    const annotations = {
      'ambit-mesh.io/redirection': 'failed',
      'ambit-mesh.io/redirection-message': 'Port 15008 is taken',
    };
    const [problem] = run({ annotations }).problems;
    assert.deepEqual(
      [problem?.object, problem?.message],
      ['Pod shop/web-7d4-x1', 'Port 15008 is taken'],
    );
  });

  test('a policy that cannot be read at all costs nobody else anything', () => {
    const broken = { metadata: { name: 'p', namespace: 'shop' }, spec: { rules: 7 } };
    const { problems, workloads } = run({ world: { authorizationPolicies: [broken as never] } });
    assert.equal(workloads.length, 1);
    assert.deepEqual(
      [problems[0]?.object, problems[0]?.reason],
      ['AuthorizationPolicy shop/p', 'Unreadable'],
    );
  });
});

describe('translate() with a memo', () => {
  const object = pod({ annotations: ENABLED });
  const worlds: [string, Changes][] = [
    ['the namespace gets its label', {}],
    ['the namespace loses its label', { labels: {} }],
    ['the node gets another zone', { world: { nodes: new Map() } }],
    ['the service gets another port', { service: { ports: [{ name: 'http', port: 81 }] } }],
    ['the service goes', { world: { services: [] } }],
    [
      'a policy selects the pod',
      {
        world: {
          authorizationPolicies: [
            {
              metadata: { name: 'p', namespace: 'shop' },
              spec: { selector: { matchLabels: { app: 'web' } } },
            },
          ],
        },
      },
    ],
  ];
  const memo = createTranslationMemo();
  for (const [name, changes] of worlds) {
    test(`gives what one without gives, when ${name}`, () => {
      const input: Changes = { ...changes, world: { ...changes.world, pods: [object] } };
      assert.deepEqual(run(input, memo), run(input));
      assert.equal(
        run(input, memo).workloads[0],
        run(input, memo).workloads[0],
        'and makes nothing twice',
      );
    });
  }
});
