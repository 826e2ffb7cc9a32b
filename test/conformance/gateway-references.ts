// What a route refers to: backends of every sort, those that are missing or may not be used, and grants. Run by
// gateway.test.ts; the values are those of the Gateway API's suite.

import {
  ENDPOINT_SLICES,
  HTTP_ROUTES,
  REFERENCE_GRANTS,
  SERVICES,
} from '../../runtime/kubernetes/resources.ts';
import { to } from './gateway-matching.ts';
import { type GatewayStage, gatewayParent, INFRA, WEB } from './gateway-stage.ts';
import { expectThrough, type GatewayTest, type Needed } from './gateway-test.ts';
import { httpRoute, prefix } from './objects.ts';
import { ALL_IS_WELL } from './route-status.ts';
import { expectStatus } from './routes.ts';

const WEB_BACKEND = { backendRefs: [{ name: 'web-backend', namespace: WEB, port: 8080 }] };
const NOT_PERMITTED = { accepted: 'True', resolvedRefs: 'False/RefNotPermitted' } as const;

function route(name: string, rules: readonly object[]) {
  const parentRefs = [gatewayParent('http')];
  return httpRoute(INFRA, name, { parentRefs, hostnames: [`${name}.example`], rules });
}

/** From HTTPRoutes here to Services there, but for what is given. */
function grant(
  name: string,
  from: object = {},
  toWhat: object = {},
  namespace = WEB,
): Needed[number] {
  return [
    REFERENCE_GRANTS,
    {
      metadata: { name, namespace },
      spec: {
        from: [
          { group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: INFRA, ...from },
        ],
        to: [{ group: '', kind: 'Service', name: 'granted-backend', ...toWhat }],
      },
    },
  ];
}

function service(name: string, spec: object): Needed[number] {
  const ports = [{ name: 'first-port', port: 8080, targetPort: 3000 }];
  return [SERVICES, { metadata: { name, namespace: INFRA }, spec: { ports, ...spec } }];
}

/** Endpoints that somebody wrote. */
function slice(name: string, serviceName: string, ip: string): Needed[number] {
  return [
    ENDPOINT_SLICES,
    {
      metadata: {
        name,
        namespace: INFRA,
        labels: { 'kubernetes.io/service-name': serviceName },
      },
      addressType: 'IPv4',
      ports: [{ name: 'first-port', port: 3000, protocol: 'TCP' }],
      endpoints: [{ addresses: [ip], conditions: { ready: true } }],
    },
  ];
}

/** What a grant is good for: the same Service under a name that only the grants of these tests name. */
const GRANTED: Needed[number] = [
  SERVICES,
  {
    metadata: { name: 'granted-backend', namespace: WEB },
    spec: { selector: { app: 'web-backend' }, ports: [{ port: 8080, targetPort: 3000 }] },
  },
];

async function revoke(stage: GatewayStage): Promise<void> {
  const { sandbox } = stage;
  const name = { resource: HTTP_ROUTES, namespace: INFRA, name: 'granted' };
  await sandbox.client.delete(REFERENCE_GRANTS, 'good', WEB);
  await expectStatus(sandbox, name, NOT_PERMITTED);
  await expectThrough(stage, [{ url: 'http://granted.example/', status: 500 }]);
}

export const GATEWAY_REFERENCES: readonly GatewayTest[] = [
  {
    name: 'HTTPRouteNoBackendRefs',
    routes: [
      route('no-backends', [
        { matches: [prefix('/omitted')] },
        { matches: [prefix('/empty')], backendRefs: [] },
        { matches: [prefix('/some')], ...to('v1') },
      ]),
    ],
    rows: [
      { url: 'http://no-backends.example/omitted', status: 500 },
      { url: 'http://no-backends.example/empty', status: 500 },
      { url: 'http://no-backends.example/some', backend: 'infra-backend-v1' },
    ],
  },
  {
    name: 'HTTPRouteServiceTypes',
    needs: ({ backendIp }) => [
      service('manual', {}),
      slice('manual-1', 'manual', backendIp),
      service('headless', { clusterIP: 'None', selector: { app: 'infra-backend-v1' } }),
      service('headless-manual', { clusterIP: 'None' }),
      slice('headless-manual-1', 'headless-manual', backendIp),
    ],
    routes: [
      route(
        'service-types',
        ['manual', 'headless', 'headless-manual'].map((name) => ({
          matches: [prefix(`/${name}`)],
          backendRefs: [{ name, port: 8080 }],
        })),
      ),
    ],
    rows: ['manual', 'headless', 'headless-manual'].map((name) => ({
      url: `http://service-types.example/${name}`,
      backend: 'infra-backend-v1',
    })),
  },
  {
    name: 'HTTPRouteInvalidNonExistentBackendRef',
    routes: [route('nonexistent', [{ backendRefs: [{ name: 'nonexistent', port: 8080 }] }])],
    verdicts: { accepted: 'True', resolvedRefs: 'False/BackendNotFound' },
    rows: [{ url: 'http://nonexistent.example/', status: 500 }],
  },
  {
    name: 'HTTPRouteInvalidBackendRefUnknownKind',
    routes: [
      route('unknown-kind', [
        {
          backendRefs: [
            { group: 'unknown.example.com', kind: 'NonExistent', name: 'x', port: 8080 },
          ],
        },
      ]),
    ],
    verdicts: { accepted: 'True', resolvedRefs: 'False/InvalidKind' },
    rows: [{ url: 'http://unknown-kind.example/', status: 500 }],
  },
  {
    name: 'HTTPRouteInvalidCrossNamespaceBackendRef',
    routes: [route('not-granted', [WEB_BACKEND])],
    verdicts: NOT_PERMITTED,
    rows: [{ url: 'http://not-granted.example/', status: 500 }],
  },
  {
    name: 'HTTPRouteInvalidReferenceGrant: seven that miss it by one thing each',
    needs: [
      grant('wrong-group', { group: 'not-the-group.example' }, { name: 'web-backend' }),
      grant('wrong-kind', { kind: 'TCPRoute' }, { name: 'web-backend' }),
      grant('wrong-namespace', { namespace: 'not-the-namespace' }, { name: 'web-backend' }),
      grant('wrong-to-group', {}, { group: 'apps', name: 'web-backend' }),
      grant('wrong-to-kind', {}, { kind: 'Secret', name: 'web-backend' }),
      grant('wrong-to-name', {}, { name: 'not-web-backend' }),
      grant('wrong-place', {}, { name: 'web-backend' }, INFRA),
    ],
    routes: [route('nearly-granted', [WEB_BACKEND])],
    verdicts: NOT_PERMITTED,
    rows: [{ url: 'http://nearly-granted.example/', status: 500 }],
  },
  {
    name: 'HTTPRouteReferenceGrant: and after it is gone',
    needs: [GRANTED, grant('good')],
    routes: [
      route('granted', [
        { backendRefs: [{ name: 'granted-backend', namespace: WEB, port: 8080 }] },
      ]),
    ],
    rows: [{ url: 'http://granted.example/', backend: 'web-backend', seen: { namespace: WEB } }],
    afterwards: revoke,
  },
  {
    name: 'HTTPRoutePartiallyInvalidViaInvalidReferenceGrant',
    routes: [
      route('partial', [
        { matches: [prefix('/v1')], ...to('v1') },
        { matches: [prefix('/v2')], ...WEB_BACKEND },
      ]),
    ],
    verdicts: NOT_PERMITTED,
    rows: [
      { url: 'http://partial.example/v1', backend: 'infra-backend-v1' },
      { url: 'http://partial.example/v2', status: 500 },
    ],
  },
  {
    name: 'HTTPRouteObservedGenerationBump',
    routes: [route('bumped', [to('v1')])],
    rows: [{ url: 'http://bumped.example/', backend: 'infra-backend-v1' }],
    async afterwards(stage) {
      const { sandbox } = stage;
      await sandbox.client.patch(HTTP_ROUTES, 'bumped', INFRA, { spec: { rules: [to('v2')] } });
      const name = { resource: HTTP_ROUTES, namespace: INFRA, name: 'bumped' };
      await expectStatus(sandbox, name, ALL_IS_WELL);
      await expectThrough(stage, [{ url: 'http://bumped.example/', backend: 'infra-backend-v2' }]);
    },
  },
];
