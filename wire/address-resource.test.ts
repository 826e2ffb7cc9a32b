import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '../mesh/address.ts';
import { ANY_SERVICE, ANY_WORKLOAD, serviceOf, workloadOf } from '../mesh/test-arbitraries.ts';
import { decodeAddress, encodeService, encodeWorkload } from './address-resource.ts';
import { DecodeError } from './protobuf.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
/** A length-delimited field; numbers over 15 take two bytes of tag. */
function field(number: number, body: Buffer | string): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const tag = (number << 3) | 2;
  const head = tag < 128 ? [tag] : [(tag & 127) | 128, tag >> 7];
  const length =
    bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7];
  return Buffer.concat([Buffer.from([...head, ...length]), bytes]);
}
const join = (...parts: Buffer[]): Buffer => Buffer.concat(parts);
const PORTS = [{ servicePort: 80, targetPort: 8080, appProtocol: 'http2' }] as const;
const PORT_BYTES = hex('08 50 10 90 3f 18 02');

// every field by its number in the published schema, tags computed by hand where they are not length-delimited
const WORKLOAD_BYTES = field(
  1,
  join(
    field(1, 'web-1'),
    field(2, 'shop'),
    field(3, hex('0a000001')),
    field(3, hex('fd000000000000000000000000000001')),
    field(4, 'net'),
    hex('28 01'), // tunnel_protocol = HBONE
    field(6, 'td.test'),
    field(7, 'web'),
    field(8, join(field(1, join(field(1, 'shop'), field(2, 'wp.test'))), hex('18 a0 75'))),
    field(9, 'node-1'),
    field(10, 'web'),
    field(11, 'v1'),
    hex('60 02'), // workload_type = POD
    field(13, 'web'),
    hex('70 01'), // native_tunnel
    field(16, 'shop/p1'),
    hex('88 01 01'), // status = UNHEALTHY
    field(18, 'c2'),
    field(19, join(field(2, join(field(1, 'far'), field(2, hex('0a000009')))), hex('18 a0 75'))),
    field(20, 'c2//Pod/shop/web-1'),
    field(21, 'h.test'),
    field(22, join(field(1, 'shop/web.test'), field(2, field(1, PORT_BYTES)))),
    field(24, join(field(1, 'r'), field(2, 'z'), field(3, 's'))),
    field(23, hex('08 01 10 f0 75')), // application_tunnel = PROXY to 15088
    hex('c8 01 01'), // network_mode = HOST_NETWORK
    field(27, hex('08 05')), // capacity
  ),
);
const WORKLOAD = workloadOf({
  uid: 'c2//Pod/shop/web-1',
  name: 'web-1',
  serviceAccount: 'web',
  trustDomain: 'td.test',
  cluster: 'c2',
  network: 'net',
  addresses: [parseIp('10.0.0.1'), parseIp('fd00::1')],
  hostname: 'h.test',
  locality: { region: 'r', zone: 'z', subzone: 's' },
  health: 'unhealthy',
  nativeTunnel: true,
  applicationTunnel: { protocol: 'proxy', port: 15088 },
  hostNetwork: true,
  waypoint: { by: 'hostname', namespace: 'shop', hostname: 'wp.test', port: 15008 },
  networkGateway: { by: 'address', network: 'far', ip: parseIp('10.0.0.9'), port: 15008 },
  canonicalName: 'web',
  canonicalRevision: 'v1',
  workloadName: 'web',
  services: new Map([['shop/web.test', PORTS]]),
  authorizationPolicies: ['shop/p1'],
  capacity: 5,
});

const SERVICE_BYTES = field(
  2,
  join(
    field(1, 'web'),
    field(2, 'shop'),
    field(3, 'web.test'),
    field(4, join(field(1, 'net'), field(2, hex('0a600001')))),
    field(4, join(field(2, hex('0a610000')), hex('18 10'))),
    field(5, PORT_BYTES),
    field(6, 'spiffe://td/ns/a/sa/b'),
    field(7, join(field(2, field(2, hex('0a000009'))), hex('18 a0 75'))),
    field(8, join(field(1, hex('06 01 02')), hex('10 02 18 01'))), // NETWORK REGION ZONE, FAILOVER, ALLOW_ALL
    hex('48 03'), // ip_families = DUAL
    hex('58 01'), // canonical
    hex('60 01'), // ingress_use_waypoint
    field(
      13,
      join(
        field(1, join(field(1, join(field(1, 'shop'), field(2, 'wp.test'))), hex('18 a0 75'))),
        hex('10 07'),
      ),
    ),
    hex('70 01'), // visibility = NAMESPACE
  ),
);
const SERVICE = serviceOf({
  hostname: 'web.test',
  vips: [
    { network: 'net', ip: parseIp('10.96.0.1'), prefixLength: undefined },
    { network: '', ip: parseIp('10.97.0.0'), prefixLength: 16 },
  ],
  ports: PORTS,
  subjectAltNames: ['spiffe://td/ns/a/sa/b'],
  waypoint: { by: 'address', network: '', ip: parseIp('10.0.0.9'), port: 15008 },
  loadBalancing: {
    mode: 'failover',
    preference: ['network', 'region', 'zone'],
    health: 'allow-all',
  },
  ipFamilies: 'dual',
  canonical: true,
  ingressUseWaypoint: true,
  weightedWaypoints: [
    {
      destination: { by: 'hostname', namespace: 'shop', hostname: 'wp.test', port: 15008 },
      weight: 7,
    },
  ],
  visibility: 'namespace',
});

const workloadWith = (...fields: Buffer[]): Buffer =>
  field(1, join(field(20, 'k//Pod/shop/x'), ...fields));
const serviceWith = (...fields: Buffer[]): Buffer =>
  field(2, join(field(2, 'shop'), field(3, 'x.test'), ...fields));
const refuses = (body: Uint8Array, name: string): void =>
  assert.throws(
    () => decodeAddress(body),
    (error) => error instanceof DecodeError && error.message.includes(name),
  );

describe('a workload on the wire', () => {
  test('has the field numbers of the published schema', () => {
    assert.deepEqual(decodeAddress(WORKLOAD_BYTES), { kind: 'workload', workload: WORKLOAD });
  });

  test('fields that are absent mean what the reference says they mean', () => {
    const decoded = decodeAddress(workloadWith());
    assert.ok(decoded.kind === 'workload');
    const { trustDomain, serviceAccount, cluster, capacity, health, protocol } = decoded.workload;
    assert.deepEqual(
      [trustDomain, serviceAccount, cluster, capacity, health, protocol],
      ['cluster.local', 'default', 'Kubernetes', 1, 'healthy', 'tcp'],
    );
  });

  test('what is ours alone has numbers far from the published ones, and is nothing when absent', () => {
    const plain = decodeAddress(workloadWith());
    assert.ok(plain.kind === 'workload');
    assert.equal(plain.workload.outboundPolicy, 'allow-any');
    const ours = decodeAddress(workloadWith(hex('c8 3e 01')));
    assert.ok(ours.kind === 'workload');
    assert.equal(ours.workload.outboundPolicy, 'registry-only');
  });

  test('one on its way out is unhealthy to those who do not know better', () => {
    const draining = encodeWorkload(workloadOf({ uid: 'k//Pod/shop/x', health: 'draining' }));
    const unhealthy = encodeWorkload(workloadOf({ uid: 'k//Pod/shop/x', health: 'unhealthy' }));
    const inner = (body: Uint8Array): string => Buffer.from(body).toString('hex').slice(4);
    assert.ok(inner(draining).startsWith(inner(unhealthy)));
    assert.ok(inner(draining).endsWith('d03e01'));
    const read = decodeAddress(draining);
    assert.ok(read.kind === 'workload');
    assert.equal(read.workload.health, 'draining');
  });

  test('is read back as it was written', () => {
    fc.assert(
      fc.property(ANY_WORKLOAD, (workload) =>
        assert.deepEqual(decodeAddress(encodeWorkload(workload)), { kind: 'workload', workload }),
      ),
    );
  });

  test('the same workload gives the same bytes', () => {
    assert.deepEqual(encodeWorkload(WORKLOAD), encodeWorkload(structuredClone(WORKLOAD)));
  });

  test('fields of newer versions are passed over', () => {
    const decoded = decodeAddress(workloadWith(field(23, hex('08 01')), field(99, 'news')));
    assert.equal(decoded.kind, 'workload');
  });

  test('what cannot be is refused by name', () => {
    refuses(workloadWith(field(3, hex('0a0000'))), 'k//Pod/shop/x');
    refuses(workloadWith(hex('28 02')), 'k//Pod/shop/x'); // LEGACY_ISTIO_MTLS
    refuses(workloadWith(hex('88 01 07')), 'k//Pod/shop/x'); // a status nobody knows
    refuses(workloadWith(field(8, hex('18 a0 75'))), 'k//Pod/shop/x'); // a waypoint that is nowhere
    refuses(
      workloadWith(field(22, join(field(1, 'a/b'), field(2, field(1, hex('08 80 80 04')))))),
      'k//Pod/shop/x',
    );
    refuses(field(1, field(1, 'nameless')), 'uid');
  });
});

describe('a service on the wire', () => {
  test('has the field numbers of the published schema', () => {
    assert.deepEqual(decodeAddress(SERVICE_BYTES), { kind: 'service', service: SERVICE });
    assert.deepEqual(encodeService(SERVICE).length, SERVICE_BYTES.length);
  });

  test('is read back as it was written', () => {
    fc.assert(
      fc.property(ANY_SERVICE, (service) =>
        assert.deepEqual(decodeAddress(encodeService(service)), { kind: 'service', service }),
      ),
    );
  });

  test('a range of v4-mapped addresses is the IPv4 range it means', () => {
    const mapped = field(4, join(field(2, hex('00000000000000000000ffff0a000000')), hex('18 68')));
    const decoded = decodeAddress(serviceWith(mapped));
    assert.ok(decoded.kind === 'service');
    assert.deepEqual(decoded.service.vips, [{ network: '', ip: '10.0.0.0', prefixLength: 8 }]);
  });

  test('a prefix length of zero is a range, not an absent one', () => {
    const all = serviceWith(field(4, join(field(2, hex('00000000')), hex('18 00'))));
    const decoded = decodeAddress(all);
    assert.ok(decoded.kind === 'service');
    assert.equal(decoded.service.vips[0]?.prefixLength, 0);
  });

  const waypoint = (name: string): Buffer => field(1, join(field(1, 'shop'), field(2, name)));
  const waypointOf = (body: Buffer): unknown => {
    const decoded = decodeAddress(body);
    return decoded.kind === 'service' ? decoded.service.waypoint : undefined;
  };

  test('a weighted waypoint without destination refuses the service: nothing goes around it', () => {
    refuses(serviceWith(field(13, hex('10 07'))), 'shop/x.test');
  });

  test('what is ours alone has numbers far from the published ones, and is nothing when absent', () => {
    const plain = decodeAddress(serviceWith());
    assert.ok(plain.kind === 'service');
    assert.deepEqual(
      [plain.service.sessionAffinitySeconds, plain.service.balancing],
      [undefined, 'least-request'],
    );
    const ours = decodeAddress(serviceWith(hex('c8 3e 3c'), hex('d0 3e 01')));
    assert.ok(ours.kind === 'service');
    assert.deepEqual([ours.service.sessionAffinitySeconds, ours.service.balancing], [60, 'random']);
  });

  test('a waypoint without port listens on the usual one', () => {
    const named = { by: 'hostname', namespace: 'shop', hostname: 'a', port: 15008 };
    assert.deepEqual(waypointOf(serviceWith(field(7, waypoint('a')))), named);
  });

  test('what cannot be is refused by name', () => {
    refuses(serviceWith(field(4, field(2, hex('0a00')))), 'shop/x.test');
    refuses(serviceWith(field(4, join(field(2, hex('0a000000')), hex('18 21')))), 'shop/x.test');
    refuses(serviceWith(hex('48 09')), 'shop/x.test'); // an IP family nobody knows
    refuses(serviceWith(field(8, field(1, hex('00')))), 'shop/x.test'); // UNSPECIFIED_SCOPE
    refuses(serviceWith(field(7, join(waypoint('a'), hex('18 80 80 04')))), 'shop/x.test');
    refuses(field(2, field(2, 'shop')), 'hostname');
  });
});

describe('an address on the wire', () => {
  test('that is neither is refused', () => {
    refuses(hex(''), 'neither');
    refuses(field(9, 'x'), 'neither');
  });

  test('bytes give a resource or a DecodeError, whatever they are', () => {
    const survives = (bytes: Uint8Array): void => {
      try {
        decodeAddress(bytes);
      } catch (error) {
        assert.ok(error instanceof DecodeError, String(error));
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives));
    for (const whole of [WORKLOAD_BYTES, SERVICE_BYTES]) {
      for (let end = 0; end < whole.length; end++) survives(whole.subarray(0, end));
      fc.assert(
        fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
          const bytes = Buffer.from(whole);
          bytes[at] = value;
          survives(bytes);
        }),
        { numRuns: 2000 },
      );
    }
  });
});
