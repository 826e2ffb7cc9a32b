// The cases of the Gateway API's conformance suite, decided as values.

import { describe, test } from 'node:test';
import { compileRoutes } from './match-route.ts';
import {
  assertCases,
  matching,
  ON_LISTENER,
  REGEX,
  routeOf,
  ruleTo,
  tableOf,
} from './test-routes.ts';

describe('matchRoute(), by the cases of the Gateway API', () => {
  test('prefixes go by segments, any match of a rule will do, and a longer prefix beats a header', () => {
    const table = tableOf(
      ruleTo('v1', matching({ path: '/' }), matching({ headers: { version: 'one' } })),
      ruleTo('v2', matching({ path: '/v2' }), matching({ headers: { version: 'two' } })),
    );
    assertCases(table, [
      ['/', 'v1'],
      ['/example', 'v1'],
      ['/', 'v1', { headers: { Version: 'one' } }],
      ['/v2', 'v2'],
      ['/v2/example', 'v2'],
      ['/v2/', 'v2'],
      ['/', 'v2', { headers: { Version: 'two' } }],
      ['/v2example', 'v1'],
      ['/foo/v2/example', 'v1'],
    ]);
  });

  test('exact paths are compared whole, in case and slash too', () => {
    const table = tableOf(
      ruleTo('v1', matching({ path: '=/one' })),
      ruleTo('v2', matching({ path: '=/two' })),
    );
    assertCases(table, [
      ['/one', 'v1'],
      ['/two', 'v2'],
      ['/', '404'],
      ['/one/example', '404'],
      ['/two/', '404'],
      ['/Two', '404'],
    ]);
  });

  test('an exact path comes before prefixes, a longer prefix before a shorter', () => {
    const table = tableOf(
      ruleTo('v1', matching({ path: '=/match' })),
      ruleTo('v2', matching({ path: '=/match/exact' })),
      ruleTo('v3', matching({ path: '=/match/exact/one' })),
      ruleTo('v3', matching({ path: '/match/' })),
      ruleTo('v1', matching({ path: '/match/prefix/' })),
      ruleTo('v2', matching({ path: '/match/prefix/one' })),
    );
    assertCases(table, [
      ['/match/exact/one', 'v3'],
      ['/match/exact', 'v2'],
      ['/match', 'v1'],
      ['/match/prefix/one/any', 'v2'],
      ['/match/prefix/any', 'v1'],
      ['/match/any', 'v3'],
    ]);
  });

  test('more headers come before fewer, the earlier rule first among equals', () => {
    const table = tableOf(
      ruleTo('v1', matching({ headers: { version: 'one' } })),
      ruleTo('v2', matching({ headers: { version: 'two' } })),
      ruleTo('v1', matching({ headers: { version: 'two', color: 'orange' } })),
      ruleTo(
        'v1',
        matching({ headers: { color: 'blue' } }),
        matching({ headers: { color: 'green' } }),
      ),
      ruleTo(
        'v2',
        matching({ headers: { color: 'red' } }),
        matching({ headers: { color: 'yellow' } }),
      ),
    );
    assertCases(table, [
      ['/', 'v1', { headers: { Version: 'one' } }],
      ['/', 'v2', { headers: { Version: 'two' } }],
      ['/', 'v1', { headers: { Version: 'two', Color: 'orange' } }],
      ['/', 'v2', { headers: { Version: 'two', Color: 'blue' } }],
      ['/', '404', { headers: { Color: 'orange' } }],
      ['/', '404', { headers: { 'Some-Other-Header': 'one' } }],
      ['/', 'v1', { headers: { Color: 'blue' } }],
      ['/', 'v1', { headers: { Color: 'green' } }],
      ['/', 'v2', { headers: { Color: 'red' } }],
      ['/', 'v2', { headers: { Color: 'yellow' } }],
      ['/', '404', { headers: { Color: 'purple' } }],
    ]);
  });

  test('a longer path comes before a method, a method before headers', () => {
    const table = tableOf(
      ruleTo('v1', matching({ method: 'POST' })),
      ruleTo('v2', matching({ method: 'GET' })),
      ruleTo('v1', matching({ path: '/path1', method: 'GET' })),
      ruleTo('v2', matching({ headers: { version: 'one' }, method: 'PUT' })),
      ruleTo('v3', matching({ path: '/path2', headers: { version: 'two' }, method: 'POST' })),
      ruleTo(
        'v1',
        matching({ path: '/path3', method: 'PATCH' }),
        matching({ path: '/path4', headers: { version: 'three' }, method: 'DELETE' }),
      ),
      ruleTo('v1', matching({ path: '/path5' })),
      ruleTo('v2', matching({ method: 'PATCH' })),
      ruleTo('v3', matching({ headers: { version: 'four' } })),
    );
    assertCases(table, [
      ['/', 'v1', { method: 'POST' }],
      ['/', 'v2', { method: 'GET' }],
      ['/', '404', { method: 'HEAD' }],
      ['/', '404', { method: 'get' }],
      ['/path1', 'v1', { method: 'GET' }],
      ['/', 'v2', { method: 'PUT', headers: { version: 'one' } }],
      ['/path2', 'v3', { method: 'POST', headers: { version: 'two' } }],
      ['/path3', 'v1', { method: 'PATCH' }],
      ['/path4', 'v1', { method: 'DELETE', headers: { version: 'three' } }],
      ['/', '404', { method: 'PUT' }],
      ['/path4', '404', { method: 'DELETE' }],
      ['/path5', 'v1', { method: 'PATCH' }],
      ['/', 'v2', { method: 'PATCH', headers: { version: 'four' } }],
    ]);
  });

  test('query parameters are compared exactly, names too, and count less than headers', () => {
    const table = tableOf(
      ruleTo('v1', matching({ query: { animal: 'whale' } })),
      ruleTo('v2', matching({ query: { animal: 'dolphin' } })),
      ruleTo(
        'v3',
        matching({ query: { animal: 'dolphin', color: 'blue' } }),
        matching({ query: { ANIMAL: 'Whale' } }),
      ),
      ruleTo('v1', matching({ path: '/path1', query: { animal: 'whale' } })),
      ruleTo('v2', matching({ headers: { version: 'one' }, query: { animal: 'whale' } })),
      ruleTo(
        'v3',
        matching({ path: '/path2', headers: { version: 'two' }, query: { animal: 'whale' } }),
      ),
      ruleTo(
        'v1',
        matching({ path: '/path3', query: { animal: 'shark' } }),
        matching({ path: '/path4', headers: { version: 'three' }, query: { animal: 'kraken' } }),
      ),
      ruleTo('v1', matching({ path: '/path5' })),
      ruleTo('v2', matching({ query: { animal: 'hydra' } })),
      ruleTo('v3', matching({ headers: { version: 'four' } })),
    );
    assertCases(table, [
      ['/?animal=whale', 'v1'],
      ['/?animal=dolphin', 'v2'],
      ['/?animal=dolphin&color=blue', 'v3'],
      ['/?ANIMAL=Whale', 'v3'],
      ['/?animal=whale&otherparam=irrelevant', 'v1'],
      ['/?animal=dolphin&color=yellow', 'v2'],
      ['/?color=blue', '404'],
      ['/?animal=dog', '404'],
      ['/?animal=whaledolphin', '404'],
      ['/', '404'],
      ['/path1?animal=whale', 'v1'],
      ['/?animal=whale', 'v2', { headers: { version: 'one' } }],
      ['/path2?animal=whale', 'v3', { headers: { version: 'two' } }],
      ['/path3?animal=shark', 'v1'],
      ['/path4?animal=kraken', 'v1', { headers: { version: 'three' } }],
      ['/?animal=shark', '404'],
      ['/path4?animal=kraken', '404'],
      ['/path5?animal=hydra', 'v1'],
      ['/?animal=hydra', 'v3', { headers: { version: 'four' } }],
    ]);
  });

  test('precedence goes over all routes of a listener, each for its own hostnames', () => {
    const onHosts = (...hostnames: string[]) => [{ ...ON_LISTENER, hostnames }];
    const routes = [
      routeOf({
        name: 'part1',
        parents: onHosts('example.com', 'example.net'),
        rules: [ruleTo('v1', matching({ path: '/' }), matching({ headers: { version: 'one' } }))],
      }),
      routeOf({
        name: 'part2',
        parents: onHosts('example.com'),
        rules: [ruleTo('v2', matching({ path: '/v2' }), matching({ headers: { version: 'two' } }))],
      }),
    ];
    assertCases(compileRoutes(routes, ON_LISTENER, REGEX), [
      ['/', 'v1', { host: 'example.com' }],
      ['/example', 'v1', { host: 'example.com' }],
      ['/example', 'v1', { host: 'example.net' }],
      ['/example', 'v1', { host: 'example.com', headers: { version: 'one' } }],
      ['/v2', 'v2', { host: 'example.com' }],
      ['/v2', 'v1', { host: 'example.net' }],
      ['/v2/example', 'v2', { host: 'example.com' }],
      ['/', 'v2', { host: 'example.com', headers: { version: 'two' } }],
      ['/', '404', { host: 'example.org' }],
    ]);
  });
});
