// Policy at an ingress gateway: for clients from outside, who have no identity, by their address, their request, the name
// of their TLS.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { parseCidr } from '../../mesh/cidr.ts';
import type { HttpPolicy, PolicyTest } from '../../mesh/http-policy.ts';
import { listener, parent, TestIngress } from './test-ingress.ts';

const HTTP = listener('http', 80);

describe('policy at an ingress gateway', () => {
  let edge: TestIngress;
  before(async () => {
    edge = await TestIngress.open({ trustedHops: 1 });
    const web = edge.rig.service('web');
    await edge.rig.http(web, 'web-1', (_, response) => void response.end('in'));
    edge.route('r', web, parent('http', 'shop.example'));
    await edge.listen(HTTP);
  });
  after(() => edge.close());
  beforeEach(() => edge.rig.discovery.push({ kind: 'http-policy-removed', name: 'shop/p' }));

  function hold(action: 'allow' | 'deny', ...tests: readonly PolicyTest[]): void {
    const policy: HttpPolicy = {
      namespace: 'shop',
      name: 'p',
      targets: [{ kind: 'gateway', gateway: 'shop/edge' }],
      action,
      rules: [{ clauses: [{ part: 'to', anyOf: [tests] }] }],
      dryRun: false,
    };
    edge.rig.discovery.push({ kind: 'http-policy', policy });
  }

  test('DENY by path holds for requests from outside, before any route is looked at', async () => {
    hold('deny', {
      attribute: 'request.path',
      not: false,
      values: [{ kind: 'prefix', value: '/admin' }],
    });
    assert.equal((await edge.ask(80, 'shop.example', { path: '/admin' })).status, 403);
    assert.equal((await edge.ask(80, 'nobody.example', { path: '/admin' })).status, 403);
    assert.equal((await edge.ask(80, 'shop.example')).status, 200);
  });

  test('a rule for an identity lets nobody in: clients from outside have none', async () => {
    hold('allow', { attribute: 'source.principal', not: false, values: [{ kind: 'presence' }] });
    assert.equal((await edge.ask(80, 'shop.example')).status, 403);
  });

  test('the client’s address is what a trusted proxy saw, and no more', async () => {
    hold('allow', { attribute: 'remote.ip', not: false, values: [parseCidr('203.0.113.0/24')] });
    const from = async (forwarded: string): Promise<number> => {
      const headers = { 'x-forwarded-for': forwarded };
      return (await edge.ask(80, 'shop.example', { headers })).status;
    };
    assert.equal(await from('203.0.113.7'), 200);
    assert.equal(await from('203.0.113.7, 198.51.100.1'), 403);
    assert.equal(await from('not an address'), 403);
    assert.equal((await edge.ask(80, 'shop.example')).status, 403);
  });
});
