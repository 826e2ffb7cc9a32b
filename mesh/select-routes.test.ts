import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Route } from './route.ts';
import { selectRoutes } from './select-routes.ts';
import { ECHO_80, ON_ECHO_80, routeOf } from './test-routes.ts';

const named = (routes: readonly Route[]): readonly string[] => routes.map(({ name }) => name);
const route = (name: string, parts: Partial<Route> = {}): Route => routeOf({ name, ...parts });

describe('selectRoutes()', () => {
  const producer = route('producer');
  const consumer = route('consumer', {
    namespace: 'c',
    parents: [{ ...ON_ECHO_80, port: undefined, clientsOf: 'c' }],
  });

  test('a route without a port holds for every port, one with a port for that one', () => {
    const all = route('all', { parents: [{ ...ON_ECHO_80, port: undefined }] });
    const routes = [producer, all];
    assert.deepEqual(named(selectRoutes(routes, ECHO_80)), ['producer', 'all']);
    assert.deepEqual(named(selectRoutes(routes, { ...ECHO_80, port: 8080 })), ['all']);
    assert.deepEqual(named(selectRoutes(routes, { ...ECHO_80, service: 'm/other' })), []);
  });

  test('routes of the client namespace take the place of the service own, for its clients alone', () => {
    const routes = [producer, consumer];
    const from = (clientNamespace: string | undefined) =>
      named(selectRoutes(routes, { ...ECHO_80, clientNamespace }));
    assert.deepEqual(from('c'), ['consumer']);
    assert.deepEqual(from('m'), ['producer']);
    assert.deepEqual(from('other'), ['producer']);
    assert.deepEqual(from(undefined), ['producer']);
  });

  test('a consumer route of one port leaves the producer routes of other ports in force', () => {
    const onPort = { ...consumer, parents: [{ ...ON_ECHO_80, clientsOf: 'c' }] };
    const all = route('all', { parents: [{ ...ON_ECHO_80, port: undefined }] });
    const from = (port: number) =>
      named(selectRoutes([all, onPort], { ...ECHO_80, port, clientNamespace: 'c' }));
    assert.deepEqual(from(80), ['consumer']);
    assert.deepEqual(from(8080), ['all']);
  });

  test('of several kinds one holds: grpc before http before tls before tcp', () => {
    const kinds = ['tcp', 'tls', 'http', 'grpc'] as const;
    const routes = kinds.map((kind) => route(kind, { kind }));
    for (let count = 1; count <= kinds.length; count++) {
      const expected = kinds[count - 1];
      assert.deepEqual(named(selectRoutes(routes.slice(0, count), ECHO_80)), [expected]);
    }
  });

  test('a consumer route replaces producer routes of a higher kind too', () => {
    const calls = route('calls', { kind: 'grpc' });
    const selected = selectRoutes([calls, consumer], { ...ECHO_80, clientNamespace: 'c' });
    assert.deepEqual(named(selected), ['consumer']);
  });

  test('listeners of gateways are no business of services', () => {
    const listener = { kind: 'listener', gateway: 'm/e', listener: 'l', hostnames: [] } as const;
    assert.deepEqual(selectRoutes([route('edge', { parents: [listener] })], ECHO_80), []);
  });
});
