// Which policies on requests `ambit authz check` shows for a pod, and what it says of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptySnapshot } from '../../mesh/snapshot.ts';
import { serviceOf, workloadOf } from '../../mesh/test-arbitraries.ts';
import { httpPolicyOf } from '../../mesh/test-http-policies.ts';
import { guardedWaysTo, requestPolicyRows } from './request-policies.ts';

const KEY = 'shop/cart.test';
const WAYPOINT = {
  by: 'hostname',
  namespace: 'shop',
  hostname: 'waypoint.shop.svc.cluster.local',
  port: 15008,
} as const;

test('a pod is behind the waypoints of its services, and its own', () => {
  const service = serviceOf({ namespace: 'shop', hostname: 'cart.test', waypoint: WAYPOINT });
  const bare = serviceOf({ namespace: 'shop', hostname: 'bare.test', waypoint: undefined });
  const snapshot = emptySnapshot.apply(
    [service, bare].map((one) => ({ kind: 'service', service: one })),
  );
  const services = new Map([
    [KEY, []],
    ['shop/bare.test', []],
  ]);
  const workload = workloadOf({ uid: 'k//Pod/shop/cart', services, waypoint: undefined });
  const way = { namespace: 'shop', name: 'waypoint', service: KEY };
  assert.deepEqual(guardedWaysTo(workload, snapshot), [way]);
  assert.deepEqual(guardedWaysTo({ ...workload, waypoint: WAYPOINT }, snapshot), [
    way,
    { ...way, service: undefined },
  ]);
});

test('what a waypoint enforces there is told with what it does', () => {
  const targets = [{ kind: 'service', service: KEY }] as const;
  const tokens = { namespace: 'shop', name: 't', targets, rules: [], broken: 'it is new' };
  const snapshot = emptySnapshot.apply([
    { kind: 'http-policy', policy: httpPolicyOf({ name: 'dry', dryRun: true }) },
    { kind: 'http-policy', policy: httpPolicyOf({ name: 'real', action: 'allow' }) },
    { kind: 'request-authentication', policy: tokens },
  ]);
  const rows = requestPolicyRows({ namespace: 'shop', name: 'waypoint', service: KEY }, snapshot);
  assert.deepEqual(
    rows.map(({ policy, action, state }) => [policy, action, state]),
    [
      ['shop/t', 'JWT', 'lets nobody through: it is new'],
      ['shop/dry', 'DENY', 'dry run'],
      ['shop/real', 'ALLOW', 'enforced'],
    ],
  );
  assert.equal(rows[0]?.scope, `requests to ${KEY}, at waypoint shop/waypoint`);
});
