// Policies: what is attached to which pod, and how many workloads each object is told it holds for.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import type { AuthorizationPolicyObject } from './authorization.ts';
import type { PeerAuthenticationObject } from './peer-authentication.ts';
import { Policies } from './policies.ts';

const ROOT = { rootNamespace: 'ambit-system' };
const STRICT = 'ambit-system/istio_converted_static_strict';

const peer = (
  name: string,
  namespace: string,
  mode: string,
  more: { selected?: boolean } = {},
): PeerAuthenticationObject => ({
  metadata: { name, namespace, creationTimestamp: '2030-01-01T00:00:00Z' },
  spec: {
    mtls: { mode },
    ...(more.selected === true ? { selector: { matchLabels: { app: 'web' } } } : {}),
  },
});

describe('Policies', () => {
  const pod = (name: string, namespace: string, labels: Record<string, string>): Pod =>
    ({ metadata: { name, namespace, labels }, spec: { containers: [] } }) as Pod;
  const policy = (name: string, namespace: string, app?: string): AuthorizationPolicyObject => ({
    metadata: { name, namespace },
    spec: app === undefined ? {} : { selector: { matchLabels: { app } } },
  });

  test('selectors reach their own namespace, those of the root namespace every one', () => {
    const policies = new Policies(
      {
        authorizationPolicies: [
          policy('own', 'shop', 'web'),
          policy('far', 'ops', 'web'),
          policy('root', 'ambit-system', 'web'),
          policy('all', 'shop'),
        ],
        peerAuthentications: [peer('m', 'ambit-system', 'STRICT')],
      },
      ROOT,
    );
    assert.deepEqual(policies.attachedTo(pod('a', 'shop', { app: 'web' }), true), [
      STRICT,
      'ambit-system/root',
      'shop/own',
    ]);
    assert.deepEqual(policies.attachedTo(pod('b', 'shop', { app: 'api' }), true), [STRICT]);
  });

  test('each object is told how many workloads of the mesh it holds for', () => {
    const policies = new Policies(
      {
        authorizationPolicies: [
          policy('own', 'shop', 'web'),
          policy('all', 'shop'),
          policy('mesh', 'ambit-system'),
          policy('none', 'empty'),
        ],
        peerAuthentications: [
          peer('mesh', 'ambit-system', 'PERMISSIVE'),
          peer('shop', 'shop', 'STRICT'),
          peer('web', 'shop', 'UNSET', { selected: true }),
        ],
      },
      ROOT,
    );
    policies.attachedTo(pod('a', 'shop', { app: 'web' }), true);
    policies.attachedTo(pod('b', 'shop', { app: 'api' }), true);
    policies.attachedTo(pod('c', 'ops', { app: 'web' }), true);
    policies.attachedTo(pod('d', 'shop', { app: 'web' }), false);
    const counts = policies.outcomes().map(({ object, findings }) => {
      const [, enforced] = findings;
      const { namespace, name } = object.metadata;
      return `${namespace}/${name} ${/\d+/.exec(enforced?.message ?? '')?.[0] ?? '0'}`;
    });
    assert.deepEqual(counts, [
      'shop/own 1',
      'shop/all 2',
      'ambit-system/mesh 3',
      'empty/none 0',
      'ambit-system/mesh 1',
      'shop/shop 2',
      'shop/web 1',
    ]);
  });
});
