// AuthorizationPolicy and PeerAuthentication: what node agents are told for each shape a user can write.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import { type AuthorizationPolicyObject, authorizationOf } from './authorization.ts';
import { type PeerAuthenticationObject, peerAuthenticationsOf } from './peer-authentication.ts';

const ROOT = { rootNamespace: 'ambit-system' };

function authorize(spec: object, namespace = 'shop') {
  const object = { metadata: { name: 'p', namespace }, spec } as AuthorizationPolicyObject;
  const { policy, problems } = authorizationOf(object, ROOT);
  // only what a match says, without the attributes it leaves open
  const rules = policy?.rules.map(({ clauses }) =>
    clauses.map(({ matches }) =>
      matches.map((match) =>
        Object.fromEntries(Object.entries(match).filter(([, values]) => values.length > 0)),
      ),
    ),
  );
  return { policy, rules, reasons: problems.map(({ reason }) => reason) };
}

const GET = { to: [{ operation: { methods: ['GET'], ports: ['80'] } }] };

describe('authorizationOf()', () => {
  const scopes: [string, object, string, string][] = [
    ['no selector', {}, 'shop', 'namespace'],
    ['no selector in the root namespace', {}, 'ambit-system', 'mesh'],
    ['a selector', { selector: { matchLabels: { app: 'web' } } }, 'shop', 'workload'],
  ];
  for (const [name, spec, namespace, scope] of scopes) {
    test(`${name} means scope ${scope}`, () => {
      assert.equal(authorize(spec, namespace).policy?.scope, scope);
    });
  }

  test('no rules at all is a policy that never matches: ALLOW then allows nothing', () => {
    assert.deepEqual(authorize({}).rules, []);
    assert.equal(authorize({}).policy?.action, 'allow');
  });

  test('an empty rule matches everything', () => {
    assert.deepEqual(authorize({ rules: [{}] }).rules, [[]]);
  });

  test('sources are ORed in a clause; from, to and each condition are ANDed as clauses', () => {
    const rule = {
      from: [
        { source: { principals: ['cluster.local/ns/shop/sa/web', '*/sa/x', 'a/*', '*'] } },
        {
          source: {
            namespaces: ['ops'],
            notIpBlocks: ['10.0.0.0/8', 'fd00::1'],
            serviceAccounts: ['web', 'ops/cron'],
          },
        },
      ],
      to: [{ operation: { ports: ['80', '443'] } }],
      when: [{ key: 'destination.ip', notValues: ['10.1.2.3'] }],
    };
    const result = authorize({ action: 'DENY', rules: [rule] });
    assert.equal(result.policy?.action, 'deny');
    assert.deepEqual(result.reasons, []);
    assert.deepEqual(result.rules, [
      [
        [
          {
            principals: [
              { kind: 'exact', value: 'cluster.local/ns/shop/sa/web' },
              { kind: 'suffix', value: '/sa/x' },
              { kind: 'prefix', value: 'a/' },
              { kind: 'presence' },
            ],
          },
          {
            namespaces: [{ kind: 'exact', value: 'ops' }],
            notSourceIps: [
              { ip: '10.0.0.0', prefixLength: 8 },
              { ip: 'fd00::1', prefixLength: 128 },
            ],
            serviceAccounts: [
              { namespace: 'shop', serviceAccount: 'web' },
              { namespace: 'ops', serviceAccount: 'cron' },
            ],
          },
        ],
        [{ destinationPorts: [80, 443] }],
        [{ notDestinationIps: [{ ip: '10.1.2.3', prefixLength: 32 }] }],
      ],
    ]);
  });

  test('an ALLOW rule with L7 parts is dropped whole, and the policy stays', () => {
    const result = authorize({ rules: [GET, { to: [{ operation: { ports: ['81'] } }] }] });
    assert.deepEqual(result.rules, [[[{ destinationPorts: [81] }]]]);
    assert.deepEqual(result.reasons, ['UnsupportedField']);
    assert.deepEqual(
      authorize({ rules: [GET] }).rules,
      [],
      'it may allow nothing, never everything',
    );
  });

  test('a DENY rule loses only its L7 parts, so that it denies more', () => {
    assert.deepEqual(authorize({ action: 'DENY', rules: [GET] }).rules, [
      [[{ destinationPorts: [80] }]],
    ]);
    const methods = {
      from: [{ source: { namespaces: ['ops'] } }],
      to: [{ operation: { methods: ['GET'] } }],
    };
    assert.deepEqual(authorize({ action: 'DENY', rules: [methods] }).rules, [
      [[{ namespaces: [{ kind: 'exact', value: 'ops' }] }]],
    ]);
    const condition = { when: [{ key: 'request.headers[x]', values: ['1'] }] };
    assert.deepEqual(authorize({ action: 'DENY', rules: [condition] }).rules, [[]]);
  });

  for (const [name, rule] of [
    ['a CIDR', { from: [{ source: { ipBlocks: ['10.0.0.0/33'] } }] }],
    ['a port', { to: [{ operation: { ports: ['http'] } }] }],
    ['an empty prefix length', { from: [{ source: { ipBlocks: ['10.0.0.0/'] } }] }],
  ] as const) {
    test(`${name} that cannot be read drops an ALLOW rule and is told`, () => {
      assert.deepEqual(authorize({ rules: [rule] }).rules, []);
      assert.deepEqual(authorize({ rules: [rule] }).reasons, ['UnsupportedField']);
    });
  }

  test('AUDIT and CUSTOM have no effect and are told; targetRefs belong to waypoints', () => {
    assert.deepEqual(authorize({ action: 'CUSTOM' }).reasons, ['UnsupportedAction']);
    assert.equal(authorize({ action: 'AUDIT' }).policy, undefined);
    assert.equal(authorize({ targetRefs: [{ kind: 'Service', name: 'web' }] }).policy, undefined);
  });
});

type Mode = 'STRICT' | 'PERMISSIVE' | 'DISABLE' | 'UNSET';

function peer(
  name: string,
  namespace: string,
  mode: Mode | undefined,
  more: { selected?: boolean; ports?: Record<string, Mode>; at?: string } = {},
): PeerAuthenticationObject {
  const ports = Object.entries(more.ports ?? {}).map(([port, value]) => [port, { mode: value }]);
  return {
    metadata: { name, namespace, creationTimestamp: more.at ?? '2030-01-01T00:00:00Z' },
    spec: {
      ...(mode === undefined ? {} : { mtls: { mode } }),
      ...(more.selected === true ? { selector: { matchLabels: { app: 'web' } } } : {}),
      ...(ports.length === 0 ? {} : { portLevelMtls: Object.fromEntries(ports) as never }),
    },
  };
}

const POD = {
  metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' } },
  spec: { containers: [] },
} as Pod;
const STRICT = 'ambit-system/istio_converted_static_strict';

describe('peerAuthenticationsOf()', () => {
  const cases: [string, PeerAuthenticationObject[], string | undefined][] = [
    ['nothing is set', [], undefined],
    ['the mesh is strict', [peer('m', 'ambit-system', 'STRICT')], STRICT],
    ['the namespace is strict', [peer('n', 'shop', 'STRICT')], STRICT],
    ['another namespace is strict', [peer('n', 'ops', 'STRICT')], undefined],
    [
      'the namespace is more permissive than the mesh',
      [peer('m', 'ambit-system', 'STRICT'), peer('n', 'shop', 'PERMISSIVE')],
      undefined,
    ],
    [
      'the namespace is unset and inherits',
      [peer('m', 'ambit-system', 'STRICT'), peer('n', 'shop', 'UNSET')],
      STRICT,
    ],
    [
      'DISABLE is permissive',
      [peer('m', 'ambit-system', 'STRICT'), peer('n', 'shop', 'DISABLE')],
      undefined,
    ],
    ['the workload is strict', [peer('w', 'shop', 'STRICT', { selected: true })], STRICT],
    [
      'the workload is permissive in a strict namespace',
      [peer('n', 'shop', 'STRICT'), peer('w', 'shop', 'PERMISSIVE', { selected: true })],
      undefined,
    ],
    [
      'the workload is unset in a strict namespace',
      [peer('n', 'shop', 'STRICT'), peer('w', 'shop', undefined, { selected: true })],
      STRICT,
    ],
    [
      'the oldest of two wins',
      [
        peer('new', 'shop', 'STRICT', { at: '2031-01-01T00:00:00Z' }),
        peer('old', 'shop', 'PERMISSIVE'),
      ],
      undefined,
    ],
    [
      'a port is strict',
      [peer('w', 'shop', undefined, { selected: true, ports: { 80: 'STRICT' } })],
      'shop/converted_peer_authentication_w',
    ],
    [
      'ports without a selector do not count',
      [peer('w', 'shop', undefined, { ports: { 80: 'STRICT' } })],
      undefined,
    ],
  ];
  for (const [name, objects, expected] of cases) {
    test(`${name}: ${expected ?? 'plaintext is let in'}`, () => {
      assert.equal(peerAuthenticationsOf(objects, ROOT).policyFor(POD), expected);
    });
  }

  test('port exceptions of a strict workload deny plaintext on all other ports', () => {
    const { policies } = peerAuthenticationsOf(
      [peer('w', 'shop', 'STRICT', { selected: true, ports: { 80: 'PERMISSIVE', 81: 'STRICT' } })],
      ROOT,
    );
    const converted = policies.find(({ name }) => name === 'converted_peer_authentication_w');
    const [anonymous, ports] = converted?.rules[0]?.clauses ?? [];
    assert.equal(converted?.action, 'deny');
    assert.deepEqual(anonymous?.matches[0]?.notPrincipals, [{ kind: 'presence' }]);
    assert.deepEqual(ports?.matches[0]?.notDestinationPorts, [80]);
  });

  test('strict ports of a permissive workload deny plaintext on these only', () => {
    const { policies } = peerAuthenticationsOf(
      [peer('w', 'shop', undefined, { selected: true, ports: { 80: 'STRICT' } })],
      ROOT,
    );
    assert.deepEqual(policies[1]?.rules[0]?.clauses[1]?.matches[0]?.destinationPorts, [80]);
  });
});
