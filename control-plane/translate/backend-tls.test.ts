import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Route } from '../../mesh/route.ts';
import type { BackendTlsPolicy } from '../../runtime/kubernetes/backend-tls-objects.ts';
import type { ConfigMap, Service } from '../../runtime/kubernetes/objects.ts';
import { createTestCa } from '../../tunnel/test-ca.ts';
import { type BackendTlsFacts, planBackendTls } from './backend-tls.ts';

const KEY = 'shop/web.shop.svc.cluster.local';
const { rootPem } = await createTestCa();
const CA: ConfigMap = { metadata: { name: 'ca' }, data: { 'ca.crt': rootPem } };
const WEB: Service = {
  metadata: { name: 'web', namespace: 'shop' },
  spec: { ports: [{ name: 'https', port: 443 }] },
};
/** Of a Gateway, to the Service. */
const ROUTE = {
  kind: 'http',
  namespace: 'shop',
  name: 'r',
  createdAt: 0,
  parents: [{ kind: 'listener', gateway: 'edge/public', listener: 'http', hostnames: [] }],
  rules: [
    {
      backends: [
        {
          target: { kind: 'service', service: KEY, port: 443, subset: undefined },
          weight: 1,
          filters: [],
        },
      ],
    },
  ],
} as unknown as Route;

type Changes = {
  readonly name?: string;
  readonly at?: string;
  readonly targets?: BackendTlsPolicy['spec']['targetRefs'];
  readonly validation?: Partial<BackendTlsPolicy['spec']['validation']>;
};

function policy({ name = 'p', at = '2026-01-01T00:00:00Z', targets, validation }: Changes = {}) {
  const it: BackendTlsPolicy = {
    metadata: { name, namespace: 'shop', creationTimestamp: at, generation: 1 },
    spec: {
      targetRefs: targets ?? [{ group: '', kind: 'Service', name: 'web' }],
      validation: {
        hostname: 'web.example',
        caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'ca' }],
        ...validation,
      },
    },
  };
  return it;
}

function planned(policies: readonly BackendTlsPolicy[], facts: Partial<BackendTlsFacts> = {}) {
  return planBackendTls({
    policies,
    service: (_, name) => (name === 'web' ? WEB : undefined),
    configMap: (_, name) => (name === 'ca' ? CA : undefined),
    routes: [ROUTE],
    clusterDomain: 'cluster.local',
    ...facts,
  });
}

function saysOf(it: ReturnType<typeof planned>, name = 'p'): string[] {
  const outcome = it.outcomes.find(({ object }) => object.metadata.name === name);
  return (outcome?.parents[0]?.findings ?? []).map(
    ({ type, status, reason }) => `${type}=${status} ${reason}`,
  );
}

const FINE = ['Accepted=True Accepted', 'ResolvedRefs=True ResolvedRefs'];

describe('a BackendTLSPolicy', () => {
  test('says whom to believe and by which name, and is told of for each Gateway that leads there', () => {
    const subjectAltNames = [
      { type: 'Hostname', hostname: 'a.example' },
      { type: 'URI', uri: 'spiffe://a/b' },
    ];
    const it = planned([policy({ validation: { subjectAltNames } })]);
    assert.deepEqual(it.tls, [
      {
        service: KEY,
        port: undefined,
        terms: {
          kind: 'verify',
          serverName: 'web.example',
          names: [
            { kind: 'dns', value: 'a.example' },
            { kind: 'uri', value: 'spiffe://a/b' },
          ],
          roots: rootPem,
        },
      },
    ]);
    assert.deepEqual(saysOf(it), FINE);
    assert.deepEqual(it.outcomes[0]?.parents[0]?.parentRef, {
      group: 'gateway.networking.k8s.io',
      kind: 'Gateway',
      namespace: 'edge',
      name: 'public',
    });
  });

  test('without a Gateway that leads there holds for waypoints, and has nothing to say', () => {
    const it = planned([policy()], { routes: [] });
    assert.equal(it.tls.length, 1);
    assert.deepEqual(it.outcomes, []);
  });

  test('the system’s roots need no reference; other words for them are not known', () => {
    const by = (wellKnownCACertificates: string) =>
      planned([policy({ validation: { caCertificateRefs: [], wellKnownCACertificates } })]);
    const [tls] = by('System').tls;
    assert.deepEqual(tls?.terms.kind === 'verify' && tls.terms.roots, undefined);
    assert.equal(by('example.com/all').tls[0]?.terms.kind, 'broken');
    assert.equal(saysOf(by('example.com/all'))[0], 'Accepted=False Invalid');
  });

  const closed = [
    [
      'is not there',
      { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'x' }] },
      'InvalidCACertificateRef',
    ],
    [
      'is of another kind',
      { caCertificateRefs: [{ group: '', kind: 'Secret', name: 'ca' }] },
      'InvalidKind',
    ],
  ] as const;
  for (const [what, validation, reason] of closed) {
    test(`whose only reference ${what} lets nothing go there`, () => {
      const it = planned([policy({ validation })]);
      assert.equal(it.tls[0]?.terms.kind, 'broken');
      assert.deepEqual(saysOf(it), [
        'Accepted=False NoValidCACertificate',
        `ResolvedRefs=False ${reason}`,
      ]);
    });
  }

  test('a ConfigMap without a certificate is no reference; one of two that is good is enough', () => {
    const caCertificateRefs = ['x', 'ca'].map((name) => ({ group: '', kind: 'ConfigMap', name }));
    const configMap: BackendTlsFacts['configMap'] = (_, name) =>
      name === 'ca' ? CA : { metadata: { name }, data: { 'ca.crt': 'junk' } };
    const it = planned([policy({ validation: { caCertificateRefs } })], { configMap });
    assert.equal(it.tls[0]?.terms.kind, 'verify');
    assert.deepEqual(saysOf(it), [FINE[0], 'ResolvedRefs=False InvalidCACertificateRef']);
  });

  test('what was not looked for yet is pending, and closed until then', () => {
    const it = planned([policy()], { configMap: () => 'unknown' });
    assert.deepEqual([...it.pending], [`${KEY}:*`]);
    assert.equal(it.tls[0]?.terms.kind, 'broken');
  });

  test('of two for one target the older holds; one port’s own comes before the Service’s', () => {
    const young = policy({ name: 'young', at: '2026-02-01T00:00:00Z' });
    const https = [{ group: '', kind: 'Service', name: 'web', sectionName: 'https' }];
    const port = policy({ name: 'port', at: '2026-03-01T00:00:00Z', targets: https });
    const it = planned([young, port, policy()]);
    assert.deepEqual(
      it.tls.map((one) => one.port),
      [undefined, 443],
    );
    assert.deepEqual(saysOf(it), FINE);
    assert.equal(saysOf(it, 'young')[0], 'Accepted=False Conflicted');
    assert.deepEqual(saysOf(it, 'port'), FINE);
  });

  test('a target that is not there holds for nothing', () => {
    const targets = [{ group: '', kind: 'Service', name: 'other' }];
    assert.deepEqual(planned([policy({ targets })]).tls, []);
  });
});
