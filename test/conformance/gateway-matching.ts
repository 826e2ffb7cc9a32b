// Which rule of which route a request through a Gateway meets. Run by gateway.test.ts; the values are those of the Gateway
// API's suite, each test with host names of its own.

import { type GatewayRow, gatewayParent, INFRA, WEB } from './gateway-stage.ts';
import type { GatewayTest } from './gateway-test.ts';
import { HEADER_EDITS, headerRows, REWRITES, requestHeaders, rewriteRows } from './mesh-filters.ts';
import { exact, header, httpRoute, prefix, query } from './objects.ts';
import {
  HOST_AND_STATUS,
  PATHS,
  PORTS,
  redirectRows,
  redirectRules,
  SCHEMES,
  STATUSES,
} from './redirects.ts';

type Who = 'v1' | 'v2' | 'v3' | 404;

export function to(version: 'v1' | 'v2' | 'v3'): object {
  return { backendRefs: [{ name: `infra-backend-${version}`, port: 8080 }] };
}

/** A route of host names through the listener for its own namespace. */
function route(name: string, hostnames: readonly string[], rules: readonly object[]) {
  return httpRoute(INFRA, name, { parentRefs: [gatewayParent('http')], hostnames, rules });
}

function rowsOf(
  host: string,
  table: readonly (readonly [
    target: string,
    who: Who,
    headers?: Readonly<Record<string, string>>,
    method?: string,
  ])[],
): GatewayRow[] {
  return table.map(([target, who, headers, method]) => ({
    url: `http://${host}${target}`,
    ...(headers === undefined ? {} : { headers }),
    ...(method === undefined ? {} : { method }),
    ...(who === 404 ? { status: 404 } : { backend: `infra-backend-${who}` }),
  }));
}

const REDIRECTS = [
  ...HOST_AND_STATUS,
  ...PATHS,
  ...PORTS,
  ...SCHEMES,
  STATUSES[303],
  STATUSES[307],
  STATUSES[308],
];

export const GATEWAY_MATCHING: readonly GatewayTest[] = [
  {
    name: 'HTTPRouteSimpleSameNamespace',
    routes: [route('simple', ['simple.example'], [to('v1')])],
    rows: rowsOf('simple.example', [['/', 'v1']]),
  },
  {
    name: 'HTTPRouteCrossNamespace',
    routes: [
      httpRoute(WEB, 'cross', {
        parentRefs: [gatewayParent('backends', { namespace: INFRA })],
        hostnames: ['cross.example'],
        rules: [{ backendRefs: [{ name: 'web-backend', port: 8080 }] }],
      }),
    ],
    rows: [
      {
        url: 'http://cross.example/',
        via: 'backends',
        backend: 'web-backend',
        seen: { namespace: WEB },
      },
    ],
  },
  {
    name: 'HTTPRouteExactPathMatching',
    routes: [
      route(
        'exact',
        ['exact.example'],
        [
          { matches: [exact('/one')], ...to('v1') },
          { matches: [exact('/two')], ...to('v2') },
        ],
      ),
    ],
    rows: rowsOf('exact.example', [
      ['/one', 'v1'],
      ['/two', 'v2'],
      ['/', 404],
      ['/one/example', 404],
      ['/two/', 404],
      ['/Two', 404],
    ]),
  },
  {
    name: 'HTTPRouteMatching',
    routes: [
      route(
        'matching',
        ['matching.example'],
        [
          { matches: [prefix('/'), header('version', 'one')], ...to('v1') },
          { matches: [prefix('/v2'), header('version', 'two')], ...to('v2') },
        ],
      ),
    ],
    rows: rowsOf('matching.example', [
      ['/', 'v1'],
      ['/example', 'v1'],
      ['/', 'v1', { Version: 'one' }],
      ['/v2', 'v2'],
      ['/v2/example', 'v2'],
      ['/', 'v2', { Version: 'two' }],
      ['/v2/', 'v2'],
      ['/v2example', 'v1'],
      ['/foo/v2/example', 'v1'],
    ]),
  },
  {
    name: 'HTTPRouteMatchingAcrossRoutes',
    routes: [
      route(
        'across-1',
        ['across.com', 'across.net'],
        [{ matches: [prefix('/'), header('version', 'one')], ...to('v1') }],
      ),
      route(
        'across-2',
        ['across.com'],
        [{ matches: [prefix('/v2'), header('version', 'two')], ...to('v2') }],
      ),
    ],
    rows: [
      ...rowsOf('across.com', [
        ['/', 'v1'],
        ['/example', 'v1'],
        ['/example', 'v1', { Version: 'one' }],
        ['/v2', 'v2'],
        // a longer path comes before any header
        ['/v2example', 'v1'],
        ['/foo/v2/example', 'v1'],
        ['/', 'v2', { Version: 'two' }],
      ]),
      ...rowsOf('across.net', [
        ['/', 'v1'],
        ['/v2', 'v1'],
        ['/v2', 'v1', { Version: 'two' }],
      ]),
    ],
  },
  {
    name: 'HTTPRoutePathMatchOrder',
    routes: [
      route(
        'order',
        ['order.example'],
        [
          { matches: [prefix('/match/')], ...to('v3') },
          { matches: [prefix('/match/prefix/')], ...to('v1') },
          { matches: [prefix('/match/prefix/one')], ...to('v2') },
          { matches: [exact('/match/exact/one')], ...to('v3') },
          { matches: [exact('/match/exact')], ...to('v2') },
          { matches: [exact('/match')], ...to('v1') },
        ],
      ),
    ],
    rows: rowsOf('order.example', [
      ['/match/exact/one', 'v3'],
      ['/match/exact', 'v2'],
      ['/match', 'v1'],
      ['/match/prefix/one/any', 'v2'],
      ['/match/prefix/any', 'v1'],
      ['/match/any', 'v3'],
    ]),
  },
  {
    name: 'HTTPRouteHeaderMatching',
    routes: [
      route(
        'header',
        ['header.example'],
        [
          { matches: [header('version', 'one')], ...to('v1') },
          { matches: [header('version', 'two')], ...to('v2') },
          {
            matches: [
              {
                headers: [
                  { name: 'version', value: 'two' },
                  { name: 'color', value: 'orange' },
                ],
              },
            ],
            ...to('v1'),
          },
          { matches: [header('color', 'blue'), header('color', 'green')], ...to('v1') },
          { matches: [header('color', 'red'), header('color', 'yellow')], ...to('v2') },
        ],
      ),
    ],
    rows: rowsOf('header.example', [
      ['/', 'v1', { Version: 'one' }],
      ['/', 'v2', { Version: 'two' }],
      // more headers come first, then the earlier rule
      ['/', 'v1', { Version: 'two', Color: 'orange' }],
      ['/', 'v2', { Version: 'two', Color: 'blue' }],
      ['/', 'v1', { Color: 'blue' }],
      ['/', 'v1', { Color: 'green' }],
      ['/', 'v2', { Color: 'red' }],
      ['/', 'v2', { Color: 'yellow' }],
      ['/', 404, { Color: 'orange' }],
      ['/', 404, { 'Some-Other-Header': 'one' }],
      ['/', 404, { Version: 'ONE' }],
    ]),
  },
  {
    name: 'HTTPRouteMethodMatching',
    routes: [
      route(
        'method',
        ['method.example'],
        [
          { matches: [{ method: 'POST' }], ...to('v1') },
          { matches: [{ method: 'GET' }], ...to('v2') },
          { matches: [{ ...prefix('/path1'), method: 'GET' }], ...to('v1') },
          { matches: [{ ...header('version', 'one'), method: 'PUT' }], ...to('v2') },
          {
            matches: [{ ...prefix('/path2'), ...header('version', 'two'), method: 'POST' }],
            ...to('v3'),
          },
          { matches: [prefix('/path5')], ...to('v1') },
          { matches: [{ method: 'PATCH' }], ...to('v2') },
          { matches: [header('version', 'four')], ...to('v1') },
        ],
      ),
    ],
    rows: rowsOf('method.example', [
      ['/', 'v1', {}, 'POST'],
      ['/', 'v2', {}, 'GET'],
      ['/', 404, {}, 'HEAD'],
      ['/path1', 'v1', {}, 'GET'],
      ['/', 'v2', { Version: 'one' }, 'PUT'],
      ['/path2', 'v3', { Version: 'two' }, 'POST'],
      // path before method, method before headers
      ['/path5', 'v1', {}, 'PATCH'],
      ['/', 'v2', { Version: 'four' }, 'PATCH'],
    ]),
  },
  {
    name: 'HTTPRouteQueryParamMatching',
    routes: [
      route(
        'query',
        ['query.example'],
        [
          { matches: [query('animal', 'whale')], ...to('v1') },
          { matches: [query('animal', 'dolphin')], ...to('v2') },
          {
            matches: [
              {
                queryParams: [
                  { name: 'animal', value: 'dolphin' },
                  { name: 'color', value: 'blue' },
                ],
              },
              query('ANIMAL', 'Whale'),
            ],
            ...to('v3'),
          },
          { matches: [{ ...header('version', 'one'), ...query('animal', 'whale') }], ...to('v2') },
        ],
      ),
    ],
    rows: rowsOf('query.example', [
      ['/?animal=whale', 'v1'],
      ['/?animal=dolphin', 'v2'],
      ['/?animal=dolphin&color=blue', 'v3'],
      ['/?ANIMAL=Whale', 'v3'],
      ['/?animal=whale&otherparam=irrelevant', 'v1'],
      ['/?animal=whale', 'v2', { Version: 'one' }],
      ['/?animal=Whale', 404],
      ['/?animal=dog', 404],
      ['/', 404],
    ]),
  },
  {
    name: 'HTTPRouteWeight',
    routes: [
      route(
        'weight',
        ['weight.example'],
        [
          {
            backendRefs: [
              { name: 'infra-backend-v1', port: 8080, weight: 70 },
              { name: 'infra-backend-v2', port: 8080, weight: 30 },
              { name: 'infra-backend-v3', port: 8080, weight: 0 },
            ],
          },
        ],
      ),
    ],
    rows: [{ url: 'http://weight.example/' }],
    shares: { 'infra-backend-v1': 0.7, 'infra-backend-v2': 0.3 },
  },
  {
    name: 'HTTPRouteRequestHeaderModifier',
    routes: [
      route(
        'request-headers',
        ['request-headers.example'],
        Object.entries(HEADER_EDITS).map(([path, edit]) => ({
          matches: [prefix(path)],
          filters: [requestHeaders(edit)],
          ...to('v1'),
        })),
      ),
    ],
    rows: headerRows('http://request-headers.example', 'infra-backend-v1'),
  },
  {
    name: 'HTTPRouteRewritePath, HTTPRouteRewriteHost',
    routes: [
      route(
        'rewrites',
        ['rewrites.example'],
        [
          ...REWRITES.map(([path, ...filters]) => ({
            matches: [prefix(path)],
            filters,
            ...to('v1'),
          })),
          {
            matches: [prefix('/host')],
            filters: [{ type: 'URLRewrite', urlRewrite: { hostname: 'one.example.org' } }],
            ...to('v1'),
          },
        ],
      ),
    ],
    rows: [
      ...rewriteRows('http://rewrites.example', 'infra-backend-v1'),
      { url: 'http://rewrites.example/host', seen: { host: 'one.example.org' } },
    ],
  },
  {
    name: 'HTTPRouteRedirectHostAndStatus, and redirects of path, port, scheme and status',
    // a route has 16 rules at most
    routes: [
      route('redirects-1', ['redirects.example'], redirectRules(REDIRECTS.slice(0, 12))),
      route('redirects-2', ['redirects.example'], redirectRules(REDIRECTS.slice(12))),
    ],
    rows: redirectRows('redirects.example', REDIRECTS),
  },
  {
    name: 'HTTPRouteBackendProtocolH2C, HTTPRouteBackendProtocolWebSocket',
    routes: [
      route(
        'protocols',
        ['protocols.example'],
        [
          {
            matches: [prefix('/h2c')],
            backendRefs: [{ name: 'infra-backend-v1', port: 8081 }],
          },
          {
            matches: [prefix('/ws')],
            backendRefs: [{ name: 'infra-backend-v1', port: 8082 }],
          },
        ],
      ),
    ],
    rows: [
      { url: 'http://protocols.example/h2c', seen: { proto: 'HTTP/2.0' } },
      { url: 'h2c://protocols.example/h2c', seen: { proto: 'HTTP/2.0' } },
      { url: 'ws://protocols.example/ws' },
    ],
  },
];
