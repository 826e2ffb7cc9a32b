// Which rule a request meets: paths, headers, query parameters, and what comes before what. Run by mesh.test.ts; the
// values are those of the Gateway API's suite.

import type { Row } from './expectation.ts';
import { MESH } from './mesh-stage.ts';
import type { MeshTest } from './mesh-test.ts';
import { header, httpRoute, prefix, query, serviceParent } from './objects.ts';

const TO_V1 = { backendRefs: [{ name: 'echo-v1', port: 8080 }] };
const TO_V2 = { backendRefs: [{ name: 'echo-v2', port: 8080 }] };

const ONE = { version: 'one' };

/** Paths of a front and who must answer them. */
function rowsOf(
  front: string,
  table: readonly (readonly [
    target: string,
    who: 'v1' | 'v2' | 404,
    headers?: Readonly<Record<string, string>>,
  ])[],
): Row[] {
  return table.map(([target, who, headers]) => ({
    url: `http://${front}${target}`,
    ...(headers === undefined ? {} : { headers }),
    ...(who === 404 ? { status: 404 } : { backend: `echo-${who}` }),
  }));
}

export const MATCHING: readonly MeshTest[] = [
  {
    name: 'MeshHTTPRouteMatching',
    fronts: { matching: 'both' },
    routes: [
      httpRoute(MESH, 'matching', {
        parentRefs: [serviceParent('matching', 80)],
        rules: [
          { matches: [prefix('/'), header('version', 'one')], ...TO_V1 },
          { matches: [prefix('/v2'), header('version', 'two')], ...TO_V2 },
        ],
      }),
    ],
    rows: rowsOf('matching', [
      ['/', 'v1'],
      ['/example', 'v1'],
      ['/', 'v1', { Version: 'one' }],
      ['/v2', 'v2'],
      ['/v2/example', 'v2'],
      ['/v2/', 'v2'],
      ['/', 'v2', { Version: 'two' }],
      // a prefix goes by segments
      ['/v2example', 'v1'],
      ['/foo/v2/example', 'v1'],
    ]),
  },
  {
    name: 'MeshHTTPRouteQueryParamMatching',
    fronts: { query: 'both' },
    routes: [
      httpRoute(MESH, 'query', {
        parentRefs: [serviceParent('query', 80)],
        rules: [
          { matches: [query('animal', 'whale')], ...TO_V1 },
          { matches: [query('animal', 'dolphin')], ...TO_V2 },
          { matches: [{ ...prefix('/path1'), ...query('animal', 'whale') }], ...TO_V1 },
          { matches: [{ ...header('version', 'one'), ...query('animal', 'whale') }], ...TO_V2 },
          {
            matches: [
              { ...prefix('/path3'), ...query('animal', 'shark') },
              { ...prefix('/path4'), ...header('version', 'three'), ...query('animal', 'kraken') },
            ],
            ...TO_V1,
          },
          { matches: [prefix('/path5')], ...TO_V1 },
          { matches: [query('animal', 'hydra')], ...TO_V2 },
        ],
      }),
    ],
    rows: rowsOf('query', [
      ['/?animal=whale', 'v1'],
      ['/?animal=dolphin', 'v2'],
      ['/?animal=whale&otherparam=irrelevant', 'v1'],
      ['/?animal=dolphin&color=yellow', 'v2'],
      ['/?color=blue', 404],
      ['/?animal=dog', 404],
      ['/?animal=whaledolphin', 404],
      ['/', 404],
      ['/path1?animal=whale', 'v1'],
      ['/?animal=whale', 'v2', ONE],
      ['/path3?animal=shark', 'v1'],
      ['/path4?animal=kraken', 'v1', { version: 'three' }],
      ['/?animal=shark', 404],
      ['/path4?animal=kraken', 404],
      // a longer path comes before any parameter
      ['/path5?animal=hydra', 'v1'],
      // names and values by their case
      ['/?Animal=whale', 404],
      ['/?animal=Whale', 404],
    ]),
  },
  {
    name: 'MeshHTTPRouteNamedRule',
    fronts: { named: 'both' },
    routes: [
      httpRoute(MESH, 'named', {
        parentRefs: [serviceParent('named', 80)],
        rules: [
          { name: 'named-rule', matches: [prefix('/named')], ...TO_V1 },
          { matches: [prefix('/unnamed')], ...TO_V2 },
        ],
      }),
    ],
    rows: rowsOf('named', [
      ['/named', 'v1'],
      ['/unnamed', 'v2'],
    ]),
  },
];
