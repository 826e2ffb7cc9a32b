import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointSlice, Service } from '../../runtime/kubernetes/objects.ts';
import { apiServerRules, withApiServer } from './api-server-endpoint.ts';
import { serviceRules } from './service-table.ts';

const INSIDE = { host: '172.30.0.1', port: 6443 };
const service: Service = {
  metadata: { namespace: 'default', name: 'kubernetes' },
  spec: { clusterIPs: ['10.43.0.1'], ports: [{ name: 'https', port: 443 }] },
};
const slice = (name: string, ...addresses: string[]): EndpointSlice => ({
  metadata: { namespace: 'default', name, labels: { 'kubernetes.io/service-name': 'kubernetes' } },
  addressType: 'IPv4',
  endpoints: [{ addresses }],
  ports: [{ name: 'https', port: 8443 }],
});

test('Service kubernetes leads to where the sandbox brings the API server in', () => {
  const objects = withApiServer({ services: [service], slices: [slice('a', '192.0.2.1')] }, INSIDE);
  const [rule] = serviceRules(objects, 'node');
  assert.deepEqual(rule?.clusterIps, ['10.43.0.1']);
  assert.deepEqual(rule?.ports[0]?.endpoints, [{ ip: '172.30.0.1', port: 6443, local: false }]);
});

test('so do the addresses of its real endpoints, but never a localhost', () => {
  const slices = [slice('a', '192.0.2.1'), slice('b', '127.0.0.1')];
  const rules = apiServerRules({ services: [service], slices }, INSIDE);
  assert.deepEqual(
    rules.map(({ clusterIps }) => clusterIps),
    [['192.0.2.1'], []],
  );
  assert.deepEqual(rules[0]?.ports, [
    {
      port: 8443,
      protocol: 'TCP',
      endpoints: [{ ip: '172.30.0.1', port: 6443, local: false }],
    },
  ]);
  assert.notEqual(rules[0]?.name, rules[1]?.name);
});

test('with an API server of its own nothing is changed', () => {
  const objects = { services: [service], slices: [slice('a', '192.0.2.1')] };
  assert.deepEqual(withApiServer(objects, undefined), objects);
  assert.deepEqual(apiServerRules(objects, undefined), []);
});
