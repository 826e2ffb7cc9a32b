// The routes a Snapshot knows: where they hold, in which order, and which list stays the same object.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Route, routeKey } from './route.ts';
import { emptySnapshot, type Snapshot } from './snapshot.ts';
import { serviceOf } from './test-arbitraries.ts';

describe('routes of a Snapshot', () => {
  const route = (name: string, changes: Partial<Route> = {}): Route => ({
    kind: 'http',
    namespace: 'shop',
    name,
    createdAt: 1000,
    parents: [
      { kind: 'service', service: 'shop/a.test', port: 80, clientsOf: undefined },
      { kind: 'service', service: 'shop/a.test', port: 8080, clientsOf: undefined },
    ],
    rules: [],
    ...changes,
  });
  const namesOf = (snapshot: Snapshot, key: string): string[] =>
    snapshot.routesOfService(key).map(({ name }) => name);

  test('a route is there once for a service, older ones first', () => {
    const snapshot = emptySnapshot.apply([
      { kind: 'route', route: route('b') },
      { kind: 'route', route: route('a') },
      { kind: 'route', route: route('old', { createdAt: 1 }) },
    ]);
    assert.deepEqual(namesOf(snapshot, 'shop/a.test'), ['old', 'a', 'b']);
    assert.deepEqual(namesOf(snapshot, 'shop/b.test'), []);
  });

  test('the list stays the same object until a route of that service changes', () => {
    const first = emptySnapshot.apply([{ kind: 'route', route: route('a') }]);
    const before = first.routesOfService('shop/a.test');
    const elsewhere = route('b', {
      parents: [{ kind: 'service', service: 'shop/b.test', port: 80, clientsOf: undefined }],
    });
    const second = first.apply([
      { kind: 'route', route: elsewhere },
      { kind: 'service', service: serviceOf({ hostname: 'a.test' }) },
    ]);
    assert.equal(second.routesOfService('shop/a.test'), before);
    assert.equal(second.routesOfService('none'), first.routesOfService('none'));
    const third = second.apply([{ kind: 'route', route: route('a', { createdAt: 2 }) }]);
    assert.notEqual(third.routesOfService('shop/a.test'), before);
  });

  test('the routes of one object for services and for gateways do not touch each other', () => {
    const listener = {
      kind: 'listener',
      gateway: 'shop/front',
      listener: 'http',
      hostnames: [],
    } as const;
    const forGateway = route('a', { parents: [listener] });
    const both = emptySnapshot.apply([
      { kind: 'route', route: route('a') },
      { kind: 'route', route: forGateway },
    ]);
    assert.deepEqual(both.routesOfGateway('shop/front'), [forGateway]);
    const left = both.apply([{ kind: 'route-removed', name: routeKey(forGateway) }]);
    assert.deepEqual(left.routesOfGateway('shop/front'), []);
    assert.deepEqual(namesOf(left, 'shop/a.test'), ['a']);
  });
});
