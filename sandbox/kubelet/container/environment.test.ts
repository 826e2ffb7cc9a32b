import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Service } from '../../../runtime/kubernetes/objects.ts';
import type { ContainerSpec, Pod } from '../pod/pod-spec.ts';
import { ConfigurationError, environmentOf, type Keys, serviceVariables } from './environment.ts';

const pod: Pod = {
  metadata: { name: 'web', namespace: 'demo', uid: 'u1', labels: { app: 'web' } },
  spec: { containers: [] },
};
const facts = {
  podIps: ['10.0.0.5', 'fd00::5'],
  hostIps: ['172.30.0.11'],
  nodeName: 'node-1',
  capacity: { cpu: 4, memoryBytes: 2 ** 30 },
};
const objects: Record<string, Keys> = { settings: { color: Buffer.from('blue') } };
const config = {
  configMap: (name: string) => Promise.resolve(objects[name]),
  secret: (name: string) => Promise.resolve(objects[name]),
};

function variables(
  container: Partial<ContainerSpec>,
  services: Service[] = [],
): Promise<Map<string, string>> {
  return environmentOf({ name: 'main', ...container }, { pod, facts, services, config });
}

function service(namespace: string, name: string): Service {
  return {
    metadata: { name, namespace },
    spec: { clusterIP: '10.96.0.7', ports: [{ name: 'http-web', port: 80 }] },
  };
}

describe('environmentOf()', () => {
  test('a later source wins, and a variable sees those before it', async () => {
    const result = await variables({
      envFrom: [{ prefix: 'P_', configMapRef: { name: 'settings' } }],
      env: [
        { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
        { name: 'BOTH', value: '$(NODE)/$(P_color)/$(LATER)' },
        { name: 'LATER', value: 'x' },
        { name: 'P_color', value: 'red' },
      ],
    });
    assert.equal(result.get('BOTH'), 'node-1/blue/$(LATER)');
    assert.equal(result.get('P_color'), 'red');
    assert.equal(result.get('HOSTNAME'), 'web');
  });

  test('limits that are not set are the capacity of the node', async () => {
    const limit = (resource: string) => ({ resourceFieldRef: { resource, divisor: '1' } });
    const result = await variables({
      resources: { requests: { cpu: '250m' } },
      env: [
        { name: 'LIMIT', valueFrom: limit('limits.cpu') },
        { name: 'REQUEST', valueFrom: limit('requests.cpu') },
        {
          name: 'MEMORY',
          valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } },
        },
      ],
    });
    assert.equal(result.get('LIMIT'), '4');
    assert.equal(result.get('REQUEST'), '1');
    assert.equal(result.get('MEMORY'), '1024');
  });

  test('what is missing is refused by name, unless it is optional', async () => {
    const env = (optional: boolean) => [
      { name: 'A', valueFrom: { configMapKeyRef: { name: 'none', key: 'k', optional } } },
      { name: 'B', valueFrom: { secretKeyRef: { name: 'settings', key: 'none', optional } } },
    ];
    const result = await variables({ env: env(true) });
    assert.equal(result.has('A') || result.has('B'), false);
    await assert.rejects(variables({ env: env(false) }), ConfigurationError);
    await assert.rejects(
      variables({ env: [{ name: 'C', valueFrom: { fieldRef: { fieldPath: 'spec.nodes' } } }] }),
      /Cannot set variable C: .*spec\.nodes/,
    );
  });
});

describe('serviceVariables()', () => {
  test('services of the pod and the API, but of no other namespace', () => {
    const all = [
      service('demo', 'my-shop'),
      service('other', 'x'),
      service('default', 'kubernetes'),
    ];
    const result = new Map(serviceVariables(pod, all));
    assert.equal(result.get('MY_SHOP_SERVICE_HOST'), '10.96.0.7');
    assert.equal(result.get('MY_SHOP_SERVICE_PORT_HTTP_WEB'), '80');
    assert.equal(result.get('MY_SHOP_PORT'), 'tcp://10.96.0.7:80');
    assert.equal(result.get('KUBERNETES_SERVICE_HOST'), '10.96.0.7');
    assert.equal(result.has('X_SERVICE_HOST'), false);
  });

  test('without links only the API is named', () => {
    const alone = { ...pod, spec: { ...pod.spec, enableServiceLinks: false } };
    const all = [service('demo', 'shop'), service('default', 'kubernetes')];
    const names = serviceVariables(alone, all).map(([name]) => name);
    assert.ok(names.every((name) => name.startsWith('KUBERNETES_')));
  });

  test('a headless service has no variables', () => {
    const headless = {
      ...service('demo', 'db'),
      spec: { clusterIP: 'None', ports: [{ port: 1 }] },
    };
    assert.deepEqual(serviceVariables(pod, [headless]), []);
  });
});
