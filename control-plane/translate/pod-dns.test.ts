// What agents are told of how a pod resolves names, and of names of its own.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { pod, run } from './test-entries.ts';

describe('a pod', () => {
  const dnsOf = (spec: object): unknown => {
    const ambient = { metadata: { name: 'shop', labels: { 'ambit-mesh.io/mode': 'ambient' } } };
    const world = { pods: [pod('web', {}, spec)], namespaces: new Map([['shop', ambient]]) };
    return run(world).enrolments[0]?.enrolment.dns;
  };

  test('that says nothing of DNS resolves as pods do', () => {
    assert.equal(dnsOf({}), undefined);
    assert.equal(dnsOf({ dnsPolicy: 'ClusterFirst', dnsConfig: {} }), undefined);
  });

  test('of dnsPolicy None has only the servers and search domains it names', () => {
    assert.deepEqual(
      dnsOf({
        dnsPolicy: 'None',
        dnsConfig: { nameservers: ['10.9.9.9'], searches: ['Corp.test.'] },
      }),
      { servers: ['10.9.9.9'], order: 'instead', search: ['corp.test'] },
    );
  });

  test('that names more has them after those of the cluster', () => {
    assert.deepEqual(
      dnsOf({
        dnsConfig: { nameservers: ['10.9.9.9', 'x'], searches: ['corp.test', 'cluster.local'] },
      }),
      {
        servers: ['10.9.9.9'],
        order: 'after',
        search: ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'corp.test'],
      },
    );
  });

  test('with hostname and subdomain has a name of its own', () => {
    const { workloads } = run({
      pods: [
        pod('db-0', {}, { hostname: 'db-0', subdomain: 'db' }),
        pod('x', {}, { hostname: 'x' }),
      ],
    });
    assert.deepEqual(
      workloads.map(({ hostname }) => hostname),
      ['db-0.db.shop.svc.cluster.local', ''],
    );
  });
});
