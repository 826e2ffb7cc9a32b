// Routes on the wire: they come back as they were, bad ones are refused by name, and what is refused stays closed.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Route, routeKey } from '../mesh/route.ts';
import { ANY_ROUTE } from '../mesh/test-any-route.ts';
import { DecodeError } from './protobuf.ts';
import { closedRoute, decodeRoute, encodeRoute } from './route-resource.ts';

const ROUTE: Route = {
  kind: 'http',
  namespace: 'shop',
  name: 'web',
  createdAt: 1000,
  parents: [
    { kind: 'service', service: 'shop/web.shop.svc', port: 80, clientsOf: undefined },
    { kind: 'service', service: 'shop/api.shop.svc', port: undefined, clientsOf: undefined },
  ],
  rules: [
    {
      name: undefined,
      matches: [
        {
          path: { type: 'prefix', value: '/admin' },
          method: undefined,
          headers: [],
          query: [],
          grpc: undefined,
          source: undefined,
        },
      ],
      filters: [{ kind: 'request-headers', set: [['x-a', 'b']], add: [], remove: [] }],
      backends: [
        {
          target: { kind: 'service', service: 'shop/v1.shop.svc', port: 80, subset: undefined },
          weight: 1,
          filters: [],
        },
      ],
      requestTimeoutMs: undefined,
      backendTimeoutMs: undefined,
      retry: undefined,
      sessionPersistence: undefined,
    },
  ],
};

const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
type Tree = { [key: string]: Tree } & Tree[];
/** The body of ROUTE with one change. */
function changed(change: (body: Tree) => void): Uint8Array {
  const body = JSON.parse(new TextDecoder().decode(encodeRoute(ROUTE))) as Tree;
  change(body);
  return bytesOf(body);
}
const put = (tree: Tree | undefined, key: string, value: unknown): void => {
  Object.assign(tree ?? assert.fail('no such place'), { [key]: value });
};

describe('decodeRoute()', () => {
  test('every route comes back as it was', () => {
    fc.assert(
      fc.property(ANY_ROUTE, (route) => {
        assert.deepEqual(decodeRoute(encodeRoute(route)), route);
      }),
      { numRuns: 500 },
    );
  });

  test('a filter that is not known becomes one that answers 500, and so does one with an unknown setting', () => {
    const filters = (body: Uint8Array) => decodeRoute(body).rules[0]?.filters;
    const unknown = filters(changed((b) => put(b['rules']?.[0], 'filters', [{ kind: 'wasm' }])));
    assert.match(unknown?.[0]?.kind === 'broken' ? unknown[0].why : '', /Filter "wasm" cannot be/);
    const newer = filters(changed((b) => put(b['rules']?.[0]?.['filters']?.[0], 'when', 'night')));
    assert.match(newer?.[0]?.kind === 'broken' ? newer[0].why : '', /field "when" is not known/);
  });

  for (const [what, body, said] of [
    ['no JSON', new Uint8Array([0xff, 0xfe]), /no JSON/],
    ['a list', bytesOf([]), /route is not an object/],
    ['no name', changed((b) => put(b, 'name', '')), /no name/],
    ['an unknown kind', changed((b) => put(b, 'kind', 'udp')), /route\.kind is not one of/],
    ['an unknown field', changed((b) => put(b, 'hosts', [])), /"hosts" is not known/],
    [
      'an unknown match',
      changed((b) => put(b['rules']?.[0]?.['matches']?.[0], 'cookies', [])),
      /route\.rules\[0\]\.matches\[0\]: field "cookies" is not known/,
    ],
    [
      'an unknown type of a path',
      changed((b) => put(b['rules']?.[0]?.['matches']?.[0]?.['path'], 'type', 'glob')),
      /matches\[0\]\.path\.type is not one of/,
    ],
    [
      'a weight that is no number',
      changed((b) => put(b['rules']?.[0]?.['backends']?.[0], 'weight', 1.5)),
      /backends\[0\]\.weight is not a whole number/,
    ],
    [
      'a name from the prototype',
      bytesOf({ ...ROUTE, parents: [{ kind: 'constructor' }] }),
      /parents\[0\]\.kind is not one of/,
    ],
    [
      'too many parents',
      changed((b) => put(b, 'parents', Array(5000).fill(ROUTE.parents[0]))),
      /route\.parents is not a list of at most 4096/,
    ],
    ['a body that is too large', new Uint8Array(5 * 1024 * 1024), /more than/],
  ] as const) {
    test(`refuses ${what}`, () => {
      assert.throws(
        () => decodeRoute(body),
        (error) => error instanceof DecodeError && said.test(error.message),
      );
    });
  }

  test('bytes of any kind give a route or a DecodeError, and a closed route wherever parents can be read', () => {
    const json = fc.json({ maxDepth: 6 }).map((text) => new TextEncoder().encode(text));
    const cut = fc
      .tuple(ANY_ROUTE, fc.nat(400), fc.nat(255))
      .map(([route, at, byte]) => encodeRoute(route).with(at % encodeRoute(route).length, byte));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), json, cut), (bytes) => {
        try {
          decodeRoute(bytes);
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error));
        }
        const closed = closedRoute('http/shop/web', bytes, 'why');
        if (closed === undefined) return;
        assert.equal(routeKey(closed), 'http/shop/web');
        assert.ok(closed.rules.length > 0 && closed.parents.length > 0);
        for (const rule of closed.rules) {
          assert.deepEqual(rule.filters, [{ kind: 'broken', why: 'why' }]);
          assert.deepEqual(rule.backends, []);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('closedRoute()', () => {
  test('holds where the route held, and answers its requests with 500', () => {
    const body = changed((b) => put(b['rules']?.[0]?.['backends']?.[0], 'weight', -1));
    const closed = closedRoute(routeKey(ROUTE), body, 'weight') ?? assert.fail('nothing');
    assert.equal(routeKey(closed), routeKey(ROUTE));
    assert.deepEqual(closed.parents, ROUTE.parents);
    assert.deepEqual(closed.rules[0]?.matches, ROUTE.rules[0]?.matches);
    assert.deepEqual(closed.rules[0]?.filters, [{ kind: 'broken', why: 'weight' }]);
  });

  test('takes every request where its matches cannot be read', () => {
    const body = changed((b) => put(b['rules']?.[0]?.['matches']?.[0], 'cookies', []));
    assert.deepEqual(closedRoute('http/shop/web', body, 'x')?.rules[0]?.matches, []);
  });

  test('keeps the parents that can be read', () => {
    const body = changed((b) => put(b['parents']?.[0], 'kind', 'mesh'));
    assert.deepEqual(closedRoute('http/shop/web', body, 'x')?.parents, [ROUTE.parents[1]]);
  });

  test('is nothing where no parent can be read, or its name is not its own', () => {
    assert.equal(closedRoute('http/shop/web', new Uint8Array([1]), 'x'), undefined);
    for (const name of ['http/shop/web@gateway', 'udp/shop/web', 'http/shop/web/more', '']) {
      assert.equal(closedRoute(name, encodeRoute(ROUTE), 'x'), undefined, name);
    }
  });

  test('has the name of the route for Gateways as well', () => {
    const listener = { kind: 'listener', gateway: 'a/b', listener: 'http', hostnames: [] } as const;
    const route: Route = { ...ROUTE, parents: [listener], createdAt: -1 };
    const closed = closedRoute(routeKey(route), encodeRoute(route), 'x');
    assert.equal(closed && routeKey(closed), 'http/shop/web@gateway');
  });
});
