// Which listener a route belongs to, and which listener a request meets: names, ports, host names, TLS, other namespaces.
// Run by gateway.test.ts; the values are those of the Gateway API's suite.

import { to } from './gateway-matching.ts';
import { type GatewayRow, gatewayParent, INFRA, type Via, WEB } from './gateway-stage.ts';
import type { GatewayTest } from './gateway-test.ts';
import { httpRoute, prefix } from './objects.ts';

function route(
  name: string,
  parents: readonly object[],
  hostnames: readonly string[],
  rules: object[],
) {
  return httpRoute(INFRA, name, {
    parentRefs: parents,
    ...(hostnames.length === 0 ? {} : { hostnames }),
    rules,
  });
}

function rows(
  via: Via,
  table: readonly (readonly [url: string, who: 'v1' | 'v2' | 'v3' | 404])[],
): GatewayRow[] {
  return table.map(([url, who]) => ({
    url,
    via,
    ...(who === 404 ? { status: 404 } : { backend: `infra-backend-${who}` }),
  }));
}

const NO_PARENT = { accepted: 'False/NoMatchingParent', resolvedRefs: 'True' } as const;

/** A listener, and a host that only it is to answer. */
const ISOLATED = [
  ['any', 'bar.com'],
  ['example', 'bar.example.com'],
  ['foo', 'bar.foo.example.com'],
  ['abc', 'abc.foo.example.com'],
] as const;

export const GATEWAY_PARENTS: readonly GatewayTest[] = [
  {
    name: 'HTTPRouteListenerHostnameMatching: the listener whose host name says most',
    routes: [
      route('listener-1', [gatewayParent('bar')], [], [to('v1')]),
      route('listener-2', [gatewayParent('foo-bar')], [], [to('v2')]),
      route('listener-3', [gatewayParent('any-bar'), gatewayParent('any-foo')], [], [to('v3')]),
    ],
    rows: rows('bar', [
      ['http://bar.com/', 'v1'],
      ['http://foo.bar.com/', 'v2'],
      ['http://boo.bar.com/', 'v3'],
      ['http://multiple.prefixes.bar.com/', 'v3'],
      ['http://a.foo.com/', 'v3'],
      ['http://a.b.foo.com/', 'v3'],
      // a port in Host is no part of the name
      ['http://bar.com:8080/', 'v1'],
      ['http://foo.com/', 404],
      ['http://no.matching.host/', 404],
    ]),
  },
  {
    name: 'HTTPRouteHostnameIntersection: the hosts that both listener and route name',
    routes: [
      route(
        'intersection-1',
        [gatewayParent('any-foo')],
        ['very.specific.foo.com', '*.wild.foo.com', 'not.intersecting.com'],
        [to('v1')],
      ),
      route(
        'intersection-2',
        [gatewayParent('foo-bar')],
        ['*.bar.com'],
        [{ matches: [prefix('/intersection')], ...to('v1') }],
      ),
    ],
    rows: rows('any-foo', [
      ['http://very.specific.foo.com/', 'v1'],
      ['http://x.wild.foo.com/', 'v1'],
      ['http://y.x.wild.foo.com/', 'v1'],
      ['http://not.intersecting.com/', 404],
      ['http://foo.bar.com/intersection', 'v1'],
    ]),
  },
  {
    name: 'HTTPRouteHostnameIntersection: a listener and a route have no host in common',
    routes: [
      route('no-intersection', [gatewayParent('bar')], ['elsewhere.com', '*.bar.com'], [to('v1')]),
    ],
    verdicts: { accepted: 'False/NoMatchingListenerHostname', resolvedRefs: 'True' },
    rows: rows('bar', [['http://elsewhere.com/', 404]]),
  },
  {
    name: 'GatewayHTTPListenerIsolation: only the listener whose host name says most answers',
    routes: ISOLATED.map(([word]) =>
      route(
        `isolated-${word}`,
        [gatewayParent(`isolated-${word}`)],
        [],
        [{ matches: [prefix(`/${word}`)], ...to('v1') }],
      ),
    ),
    rows: rows(
      'isolated-any',
      ISOLATED.flatMap(([own, host]) =>
        ISOLATED.map(([word]) => [`http://${host}/${word}`, word === own ? 'v1' : 404] as const),
      ),
    ),
  },
  {
    name: 'HTTPRouteDisallowedKind',
    routes: [route('disallowed', [gatewayParent('through')], [], [to('v1')])],
    verdicts: { accepted: 'False/NotAllowedByListeners', resolvedRefs: 'True' },
    rows: [],
  },
  {
    name: 'HTTPRouteMultipleGateways',
    routes: [
      route(
        'multiple',
        [gatewayParent('http'), gatewayParent('any-foo')],
        ['multiple.foo.com'],
        [{ matches: [prefix('/shared')], ...to('v1') }],
      ),
      route('multiple-1', [gatewayParent('http')], ['multiple.foo.com'], [to('v2')]),
      route('multiple-2', [gatewayParent('any-foo')], ['multiple.foo.com'], [to('v3')]),
    ],
    rows: [
      ...rows('http', [
        ['http://multiple.foo.com/shared', 'v1'],
        ['http://multiple.foo.com/', 'v2'],
      ]),
      ...rows('any-foo', [
        ['http://multiple.foo.com/shared', 'v1'],
        ['http://multiple.foo.com/', 'v3'],
      ]),
    ],
  },
  {
    name: 'HTTPRouteHTTPSListener',
    routes: [
      route('https', [gatewayParent('https')], ['https.example'], [to('v1')]),
      route('second-https', [gatewayParent('second-https')], [], [to('v2')]),
    ],
    rows: rows('https', [
      ['https://https.example/', 'v1'],
      ['https://unknown.https.example/', 404],
      ['https://second-example.org/', 'v2'],
    ]),
  },
  {
    name: 'HTTPRouteInvalidCrossNamespaceParentRef',
    routes: [
      httpRoute(WEB, 'not-allowed', {
        parentRefs: [gatewayParent('http', { namespace: INFRA })],
        hostnames: ['not-allowed.example'],
        rules: [{ backendRefs: [{ name: 'web-backend', port: 8080 }] }],
      }),
    ],
    verdicts: { accepted: 'False/NotAllowedByListeners', resolvedRefs: 'True' },
    rows: [{ url: 'http://not-allowed.example/', status: 404 }],
  },
  {
    name: 'HTTPRouteInvalidParentRefNotMatchingSectionName, and no such port',
    routes: [
      route(
        'no-section',
        [{ name: 'shared', sectionName: 'nothing' }],
        ['no-section.example'],
        [to('v1')],
      ),
      route('no-port', [{ name: 'shared', port: 81 }], ['no-port.example'], [to('v1')]),
      route(
        'section-of-other-port',
        [gatewayParent('http', { port: 8080 })],
        ['section-of-other-port.example'],
        [to('v1')],
      ),
    ],
    verdicts: NO_PARENT,
    rows: rows('http', [
      ['http://no-section.example/', 404],
      ['http://no-port.example/', 404],
      ['http://section-of-other-port.example/', 404],
    ]),
  },
  {
    name: 'HTTPRouteListenerPortMatching',
    routes: [
      route('port-80', [{ name: 'shared', port: 80 }], ['ports.example'], [to('v1')]),
      route('port-8080', [{ name: 'shared', port: 8080 }], ['ports.example'], [to('v2')]),
    ],
    rows: [
      ...rows('http', [['http://ports.example/', 'v1']]),
      ...rows('all', [['http://ports.example/', 'v2']]),
      ...rows('backends', [['http://ports.example/', 404]]),
    ],
  },
];
