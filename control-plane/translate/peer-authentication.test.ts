// PeerAuthentication: which policy a pod gets under each combination of mesh, namespace, workload and ports.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import { type PeerAuthenticationObject, peerAuthenticationsOf } from './peer-authentication.ts';

const ROOT = { rootNamespace: 'ambit-system' };

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
      'a port of a workload says what its namespace says already',
      [
        peer('n', 'shop', 'STRICT'),
        peer('w', 'shop', undefined, { selected: true, ports: { 80: 'STRICT', 81: 'UNSET' } }),
      ],
      STRICT,
    ],
    [
      'a permissive port of an unset workload in a strict mesh',
      [
        peer('m', 'ambit-system', 'STRICT'),
        peer('w', 'shop', 'UNSET', { selected: true, ports: { 80: 'DISABLE' } }),
      ],
      'shop/converted_peer_authentication_w',
    ],
    [
      'a permissive port of a permissive workload',
      [peer('w', 'shop', 'PERMISSIVE', { selected: true, ports: { 80: 'PERMISSIVE' } })],
      undefined,
    ],
    [
      'the oldest of two workload policies wins, also over its ports',
      [
        peer('a', 'shop', 'STRICT', { selected: true, at: '2031-01-01T00:00:00Z' }),
        peer('b', 'shop', 'PERMISSIVE', { selected: true }),
      ],
      undefined,
    ],
    ['a mode nobody knows is strict', [peer('n', 'shop', 'MAYBE' as Mode)], STRICT],
    [
      'of equal age the first by name wins',
      [peer('b', 'shop', 'PERMISSIVE'), peer('a', 'shop', 'STRICT')],
      STRICT,
    ],
    [
      'ports without a selector do not count',
      [peer('w', 'shop', undefined, { ports: { 80: 'STRICT' } })],
      undefined,
    ],
  ];
  for (const [name, objects, expected] of cases) {
    test(`${name}: ${expected ?? 'plaintext is let in'}`, () => {
      assert.equal(peerAuthenticationsOf(objects, ROOT).effectOn(POD).policy, expected);
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

describe('the status of a PeerAuthentication', () => {
  const say = (objects: PeerAuthenticationObject[], workloads: number): string[] =>
    peerAuthenticationsOf(objects, ROOT)
      .outcomes(() => workloads)
      .map(({ object, findings }) =>
        [
          object.metadata.name,
          ...findings.map(({ type, status, reason }) => `${type}=${status} ${reason}`),
        ].join(' '),
      );

  test('the oldest without a selector holds; a younger one is told which', () => {
    const objects = [
      peer('old', 'shop', 'STRICT'),
      peer('new', 'shop', 'STRICT', { at: '2031-01-01T00:00:00Z' }),
    ];
    assert.deepEqual(say(objects, 3), [
      'old Accepted=True Accepted Enforced=True Enforced',
      'new Accepted=False Conflicted Enforced=False Conflicted',
    ]);
  });

  test('ports without a selector, and ports that are none, are told', () => {
    assert.match(
      say([peer('p', 'shop', 'STRICT', { ports: { 80: 'STRICT' } })], 1)[0] ?? '',
      /UnsupportedValue/,
    );
    const odd = peer('p', 'shop', 'STRICT', { selected: true, ports: { 0: 'STRICT' } });
    assert.match(say([odd], 0)[0] ?? '', /Accepted=False Invalid Enforced=False NoWorkloads/);
  });
});
