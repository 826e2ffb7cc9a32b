// `ambit explain` with words of a request: how they are read, which waypoint stands before the destination, and what people
// are shown.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import { explainAtWaypoint } from '../../mesh/explain-at-waypoint.ts';
import type { ResourceUpdate } from '../../mesh/resource-update.ts';
import { emptySnapshot, type Snapshot } from '../../mesh/snapshot.ts';
import { serviceOf, workloadOf } from '../../mesh/test-arbitraries.ts';
import { httpPolicyOf, ruleOf } from '../../mesh/test-http-policies.ts';
import { WAYPOINT_CLASS } from '../../mesh/waypoint.ts';
import { createConditions } from '../../runtime/conditions.ts';
import { compileRegex } from '../../runtime/regex.ts';
import { CommandFailure } from '../exit.ts';
import { renderRequest } from '../render/explain-request.ts';
import { plainStyle } from '../render/style.ts';
import { factsOf, type RequestWords, readRequestWords, waypointBefore } from './request.ts';

const WEB = {
  ...workloadOf({ uid: 'k//Pod/shop/web' }),
  name: 'web',
  namespace: 'shop',
  serviceAccount: 'web',
  protocol: 'hbone',
  addresses: [parseIp('10.0.0.1')],
} as const;
const WAYPOINT = 'waypoint.shop.svc.cluster.local';
const at = (ip: string) => [{ network: WEB.network, ip: parseIp(ip), prefixLength: undefined }];
const PORT = { servicePort: 80, targetPort: 8080, appProtocol: 'http11' } as const;
const CART = serviceOf({
  name: 'cart',
  namespace: 'shop',
  hostname: 'cart.shop.svc.cluster.local',
  vips: at('10.96.0.7'),
  ports: [PORT],
  waypoint: { by: 'hostname', namespace: 'shop', hostname: WAYPOINT, port: 15008 },
});
const BARE = {
  ...CART,
  hostname: 'bare.shop.svc.cluster.local',
  vips: at('10.96.0.8'),
  waypoint: undefined,
};

function world(...more: readonly ResourceUpdate[]): Snapshot {
  const waypoint = serviceOf({
    name: 'waypoint',
    namespace: 'shop',
    hostname: WAYPOINT,
    vips: at('10.96.0.9'),
    ports: [{ servicePort: 15008, targetPort: 15008, appProtocol: 'unknown' }],
  });
  const replica = {
    ...workloadOf({ uid: 'k//Pod/shop/waypoint-1' }),
    namespace: 'shop',
    addresses: [parseIp('10.0.0.9')],
    services: new Map([[`shop/${WAYPOINT}`, waypoint.ports]]),
  };
  return emptySnapshot.apply([
    { kind: 'workload', workload: WEB },
    { kind: 'workload', workload: replica },
    ...[CART, BARE, waypoint].map((service) => ({ kind: 'service', service }) as const),
    ...more,
  ]);
}

const asked = (snapshot: Snapshot, ip = '10.96.0.7', source = WEB) => ({
  source,
  to: { ip: parseIp(ip), port: 80 },
  snapshot,
  at: () => snapshot,
});

function shown(words: RequestWords, ...more: readonly ResourceUpdate[]): string {
  const snapshot = world(...more);
  const read = readRequestWords(words, CART.hostname);
  const explanation = explainAtWaypoint({
    place: {
      gateway: 'shop/waypoint',
      gatewayClass: WAYPOINT_CLASS,
      service: `shop/${CART.hostname}`,
    },
    facts: factsOf(asked(snapshot), read),
    snapshot,
    evaluate: createConditions(),
    regex: compileRegex,
  });
  return renderRequest({ ...read, waypoint: 'shop/waypoint', explanation }, plainStyle);
}

describe('words of a request', () => {
  test('are read as a waypoint reads a request', () => {
    const { request, token } = readRequestWords(
      {
        method: 'POST',
        path: '/x/../a%62?q=1',
        host: 'Cart.SHOP:80',
        header: ['X-A=1', 'x-b: two'],
        claims: '{"iss":"https://id.test","sub":"ann"}',
      },
      'unused',
    );
    assert.deepEqual(request, {
      method: 'POST',
      scheme: 'http',
      authority: 'cart.shop:80',
      path: '/ab',
      query: 'q=1',
      headers: [
        ['x-a', '1'],
        ['x-b', 'two'],
      ],
    });
    assert.equal(token?.issuer, 'https://id.test');
    assert.equal(readRequestWords({}, 'cart').request.authority, 'cart');
  });

  for (const [name, words] of [
    ['a path that a waypoint refuses', { path: '/a%2f..' }],
    ['a host that is none', { host: 'a b' }],
    ['a header without a name', { header: ['=x'] }],
    ['claims that are no JSON', { claims: 'sub=ann' }],
    ['claims without an issuer', { claims: '{"sub":"ann"}' }],
    ['CONNECT', { method: 'CONNECT', path: 'a:80' }],
  ] as const) {
    test(`${name}: refused with what to do`, () => {
      assert.throws(() => readRequestWords(words, 'cart'), CommandFailure);
    });
  }
});

describe('a request', () => {
  test('is looked at by the waypoint of the service, for callers of the mesh', () => {
    assert.deepEqual(waypointBefore(asked(world())), {
      namespace: 'shop',
      name: 'waypoint',
      service: `shop/${CART.hostname}`,
      hostname: CART.hostname,
    });
    assert.equal(waypointBefore(asked(world(), '10.96.0.8')), undefined);
    const outside = { ...WEB, protocol: 'tcp' } as never;
    assert.equal(waypointBefore(asked(world(), '10.96.0.7', outside)), undefined);
  });

  test('is shown with policy, what it missed, route and verdict', () => {
    const allow = httpPolicyOf({
      name: 'readers',
      action: 'allow',
      rules: [
        ruleOf({
          attribute: 'request.method',
          not: false,
          values: [{ kind: 'exact', value: 'GET' }],
        }),
      ],
    });
    const update = { kind: 'http-policy', policy: allow } as const;
    const denied = shown({ method: 'POST', path: '/a?b=c' }, update);
    assert.match(denied, /^request {3}POST \/a\?b=c, host cart\.shop\.svc\.cluster\.local$/m);
    assert.match(denied, /^at {8}waypoint shop\/waypoint$/m);
    assert.match(denied, /^policy {4}denied: allow policies exist, but none allowed$/m);
    assert.match(denied, /\* shop\/readers \(ALLOW\) does not match/);
    assert.match(denied, /request\.method must be GET, but is POST/);
    assert.match(denied, /^route {5}none holds there/m);
    assert.match(denied, /The request is denied\n {2}-> For shop\/readers to allow it/);
    assert.match(shown({}, update), /The request is let through/);
  });

  test('without a waypoint is looked at by nobody', () => {
    const read = readRequestWords({}, 'bare');
    const text = renderRequest(
      { ...read, waypoint: undefined, explanation: undefined },
      plainStyle,
    );
    assert.match(text, /nothing looks at requests/);
  });
});
