import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Endpoint, EndpointSlice, Service } from '../../runtime/kubernetes/objects.ts';
import { serviceRecords, serviceRules } from './service-table.ts';

function service(spec: Partial<Service['spec']> & Record<string, unknown> = {}): Service {
  const ports = [{ name: 'http', port: 80 }];
  return {
    metadata: { name: 'web', namespace: 'demo' },
    spec: { clusterIPs: ['10.96.0.7'], ports, ...spec },
  };
}

function slice(endpoints: Endpoint[], more: Partial<EndpointSlice> = {}): EndpointSlice {
  const labels = { 'kubernetes.io/service-name': 'web' };
  return {
    metadata: { name: 'web-1', namespace: 'demo', labels },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints,
    ...more,
  };
}

const ready = (ip: string, nodeName = 'node-1'): Endpoint => ({
  addresses: [ip],
  nodeName,
  conditions: { ready: true },
});
const leaving = (ip: string, nodeName = 'node-1'): Endpoint => ({
  addresses: [ip],
  nodeName,
  conditions: { ready: false, serving: true, terminating: true },
});
const down = (ip: string): Endpoint => ({ addresses: [ip], conditions: { ready: false } });

function ipsOf(services: Service[], slices: EndpointSlice[]): string[] {
  const rules = serviceRules({ services, slices }, 'node-1');
  return rules.flatMap(({ ports }) =>
    ports.flatMap(({ endpoints }) => endpoints.map(({ ip, port }) => `${ip}:${port}`)),
  );
}

describe('serviceRules()', () => {
  test('ready endpoints are used, with the port that the slice names', () => {
    const slices = [slice([ready('10.0.0.1'), leaving('10.0.0.2'), down('10.0.0.3')])];
    assert.deepEqual(ipsOf([service()], slices), ['10.0.0.1:8080']);
  });

  test('without a ready one, those that serve while they terminate', () => {
    const slices = [slice([leaving('10.0.0.2'), down('10.0.0.3')])];
    assert.deepEqual(ipsOf([service()], slices), ['10.0.0.2:8080']);
  });

  test('absent conditions mean ready', () => {
    assert.deepEqual(ipsOf([service()], [slice([{ addresses: ['10.0.0.1'] }])]), ['10.0.0.1:8080']);
  });

  test('internalTrafficPolicy Local keeps to the node, also when only terminating ones are left', () => {
    const local = service({ internalTrafficPolicy: 'Local' });
    const both = [slice([ready('10.0.0.1', 'node-1'), ready('10.0.0.2', 'node-2')])];
    assert.deepEqual(ipsOf([local], both), ['10.0.0.1:8080']);
    const ending = [slice([leaving('10.0.0.1', 'node-1'), ready('10.0.0.2', 'node-2')])];
    assert.deepEqual(ipsOf([local], ending), ['10.0.0.1:8080']);
  });

  test('families are chosen apart, and an endpoint in two slices counts once', () => {
    const v6 = slice([leaving('fd00::1')], { addressType: 'IPv6' });
    const slices = [slice([ready('10.0.0.1')]), slice([ready('10.0.0.1')]), v6];
    assert.deepEqual(ipsOf([service()], slices), ['fd00::1:8080', '10.0.0.1:8080']);
  });

  test('headless and external services have no rule; affinity and node ports are passed on', () => {
    const services = [
      service({ clusterIPs: ['None'] }),
      service({ type: 'ExternalName', clusterIPs: [] }),
      service({
        sessionAffinity: 'ClientIP',
        ports: [{ port: 53, protocol: 'UDP', nodePort: 30053 }],
      }),
    ];
    const [rule, ...others] = serviceRules({ services, slices: [] }, 'node-1');
    assert.deepEqual(others, []);
    assert.equal(rule?.sessionAffinityClientIp, 10_800);
    assert.deepEqual(rule?.ports, [{ port: 53, protocol: 'UDP', nodePort: 30053, endpoints: [] }]);
  });

  test('a service without slices is there without endpoints', () => {
    assert.deepEqual(
      serviceRules({ services: [service()], slices: [] }, 'n')[0]?.ports[0]?.endpoints,
      [],
    );
  });
});

describe('serviceRecords()', () => {
  test('a headless service is its ready endpoints, by host name and target port', () => {
    const endpoint = { ...ready('10.0.0.1'), hostname: 'web-0' };
    const slices = [slice([endpoint, leaving('10.0.0.2')])];
    const [record] = serviceRecords({ services: [service({ clusterIPs: ['None'] })], slices });
    assert.deepEqual(record?.clusterIps, []);
    assert.deepEqual(record?.endpoints, [
      { ip: '10.0.0.1', hostname: 'web-0', ports: { http: 8080 } },
    ]);
  });

  test('one with cluster IPs needs no endpoints; an external one has its name', () => {
    const [first] = serviceRecords({ services: [service()], slices: [slice([ready('10.0.0.1')])] });
    assert.deepEqual(first?.endpoints, []);
    const external = service({ type: 'ExternalName', externalName: 'example.com', clusterIPs: [] });
    const [second] = serviceRecords({ services: [external], slices: [] });
    assert.equal(second?.externalName, 'example.com');
  });
});
