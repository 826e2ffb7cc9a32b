// ServiceEntry and WorkloadEntry, seen through the whole translation: what agents are told, and what the status says.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Service as KubeService } from '../../runtime/kubernetes/objects.ts';
import type { ServiceEntryObject, ServiceEntrySpec } from './service-entry.ts';
import {
  conditions,
  HTTP,
  ofOne,
  pod,
  run,
  serviceEntry,
  TLS,
  vipsOf,
  workloadEntry,
} from './test-entries.ts';

describe('a ServiceEntry', () => {
  test('is one service for each host, with its ports and identities', () => {
    const { services } = ofOne({
      hosts: ['API.example', 'www.example'],
      addresses: ['192.0.2.1', '192.0.2.0/24', 'fd00::1/128'],
      ports: [HTTP, TLS, { number: 53, name: 'dns', protocol: 'UDP' }],
      subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/api'],
    });
    assert.deepEqual(
      services.map(({ hostname }) => hostname),
      ['api.example', 'www.example'],
    );
    const [api] = services;
    assert.deepEqual(api?.vips, [
      { network: '', ip: '192.0.2.1', prefixLength: undefined },
      { network: '', ip: '192.0.2.0', prefixLength: 24 },
      { network: '', ip: 'fd00::1', prefixLength: undefined },
    ]);
    assert.deepEqual(api?.ports, [
      { servicePort: 80, targetPort: 80, appProtocol: 'http11' },
      { servicePort: 443, targetPort: 8443, appProtocol: 'tls' },
    ]);
    assert.deepEqual(api?.subjectAltNames, ['spiffe://cluster.local/ns/shop/sa/api']);
    assert.deepEqual(
      [api?.name, api?.namespace, api?.canonical, api?.visibility],
      ['ext', 'shop', false, 'public'],
    );
  });

  test('without resolution lets connections go where they were going, and has no endpoints', () => {
    const { services, workloads, outcomes } = ofOne({
      hosts: ['*.example'],
      addresses: ['192.0.2.0/24'],
    });
    assert.equal(services[0]?.loadBalancing?.mode, 'passthrough');
    assert.deepEqual(workloads, []);
    assert.deepEqual(conditions(outcomes[0]), [
      'Accepted=True Accepted',
      'Programmed=True Programmed',
    ]);
  });

  test('of static endpoints has a workload for each, with its own ports, place and share', () => {
    const { workloads, outcomes } = ofOne({
      hosts: ['db.example'],
      ports: [HTTP, TLS],
      resolution: 'STATIC',
      endpoints: [
        {
          address: '192.0.2.7',
          ports: { http: 8080 },
          locality: 'eu/eu-1/rack',
          weight: 5,
          serviceAccount: 'db',
        },
        { address: 'fd00::7', network: 'west', labels: { app: 'pg' } },
      ],
    });
    assert.deepEqual(
      workloads.map(({ uid }) => uid),
      [
        'Kubernetes/networking.istio.io/ServiceEntry/shop/ext/192.0.2.7',
        'Kubernetes/networking.istio.io/ServiceEntry/shop/ext/fd00::7',
      ],
    );
    const [first, second] = workloads;
    assert.deepEqual(first?.addresses, ['192.0.2.7']);
    assert.deepEqual(
      [...(first?.services ?? [])],
      [
        [
          'shop/db.example',
          [
            { servicePort: 80, targetPort: 8080, appProtocol: 'http11' },
            { servicePort: 443, targetPort: 8443, appProtocol: 'tls' },
          ],
        ],
      ],
    );
    assert.deepEqual(first?.locality, { region: 'eu', zone: 'eu-1', subzone: 'rack' });
    assert.deepEqual(
      [first?.capacity, first?.serviceAccount, first?.network, first?.protocol],
      [5, 'db', '', 'tcp'],
    );
    assert.deepEqual(
      [second?.capacity, second?.serviceAccount, second?.network, second?.canonicalName],
      [1, 'default', 'west', 'pg'],
    );
    assert.deepEqual(conditions(outcomes[0]), [
      'Accepted=True Accepted',
      'Programmed=True Programmed',
    ]);
    assert.match(outcomes[0]?.findings[1]?.message ?? '', /1 host, with 2 endpoints/);
  });

  test('looked up by DNS has its hosts as endpoints, each behind its own name only', () => {
    const { workloads } = ofOne({ hosts: ['a.example', 'b.example'], resolution: 'DNS' });
    assert.deepEqual(
      workloads.map(({ hostname, addresses, services }) => [
        hostname,
        addresses,
        [...services.keys()],
      ]),
      [
        ['a.example', [], ['shop/a.example']],
        ['b.example', [], ['shop/b.example']],
      ],
    );
  });

  test('looked up by DNS with endpoints takes their names, and their addresses', () => {
    const { workloads } = ofOne({
      hosts: ['a.example'],
      resolution: 'DNS',
      endpoints: [{ address: 'Real.example' }, { address: '192.0.2.1' }],
    });
    assert.deepEqual(
      workloads.map(({ hostname, addresses }) => [hostname, ...addresses]),
      [['real.example'], ['', '192.0.2.1']],
    );
  });

  test('a host without address gets one of each family, and its status says which', () => {
    const { services, outcomes } = ofOne({ hosts: ['a.example', 'b.example'], resolution: 'DNS' });
    const vips = services.flatMap(({ vips }) => vips.map(({ ip }) => ip));
    assert.equal(new Set(vips).size, 4);
    assert.equal(vips.filter((ip) => ip.startsWith('240.240.')).length, 2);
    assert.equal(vips.filter((ip) => ip.startsWith('2001:2::')).length, 2);
    assert.deepEqual(outcomes[0]?.fields, {
      addresses: services.flatMap(({ hostname, vips }) =>
        vips.map(({ ip }) => ({ value: ip, host: hostname })),
      ),
    });
  });

  test('an address once given is kept, whatever the others do', () => {
    const given = serviceEntry(
      { hosts: ['a.example'], resolution: 'DNS' },
      { status: { addresses: [{ value: '240.240.9.9', host: 'a.example' }] } },
    );
    assert.deepEqual(vipsOf(run({ serviceEntries: [given] }), 'a.example'), [
      '240.240.9.9',
      '2001:2::909',
    ]);
  });

  test('none is given to a wildcard, to what goes where it was going, or to who asks for none', () => {
    const none = (spec: ServiceEntrySpec): unknown => {
      const translation = ofOne(spec);
      assert.equal(translation.outcomes[0]?.fields, undefined);
      return translation.services[0]?.vips;
    };
    assert.deepEqual(
      none({ hosts: ['*.example'], resolution: 'STATIC', endpoints: [{ address: '192.0.2.1' }] }),
      [],
    );
    assert.deepEqual(none({ hosts: ['a.example'], resolution: 'NONE' }), []);
    const opted = serviceEntry({ hosts: ['a.example'], resolution: 'DNS' });
    const labels = { 'networking.ambit-mesh.io/enable-autoallocate-ip': 'false' };
    const out = run({ serviceEntries: [{ ...opted, metadata: { ...opted.metadata, labels } }] });
    assert.deepEqual(out.services[0]?.vips, []);
  });

  test('that lost its addresses takes them out of its status', () => {
    const changed = serviceEntry(
      { hosts: ['a.example'], addresses: ['192.0.2.1'] },
      { status: { addresses: [{ value: '240.240.9.9', host: 'a.example' }] } },
    );
    assert.deepEqual(run({ serviceEntries: [changed] }).outcomes[0]?.fields, { addresses: [] });
  });

  test('selects pods and WorkloadEntries of its namespace by their labels', () => {
    const { workloads, outcomes } = run({
      serviceEntries: [
        serviceEntry({
          hosts: ['db.example'],
          ports: [TLS],
          resolution: 'STATIC',
          workloadSelector: { labels: { app: 'db' } },
        }),
      ],
      pods: [pod('db-0', { app: 'db' }), pod('web-0', { app: 'web' })],
      workloadEntries: [
        workloadEntry({ address: '192.0.2.9', labels: { app: 'db' }, ports: { tls: 9443 } }),
      ],
    });
    const of = (uid: string): unknown =>
      workloads
        .find((workload) => workload.uid === uid)
        ?.services.get('shop/db.example')
        ?.map(({ targetPort }) => targetPort);
    assert.deepEqual(of('Kubernetes//Pod/shop/db-0'), [8443]);
    assert.deepEqual(of('Kubernetes//Pod/shop/web-0'), undefined);
    assert.deepEqual(of('Kubernetes/networking.istio.io/WorkloadEntry/shop/vm'), [9443]);
    assert.match(outcomes[0]?.findings[1]?.message ?? '', /2 endpoints/);
  });

  test('an empty selector selects nothing', () => {
    const { workloads, outcomes } = run({
      serviceEntries: [
        serviceEntry({ hosts: ['db.example'], resolution: 'STATIC', workloadSelector: {} }),
      ],
      pods: [pod('db-0', { app: 'db' })],
    });
    assert.deepEqual([...(workloads[0]?.services ?? [])], []);
    assert.deepEqual(conditions(outcomes[0]), [
      'Accepted=True Accepted',
      'Programmed=False NoEndpoints',
    ]);
  });

  test('exported to its own namespace is seen there only; to others by name, not further', () => {
    const visible = (exportTo: string[]): unknown =>
      ofOne({ hosts: ['a.example'], exportTo }).services[0]?.visibility;
    assert.equal(visible(['*']), 'public');
    assert.equal(visible(['.']), 'namespace');
    assert.equal(visible(['shop']), 'namespace');
    assert.equal(visible(['ops']), 'namespace');
    const [outcome] = ofOne({ hosts: ['a.example'], exportTo: ['ops'] }).outcomes;
    assert.deepEqual(conditions(outcome)[0], 'Accepted=True UnsupportedExport');
  });

  test('a host has one owner in a namespace: the Service, else the oldest entry', () => {
    const kube: KubeService = {
      metadata: { name: 'web', namespace: 'shop' },
      spec: { clusterIP: '10.96.0.1', ports: [{ port: 80 }] },
    };
    const { services, outcomes, problems } = run({
      services: [kube],
      serviceEntries: [
        serviceEntry(
          { hosts: ['a.example'], addresses: ['192.0.2.2'] },
          { name: 'young', age: '2' },
        ),
        serviceEntry(
          { hosts: ['a.example', 'web.shop.svc.cluster.local'], addresses: ['192.0.2.1'] },
          { name: 'old' },
        ),
      ],
    });
    assert.deepEqual(
      services.map(({ hostname, vips }) => `${hostname} ${vips[0]?.ip}`),
      ['web.shop.svc.cluster.local 10.96.0.1', 'a.example 192.0.2.1'],
    );
    assert.deepEqual(outcomes.map(conditions), [
      ['Accepted=False HostConflict', 'Programmed=True Programmed'],
      ['Accepted=False HostConflict', 'Programmed=False NoHosts'],
    ]);
    assert.match(
      outcomes[1]?.findings[0]?.message ?? '',
      /a\.example belongs to ServiceEntry shop\/old/,
    );
    assert.equal(problems.length, 2);
  });

  const faulty: readonly (readonly [string, ServiceEntrySpec, string])[] = [
    [
      'an address that is none',
      { hosts: ['a.example'], addresses: ['192.0.2.300'] },
      'False UnsupportedAddress',
    ],
    [
      'a range that is none',
      { hosts: ['a.example'], addresses: ['192.0.2.0/33'] },
      'False UnsupportedAddress',
    ],
    [
      'a UNIX socket as endpoint',
      { hosts: ['a.example'], resolution: 'STATIC', endpoints: [{ address: 'unix:///x' }] },
      'False UnsupportedAddress',
    ],
    [
      'a name as static endpoint',
      { hosts: ['a.example'], resolution: 'STATIC', endpoints: [{ address: 'b.example' }] },
      'False UnsupportedAddress',
    ],
    [
      'a wildcard to be looked up',
      { hosts: ['*.example'], resolution: 'DNS' },
      'False UnsupportedHost',
    ],
    [
      'a UDP port',
      { hosts: ['a.example'], ports: [HTTP, { number: 53, name: 'dns', protocol: 'UDP' }] },
      'True UnsupportedProtocol',
    ],
  ];
  for (const [what, spec, expected] of faulty) {
    test(`${what} is told in the status: ${expected}`, () => {
      assert.equal(conditions(ofOne(spec).outcomes[0])[0], `Accepted=${expected}`);
    });
  }

  test('is spread over its endpoints as annotations of it, or of its namespace, say', () => {
    const spec: ServiceEntrySpec = {
      hosts: ['a.example'],
      resolution: 'STATIC',
      endpoints: [{ address: '192.0.2.1' }],
    };
    const plain = serviceEntry(spec);
    const annotated = (annotations: Record<string, string>): ServiceEntryObject => ({
      ...plain,
      metadata: { ...plain.metadata, annotations },
    });
    const of = (entry: ServiceEntryObject, annotations = {}): unknown => {
      const namespaces = new Map([['shop', { metadata: { name: 'shop', annotations } }]]);
      const [service] = run({ serviceEntries: [entry], namespaces }).services;
      return [service?.balancing, service?.loadBalancing?.mode, service?.loadBalancing?.preference];
    };
    const zone = ['network', 'region', 'zone'];
    assert.deepEqual(of(plain), ['least-request', undefined, undefined]);
    assert.deepEqual(
      of(
        annotated({
          'ambit-mesh.io/load-balancing': 'random',
          'networking.istio.io/traffic-distribution': 'PreferClose',
        }),
      ),
      ['random', 'failover', zone],
    );
    const ofNamespace = { 'ambit-mesh.io/traffic-distribution': 'PreferSameZone' };
    assert.deepEqual(of(plain, ofNamespace), ['least-request', 'failover', zone]);
    const { problems } = run({
      serviceEntries: [annotated({ 'ambit-mesh.io/load-balancing': 'fair' })],
    });
    assert.deepEqual(
      problems.map(({ object, reason }) => `${object} ${reason}`),
      ['ServiceEntry shop/ext UnknownSetting'],
    );
  });

  test('that cannot carry a connection says why', () => {
    const said = (spec: ServiceEntrySpec): string => {
      const finding = ofOne(spec).outcomes[0]?.findings[1];
      return `${finding?.status} ${finding?.reason}: ${finding?.message}`;
    };
    const endpoints = [{ address: '192.0.2.1' }];
    assert.match(
      said({ hosts: ['a.example'], resolution: 'STATIC', endpoints, ports: [] }),
      /^False NoPorts: .*without a port/,
    );
    assert.match(said({ hosts: ['a.example'], resolution: 'STATIC' }), /^False NoEndpoints: /);
    assert.match(said({ hosts: ['a.example'] }), /^True Programmed: .*cannot be told/);
    assert.doesNotMatch(said({ hosts: ['a.example'], addresses: ['192.0.2.1'] }), /cannot be told/);
  });

  test('an empty one hurts nobody', () => {
    const { services, outcomes } = run({
      serviceEntries: [{ metadata: { name: 'empty', namespace: 'shop', uid: 'u' } }],
    });
    assert.deepEqual(services, []);
    assert.deepEqual(conditions(outcomes[0])[1], 'Programmed=False NoHosts');
  });

  test('the same objects in another order are the same translation', () => {
    const entries = [
      serviceEntry({ hosts: ['a.example'], resolution: 'DNS' }, { name: 'a' }),
      serviceEntry({ hosts: ['b.example', 'a.example'], resolution: 'DNS' }, { name: 'b' }),
      serviceEntry(
        { hosts: ['c.example'], resolution: 'STATIC', workloadSelector: { labels: { app: 'c' } } },
        { name: 'c' },
      ),
    ];
    const pods = [pod('c-0', { app: 'c' })];
    assert.deepEqual(
      run({ serviceEntries: entries, pods }),
      run({ serviceEntries: entries.toReversed(), pods }),
    );
  });
});
