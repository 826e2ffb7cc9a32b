// TLS and bytes through a Gateway: whose host a connection is for, where its TLS ends, what is spoken to the backend, and
// certificates that change. Run by gateway.test.ts; the values are those of the Gateway API's suite, where it has the test.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Condition, KubeObject } from '../../runtime/kubernetes/objects.ts';
import {
  BACKEND_TLS_POLICIES,
  GRPC_ROUTES,
  SECRETS,
  TCP_ROUTES,
  TLS_ROUTES,
} from '../../runtime/kubernetes/resources.ts';
import { createAuthority } from '../../sandbox/apiserver/auth/certificates.ts';
import { waitFor } from '../support/wait-for.ts';
import { conditionProblems, type Verdict } from './conditions.ts';
import { wordsOf } from './expectation.ts';
import { to } from './gateway-matching.ts';
import {
  type GatewayStage,
  gatewayParent,
  INFRA,
  TLS_BACKEND,
  through,
  tlsSecret,
  WEB,
} from './gateway-stage.ts';
import { expectThrough, type GatewayTest, type Needed } from './gateway-test.ts';
import { httpRoute, prefix, type RouteObject } from './objects.ts';
import { askAll } from './requests.ts';
import { CONTROLLER } from './route-status.ts';

function route(
  resource: RouteObject['resource'],
  name: string,
  spec: Readonly<Record<string, unknown>>,
): RouteObject {
  return { resource, object: { metadata: { name, namespace: INFRA }, spec } };
}

function tcp(port: number, name = 'infra-backend-v1'): object {
  return { backendRefs: [{ name, port }] };
}

/** For one port of the backend that speaks TLS. */
function policy(name: string, sectionName: string, validation: object): Needed[number] {
  return [
    BACKEND_TLS_POLICIES,
    {
      metadata: { name, namespace: INFRA },
      spec: {
        targetRefs: [{ group: '', kind: 'Service', name: TLS_BACKEND.name, sectionName }],
        validation,
      },
    },
  ];
}

const KNOWN_CA = { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'backend-ca' }] };
const MISSING_CA = { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'nonexistent' }] };

type Policy = KubeObject & {
  readonly status?: {
    readonly ancestors?: readonly {
      readonly ancestorRef: { readonly name: string; readonly namespace?: string };
      readonly controllerName: string;
      readonly conditions: readonly Condition[];
    }[];
  };
};

async function expectPolicy(
  { sandbox }: GatewayStage,
  name: string,
  verdicts: Readonly<Record<string, Verdict>>,
): Promise<void> {
  await waitFor<Policy>(sandbox.client, BACKEND_TLS_POLICIES, { namespace: INFRA }, (all) => {
    const one = all.find(({ metadata }) => metadata.name === name);
    const said = one?.status?.ancestors?.filter(
      ({ ancestorRef, controllerName }) =>
        controllerName === CONTROLLER &&
        ancestorRef.name === 'shared' &&
        ancestorRef.namespace === INFRA,
    );
    const generation = one?.metadata.generation ?? 0;
    return (
      said?.length === 1 &&
      conditionProblems(said[0]?.conditions ?? [], verdicts, generation).length === 0
    );
  });
}

/** Another certificate in the Secret: by an authority of its own, so that clients can tell which they were shown. */
async function rotate(stage: GatewayStage): Promise<void> {
  const { client, directory } = stage.sandbox;
  const authority = await createAuthority(Date.now());
  const caFile = join(directory, 'rotated-ca.pem');
  await writeFile(caFile, authority.caPem);
  const pair = await authority.issue({ commonName: 'rotated', hosts: ['rotated.wildcard.org'] });
  const { data } = tlsSecret(INFRA, 'rotated', pair) as unknown as { data: object };
  await client.patch(SECRETS, 'listeners-rotated', INFRA, { data });
  const [row] = ROTATED;
  await expectThrough(stage, [{ ...row, words: [`--ca=${caFile}`] }]);
}

/** TLS is not even begun, so that nobody takes a refusal of ours for the backend's. */
async function expectCut(stage: GatewayStage): Promise<void> {
  for (const name of ['nonexistent', 'unknown', 'not-granted']) {
    const row = through(stage, { url: `https://${name}.through.example/`, via: 'through' });
    const [results = []] = await askAll(stage, stage.usual, [wordsOf(row)]);
    assert.equal(results[0]?.ok, false, `${name} was answered`);
  }
}

const ROTATED = [
  { url: 'https://rotated.wildcard.org/', via: 'rotated', backend: 'infra-backend-v3' },
] as const;

export const GATEWAY_TLS: readonly GatewayTest[] = [
  {
    name: 'HTTPRouteHTTPSListenerDetectMisdirectedRequests',
    routes: [
      httpRoute(INFRA, 'misdirected-1', {
        parentRefs: [gatewayParent('https')],
        hostnames: ['misdirected.https.example'],
        rules: [to('v1')],
      }),
      httpRoute(INFRA, 'misdirected-2', {
        parentRefs: [gatewayParent('wild-https')],
        hostnames: ['misdirected.wildcard.org'],
        rules: [to('v2')],
      }),
    ],
    rows: (
      [
        ['misdirected.https.example', 'misdirected.https.example', 'infra-backend-v1'],
        ['misdirected.wildcard.org', 'misdirected.wildcard.org', 'infra-backend-v2'],
        // the same listener, and none of its routes
        ['misdirected.wildcard.org', 'unknown.wildcard.org', 404],
        ['misdirected.https.example', 'unknown.https.example', 404],
        // another listener's
        ['misdirected.https.example', 'misdirected.wildcard.org', 421],
        ['misdirected.wildcard.org', 'misdirected.https.example', 421],
        ['misdirected.wildcard.org', 'second-example.org', 421],
      ] as const
    ).map(([serverName, host, expected]) => ({
      url: `h2://${host}/`,
      via: 'https' as const,
      words: [`--server-name=${serverName}`],
      ...(typeof expected === 'number' ? { status: expected } : { backend: expected }),
    })),
  },
  {
    name: 'GRPCRoute: by header and by method; what meets no rule is unimplemented',
    routes: [
      route(GRPC_ROUTES, 'grpc', {
        parentRefs: [gatewayParent('http')],
        hostnames: ['grpc.example'],
        rules: [
          {
            matches: [
              {
                method: { service: 'proto.EchoTestService' },
                headers: [{ name: 'x-to', value: 'v2' }],
              },
            ],
            backendRefs: [{ name: 'infra-backend-v2', port: 8081 }],
          },
          {
            matches: [{ method: { service: 'proto.EchoTestService' } }],
            backendRefs: [{ name: 'infra-backend-v1', port: 8081 }],
          },
        ],
      }),
    ],
    rows: [
      { url: 'grpc://grpc.example/', headers: { 'x-to': 'v2' }, backend: 'infra-backend-v2' },
      { url: 'grpc://grpc.example/', backend: 'infra-backend-v1' },
      { url: 'grpc://grpc.example/unknown.Service/Method', grpc: 12 },
    ],
  },
  {
    name: 'TCPRouteSimple: bytes to the backend',
    routes: [route(TCP_ROUTES, 'tcp', { parentRefs: [gatewayParent('tcp')], rules: [tcp(9000)] })],
    rows: [{ url: 'tcp://tcp.example/', via: 'tcp', body: 'hello', backend: 'infra-backend-v1' }],
  },
  {
    name: 'TLSRouteSimpleSameNamespace: TLS is passed on by its server name',
    routes: [
      route(TLS_ROUTES, 'passed-on', {
        parentRefs: [gatewayParent('through')],
        hostnames: ['x.through.example'],
        rules: [tcp(446, TLS_BACKEND.name)],
      }),
    ],
    rows: [
      {
        url: 'https://x.through.example/',
        via: 'through',
        backend: TLS_BACKEND.name,
        seen: { absent: ['x-forwarded-for'] },
      },
    ],
  },
  {
    name: 'TLSRouteInvalidNoMatchingListener, and host names that do not meet',
    routes: [
      route(TLS_ROUTES, 'tls-on-http', {
        parentRefs: [gatewayParent('http')],
        hostnames: ['x.through.example'],
        rules: [tcp(446, TLS_BACKEND.name)],
      }),
    ],
    verdicts: { accepted: 'False/NotAllowedByListeners', resolvedRefs: 'True' },
    rows: [],
  },
  {
    name: 'TLSRouteInvalidNoMatchingListenerHostname',
    routes: [
      route(TLS_ROUTES, 'tls-elsewhere', {
        parentRefs: [gatewayParent('through')],
        hostnames: ['elsewhere.example'],
        rules: [tcp(446, TLS_BACKEND.name)],
      }),
    ],
    verdicts: { accepted: 'False/NoMatchingListenerHostname', resolvedRefs: 'True' },
    rows: [],
  },
  {
    name: 'TLSRouteInvalidBackendRefNonexistent, UnknownKind and ReferenceGrant: the connection is cut',
    routes: (
      [
        ['nonexistent', { name: 'nonexistent', port: 443 }],
        ['unknown', { group: 'example.com', kind: 'Nothing', name: 'x', port: 443 }],
        ['not-granted', { name: 'web-backend', namespace: WEB, port: 8080 }],
      ] as const
    ).map(([name, backendRef]) =>
      route(TLS_ROUTES, `tls-${name}`, {
        parentRefs: [gatewayParent('through')],
        hostnames: [`${name}.through.example`],
        rules: [{ backendRefs: [backendRef] }],
      }),
    ),
    verdicts: { accepted: 'True', resolvedRefs: 'False/*' },
    rows: [],
    afterwards: expectCut,
  },
  {
    name: 'TLSRouteTerminateSimple: TLS ends here, beside one that is passed on',
    routes: [
      route(TLS_ROUTES, 'terminated', {
        parentRefs: [gatewayParent('tls')],
        hostnames: ['tls.example'],
        rules: [tcp(8080)],
      }),
    ],
    rows: [{ url: 'https://tls.example/', via: 'tls', backend: 'infra-backend-v1' }],
  },
  {
    name: 'BackendTLSPolicy, its names, and BackendTLSPolicyInvalidCACertificateRef',
    needs: [
      policy('tls-fine', 'https', { ...KNOWN_CA, hostname: 'abc.example.com' }),
      policy('tls-other-name', 'other', { ...KNOWN_CA, hostname: 'other.example.com' }),
      policy('tls-no-roots', 'broken', { ...MISSING_CA, hostname: 'abc.example.com' }),
    ],
    routes: [
      httpRoute(INFRA, 'backend-tls', {
        parentRefs: [gatewayParent('http')],
        hostnames: ['backend-tls.example'],
        rules: ['fine', 'other-name', 'no-roots'].map((path, i) => ({
          matches: [prefix(`/${path}`)],
          ...tcp(443 + i, TLS_BACKEND.name),
        })),
      }),
    ],
    rows: [
      { url: 'http://backend-tls.example/fine', backend: TLS_BACKEND.name },
      { url: 'http://backend-tls.example/other-name', status: 503 },
      { url: 'http://backend-tls.example/no-roots', status: 503 },
    ],
    async afterwards(stage) {
      await expectPolicy(stage, 'tls-fine', { Accepted: 'True', ResolvedRefs: 'True' });
      await expectPolicy(stage, 'tls-no-roots', {
        Accepted: 'False/NoValidCACertificate',
        ResolvedRefs: 'False/InvalidCACertificateRef',
      });
    },
  },
  {
    name: 'a Secret that changes is shown to new connections',
    routes: [
      httpRoute(INFRA, 'rotated', {
        parentRefs: [gatewayParent('rotated')],
        hostnames: ['rotated.wildcard.org'],
        rules: [to('v3')],
      }),
    ],
    rows: ROTATED,
    afterwards: rotate,
  },
];
