// What is made for a Gateway, seen from whole plans.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Gateway } from '../../runtime/kubernetes/gateway-objects.ts';
import type { ConfigMap, KubeObject } from '../../runtime/kubernetes/objects.ts';
import type { GatewayFacts } from './plan.ts';
import { HTTP, ingress, plan, SETTINGS, says, waypoint } from './test-gateways.ts';

type Loose = KubeObject & {
  // oxlint-disable-next-line no-explicit-any -- whatever the kind has there
  readonly spec: Record<string, any>;
  readonly data?: Record<string, string>;
};
function made(gateway: Gateway, facts: Partial<GatewayFacts> = {}): Map<string, Loose> {
  const { desired } = plan([gateway], facts);
  return new Map(
    desired
      .filter(({ resource }) => resource.kind !== 'GatewayClass')
      .map(({ resource, object }) => [resource.kind, object as Loose]),
  );
}
const map = (data: Record<string, string>): Partial<GatewayFacts> => ({
  configMap: (): ConfigMap => ({ metadata: { name: 'p' }, data }),
});
const REF = { group: '', kind: 'ConfigMap', name: 'p' };
const withMap = waypoint({ spec: { infrastructure: { parametersRef: REF } } });

describe('a waypoint', () => {
  test('gets an account, a deployment, a service, a disruption budget and the roots', () => {
    assert.deepEqual([...made(waypoint()).keys()].toSorted(), [
      'ConfigMap',
      'Deployment',
      'PodDisruptionBudget',
      'Service',
      'ServiceAccount',
    ]);
  });

  test('owns all that is made for it, under its name and our labels', () => {
    for (const [kind, { metadata }] of made(waypoint())) {
      assert.equal(metadata.namespace, 'shop');
      const [owner] = metadata.ownerReferences ?? [];
      assert.equal(owner?.uid, 'u-waypoint');
      if (kind === 'ConfigMap') continue;
      assert.equal(owner?.controller, true);
      assert.equal(metadata.name, 'waypoint');
      assert.deepEqual(metadata.labels, {
        'gateway.networking.k8s.io/gateway-name': 'waypoint',
        'ambit-mesh.io/managed': 'waypoint',
      });
    }
  });

  test('is found on the tunnel port, the near replica first', () => {
    const { spec } = made(waypoint()).get('Service') ?? assert.fail();
    assert.equal(spec['type'], 'ClusterIP');
    assert.equal(spec['trafficDistribution'], 'PreferClose');
    assert.deepEqual(
      (spec['ports'] as { name: string; port: number }[]).map(({ name, port }) => [name, port]),
      [
        ['mesh', 15008],
        ['status-port', 15021],
      ],
    );
  });

  test('is never captured, and carries no label of its Gateway’s own', () => {
    const gateway = waypoint({ labels: { app: 'web' } });
    const { template } = made(gateway).get('Deployment')?.spec ?? {};
    assert.deepEqual(template.metadata.labels, {
      'gateway.networking.k8s.io/gateway-name': 'waypoint',
      'ambit-mesh.io/managed': 'waypoint',
      'ambit-mesh.io/mode': 'none',
    });
  });

  test('is told who it is and whom to ask', () => {
    const [container] = made(waypoint()).get('Deployment')?.spec['template'].spec.containers ?? [];
    type Variable = {
      name: string;
      value?: string;
      valueFrom?: { fieldRef: { fieldPath: string } };
    };
    const env = new Map(
      (container.env as Variable[]).map((one) => [
        one.name,
        one.value ?? one.valueFrom?.fieldRef.fieldPath,
      ]),
    );
    assert.deepEqual(Object.fromEntries(env), {
      POD_NAME: 'metadata.name',
      POD_NAMESPACE: 'metadata.namespace',
      NODE_NAME: 'spec.nodeName',
      SERVICE_ACCOUNT: 'spec.serviceAccountName',
      AMBIT_GATEWAY: 'shop/waypoint',
      AMBIT_GATEWAY_KIND: 'waypoint',
      AMBIT_NAMESPACE: 'ambit-system',
      AMBIT_TRUST_DOMAIN: 'cluster.local',
      AMBIT_CLUSTER_DOMAIN: 'cluster.local',
      AMBIT_CLUSTER_ID: 'Kubernetes',
      AMBIT_NETWORK: 'n',
      AMBIT_CA_ADDRESS: 'ca:15012',
      AMBIT_CONTROL_PLANE_ADDRESS: 'cp:15012',
      AMBIT_TOKEN_FILE: '/var/run/secrets/tokens/ambit-token',
      AMBIT_ROOT_CERT_FILE: '/var/run/secrets/ambit/root-cert.pem',
      AMBIT_TERMINATION_GRACE: '30s',
    });
    assert.equal(container.image, SETTINGS.image);
  });

  test('spreads labels and annotations of its infrastructure over all, never in place of ours', () => {
    const infrastructure = {
      labels: { team: 'shop', 'ambit-mesh.io/managed': 'mine' },
      annotations: { note: 'x' },
    };
    for (const [kind, { metadata, spec }] of made(waypoint({ spec: { infrastructure } }))) {
      if (kind === 'ConfigMap') continue;
      const all = [metadata, ...(kind === 'Deployment' ? [spec['template'].metadata] : [])];
      for (const { labels, annotations } of all) {
        assert.equal(labels?.['team'], 'shop');
        assert.equal(labels?.['ambit-mesh.io/managed'], 'waypoint');
        assert.equal(annotations?.['note'], 'x');
      }
    }
  });

  test('of one replica has no disruption budget, of a range an autoscaler', () => {
    const replicas = (said: string) =>
      made(waypoint({ annotations: { 'ambit-mesh.io/replicas': said } }));
    assert.equal(replicas('1').has('PodDisruptionBudget'), false);
    assert.equal(replicas('3').get('Deployment')?.spec['replicas'], 3);
    const scaled = replicas('2-10');
    assert.equal('replicas' in (scaled.get('Deployment')?.spec ?? {}), false);
    const { minReplicas, maxReplicas } = scaled.get('HorizontalPodAutoscaler')?.spec ?? {};
    assert.deepEqual([minReplicas, maxReplicas], [2, 10]);
    assert.ok(scaled.has('PodDisruptionBudget'));
  });

  test('beside the mesh itself needs no copy of the roots; nor does any before there are roots', () => {
    assert.equal(made(waypoint({ namespace: 'ambit-system' })).has('ConfigMap'), false);
    assert.equal(made(waypoint(), { roots: undefined }).has('ConfigMap'), false);
  });

  test('shares the copy of the roots with others of its namespace', () => {
    const { desired } = plan([waypoint(), waypoint({ name: 'other' })]);
    const maps = desired.filter(({ resource }) => resource.kind === 'ConfigMap');
    assert.deepEqual(
      maps.map(({ object }) => object.metadata.ownerReferences?.map(({ uid }) => uid)),
      [['u-other', 'u-waypoint']],
    );
    assert.equal(desired.indexOf(maps[0] ?? assert.fail()), 0, 'pods wait for it');
  });
});

describe('an ingress gateway', () => {
  test('listens on each port once, behind a load balancer', () => {
    const https = { name: 'https', port: 443, protocol: 'HTTPS' };
    const other = { ...HTTP, name: 'other', hostname: 'b.example' };
    const { spec } = made(ingress([HTTP, other, https])).get('Service') ?? assert.fail();
    assert.equal(spec['type'], 'LoadBalancer');
    assert.deepEqual(
      (spec['ports'] as { port: number }[]).map(({ port }) => port),
      [80, 443, 15021],
    );
  });

  test('keeps its pods when listeners come and go', () => {
    const podsOf = (...listeners: Parameters<typeof ingress>[0] & object) =>
      made(ingress(listeners)).get('Deployment')?.spec['template'];
    assert.deepEqual(podsOf(HTTP), podsOf(HTTP, { name: 'tcp', port: 9000, protocol: 'TCP' }));
  });

  test('gives a port of its Service a name that a Service takes', () => {
    const names = [
      HTTP,
      { ...HTTP, name: 'a.b', port: 81 },
      { ...HTTP, name: 'status-port', port: 82 },
    ];
    const { spec } = made(ingress(names)).get('Service') ?? assert.fail();
    assert.deepEqual(
      (spec['ports'] as { name: string }[]).map(({ name }) => name),
      ['http', 'port-81', 'port-82', 'status-port'],
    );
  });

  test('has the type of Service that it asks for, and the address', () => {
    const annotations = { 'ambit-mesh.io/service-type': 'ClusterIP' };
    assert.equal(made(ingress([HTTP], { annotations })).get('Service')?.spec['type'], 'ClusterIP');
    const addresses = [{ value: '192.0.2.1' }];
    const { spec } = made(ingress([HTTP], { spec: { addresses } })).get('Service') ?? assert.fail();
    assert.equal(spec['loadBalancerIP'], '192.0.2.1');
  });
});

describe('overlays', () => {
  test('change what they say, in each kind of object', () => {
    const objects = made(
      withMap,
      map({
        deployment:
          'spec: {template: {spec: {containers: [{name: proxy, resources: {limits: {cpu: "2"}}}], nodeSelector: {disk: ssd}}}}',
        service: 'metadata: {annotations: {a: b}}\nspec: {type: NodePort}',
        serviceAccount: 'metadata: {labels: {x: y}}',
        podDisruptionBudget: 'spec: {minAvailable: 50%}',
        horizontalPodAutoscaler: 'spec: {maxReplicas: 7}',
      }),
    );
    const pod = objects.get('Deployment')?.spec['template'].spec;
    assert.deepEqual(pod.nodeSelector, { disk: 'ssd' });
    assert.deepEqual(pod.containers[0].resources, {
      requests: { cpu: '100m', memory: '128Mi' },
      limits: { memory: '1Gi', cpu: '2' },
    });
    assert.equal(objects.get('Service')?.spec['type'], 'NodePort');
    assert.equal(objects.get('Service')?.metadata.annotations?.['a'], 'b');
    assert.equal(objects.get('ServiceAccount')?.metadata.labels?.['x'], 'y');
    assert.equal(objects.get('PodDisruptionBudget')?.spec['minAvailable'], '50%');
    assert.equal(objects.get('HorizontalPodAutoscaler')?.spec['maxReplicas'], 7);
  });

  test('never take our labels or the owner away', () => {
    const labels = 'metadata: {labels: {ambit-mesh.io/managed: mine}}';
    const { metadata } = made(withMap, map({ service: labels })).get('Service') ?? assert.fail();
    assert.equal(metadata.labels?.['ambit-mesh.io/managed'], 'waypoint');
    assert.equal(metadata.ownerReferences?.length, 1);
  });

  for (const [what, data] of [
    ['no YAML', { deployment: 'a: [' }],
    ['a list', { deployment: '- a' }],
    ['an unknown key', { daemonset: '' }],
    ['another name', { service: 'metadata: {name: x}' }],
    ['another selector', { deployment: 'spec: {selector: {}}' }],
    ['labels that are a text', { deployment: 'metadata: {labels: x}' }],
    ['a spec that is a list', { deployment: 'spec: []' }],
    ['more than a page', { deployment: `a: ${'x'.repeat(100_001)}` }],
  ] as const) {
    test(`with ${what} are refused, and what runs stays as it is`, () => {
      const it = plan([withMap], map(data));
      assert.deepEqual(says(it), ['Accepted=False InvalidParameters', 'Programmed=False Invalid']);
      assert.deepEqual([...it.untouched], ['u-waypoint']);
      assert.equal(
        it.desired.every(({ resource }) => resource.kind === 'GatewayClass'),
        true,
      );
      assert.equal(it.problems[0]?.object, 'Gateway shop/waypoint');
    });
  }

  test('that are not there are refused; until they were looked for nothing is touched', () => {
    assert.deepEqual(says(plan([withMap]))[0], 'Accepted=False InvalidParameters');
    const waiting = plan([withMap], { configMap: () => 'unknown' });
    assert.equal(says(waiting)[0], 'Accepted=True Accepted');
    assert.deepEqual([...waiting.untouched], ['u-waypoint']);
  });

  test('are read from ConfigMaps alone', () => {
    const parametersRef = { group: 'example.com', kind: 'Thing', name: 'p' };
    const it = plan([waypoint({ spec: { infrastructure: { parametersRef } } })]);
    assert.equal(says(it)[0], 'Accepted=False InvalidParameters');
  });
});

describe('annotations', () => {
  for (const said of ['0', '-1', '3-2', '101', 'many', '1-', '']) {
    test(`replicas "${said}" are refused`, () => {
      const it = plan([waypoint({ annotations: { 'ambit-mesh.io/replicas': said } })]);
      assert.equal(says(it)[0], 'Accepted=False InvalidParameters');
    });
  }

  test('a type of Service nobody knows is refused', () => {
    const it = plan([waypoint({ annotations: { 'ambit-mesh.io/service-type': 'External' } })]);
    assert.equal(says(it)[0], 'Accepted=False InvalidParameters');
  });
});
