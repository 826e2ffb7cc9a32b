// The definitions of the Gateway API through the API server: the defaults that others rely on, and what each validation
// rule lets in and keeps out. The defaults are those of the original definitions.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { kubectlFor, kubectlMissing } from '../../../test/support/kubectl.ts';
import { type Answer, startTestServer, type TestServer } from '../test-server.ts';

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const MANIFESTS = new URL('../../../manifests/gateway-api/', import.meta.url);
const GROUP = 'gateway.networking.k8s.io';

type Kind =
  | 'gateways'
  | 'httproutes'
  | 'grpcroutes'
  | 'tlsroutes'
  | 'tcproutes'
  | 'backendtlspolicies';

const BACKEND = { name: 'web', port: 80 };
const parents = (...parentRefs: object[]): object => ({ parentRefs });
const rule = (fields: object): object => ({ rules: [fields] });
const filters = (...given: object[]): object => rule({ filters: given });
const path = (type: string, value: string): object =>
  rule({ matches: [{ path: { type, value } }] });
const listeners = (...given: object[]): object => ({ gatewayClassName: 'c', listeners: given });
const listener = (fields: object): object => ({ name: 'l', port: 80, protocol: 'HTTP', ...fields });
const session = (sessionPersistence: object): object => rule({ sessionPersistence });
const tls = (validation: object): object => ({
  targetRefs: [{ group: '', kind: 'Service', name: 'web' }],
  validation: { hostname: 'web.example', ...validation },
});
const CA = { group: '', kind: 'ConfigMap', name: 'ca' };
const PREFIX = { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' };
const REDIRECT = { type: 'RequestRedirect', requestRedirect: {} };
const MESH = { name: 'waypoint', port: 15008, protocol: 'HBONE' };

/** Kind, spec, and undefined where it is let in, else what its refusal says. */
const CASES: readonly (readonly [Kind, object, RegExp | undefined])[] = [
  ['gateways', listeners(MESH), undefined],
  ['gateways', listeners(), /listeners.*at least 1/],
  ['gateways', listeners(listener({ tls: {} })), /take no tls/],
  [
    'gateways',
    listeners(listener({ protocol: 'HTTPS', tls: { mode: 'Passthrough' } })),
    /Terminate only/,
  ],
  ['gateways', listeners(listener({ protocol: 'TLS' })), /needs a tls mode/],
  ['gateways', listeners(listener({ protocol: 'TCP', hostname: 'a.example' })), /no hostname/],
  ['gateways', listeners(listener({}), listener({ name: 'm' })), /differ in port/],
  ['gateways', listeners(listener({}), listener({ name: 'm', hostname: 'a.example' })), undefined],
  ['gateways', listeners(listener({}), listener({ port: 81 })), /Duplicate value/],
  [
    'gateways',
    { ...listeners(MESH), infrastructure: { labels: { 'a b': 'x' } } },
    /a key is a name/,
  ],
  ['gateways', { ...listeners(MESH), addresses: [{ value: 'web' }] }, /IPv4 or IPv6/],
  ['httproutes', {}, undefined],
  ['httproutes', parents({ name: 'a' }, { name: 'a' }), /named once/],
  ['httproutes', parents({ name: 'a' }, { name: 'a', port: 80 }), /named twice/],
  ['httproutes', parents({ name: 'a', port: 80 }, { name: 'a', port: 81 }), undefined],
  ['httproutes', parents({ name: 'a' }, { name: 'a', namespace: 'b' }), undefined],
  ['httproutes', rule({ backendRefs: [{ name: 'web' }] }), /Service needs a port/],
  [
    'httproutes',
    rule({ backendRefs: [{ name: 'web', group: 'x.example', kind: 'Y' }] }),
    undefined,
  ],
  [
    'httproutes',
    rule({ backendRefs: [BACKEND], filters: [REDIRECT] }),
    /redirects has no backends/,
  ],
  ['httproutes', filters(REDIRECT, REDIRECT), /one filter RequestRedirect/],
  ['httproutes', filters(REDIRECT, { type: 'URLRewrite', urlRewrite: {} }), /not both/],
  ['httproutes', filters({ type: 'CORS' }), /cors goes with type CORS/],
  ['httproutes', filters({ type: 'CORS', cors: {}, urlRewrite: {} }), /urlRewrite goes with/],
  ['httproutes', filters({ type: 'CORS', cors: { allowOrigins: ['*', 'http://a'] } }), /alone/],
  ['httproutes', filters({ type: 'Teleport' }), /Unsupported value: "Teleport"/],
  ['httproutes', filters({ type: 'URLRewrite', urlRewrite: { path: PREFIX } }), undefined],
  [
    'httproutes',
    rule({ matches: [{}, {}], filters: [{ type: 'URLRewrite', urlRewrite: { path: PREFIX } }] }),
    /exactly one match/,
  ],
  [
    'httproutes',
    filters({ type: 'URLRewrite', urlRewrite: { path: { type: 'ReplaceFullPath' } } }),
    /replaceFullPath goes with/,
  ],
  [
    'httproutes',
    filters({
      type: 'RequestMirror',
      requestMirror: { backendRef: BACKEND, percent: 1, fraction: { numerator: 1 } },
    }),
    /at most one of percent/,
  ],
  [
    'httproutes',
    filters({ type: 'ExternalAuth', externalAuth: { protocol: 'HTTP', backendRef: BACKEND } }),
    /http goes with protocol HTTP/,
  ],
  ['httproutes', path('Exact', 'a'), /starts with a slash/],
  ...['//', '/./', '/a/..', '/a%2Fb', '/a/.'].map(
    (value) => ['httproutes', path('PathPrefix', value), /no empty segment/] as const,
  ),
  ['httproutes', path('PathPrefix', '/a#b'), /characters of a path/],
  ['httproutes', path('PathPrefix', '/.a/..b/c.'), undefined],
  ['httproutes', path('RegularExpression', '^a//b$'), undefined],
  [
    'httproutes',
    {
      rules: Array.from({ length: 3 }, () => ({ matches: Array.from({ length: 43 }, () => ({})) })),
    },
    /128 matches/,
  ],
  ['httproutes', { rules: [{ name: 'a' }, { name: 'a' }] }, /its own/],
  ['httproutes', rule({ timeouts: { request: '1s', backendRequest: '2s' } }), /no longer than/],
  ['httproutes', rule({ timeouts: { request: '0s', backendRequest: '2s' } }), undefined],
  ['httproutes', rule({ timeouts: { request: '1 s' } }), /should match/],
  ['httproutes', rule({ retry: { codes: [503], attempts: 2, backoff: '100ms' } }), undefined],
  ['httproutes', rule({ retry: { codes: [200] } }), /greater than or equal to 400/],
  ['httproutes', session({ cookie: {} }), undefined],
  ['httproutes', session({ type: 'Header', cookie: {} }), /cookie goes with/],
  ['httproutes', session({ cookie: { lifetimeType: 'Permanent' } }), /needs an absoluteTimeout/],
  ['grpcroutes', {}, undefined],
  ['grpcroutes', rule({ matches: [{ method: {} }] }), /a service, a method or both/],
  ['grpcroutes', rule({ matches: [{ method: { service: 'a/b' } }] }), /exact service/],
  ['grpcroutes', rule({ matches: [{ method: { service: 'a.b.C', method: 'D' } }] }), undefined],
  ['tlsroutes', { hostnames: ['a.example'], rules: [{ backendRefs: [BACKEND] }] }, undefined],
  [
    'tlsroutes',
    { hostnames: ['10.0.0.1'], rules: [{ backendRefs: [BACKEND] }] },
    /never for addresses/,
  ],
  ['tcproutes', rule({ backendRefs: [BACKEND] }), undefined],
  ['tcproutes', rule({}), /backendRefs: Required value/],
  ['backendtlspolicies', tls({ wellKnownCACertificates: 'System' }), undefined],
  ['backendtlspolicies', tls({ caCertificateRefs: [CA] }), undefined],
  ['backendtlspolicies', tls({}), /exactly one of/],
  [
    'backendtlspolicies',
    tls({ caCertificateRefs: [CA], wellKnownCACertificates: 'System' }),
    /exactly one of/,
  ],
];

describe('the definitions of the Gateway API', () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer();
    for (const file of await readdir(MANIFESTS)) {
      if (!file.endsWith('.yaml')) continue;
      const body: unknown = parse(await readFile(new URL(file, MANIFESTS), 'utf8'));
      const answer = await server.call('POST', DEFINITIONS, { body });
      assert.equal(answer.status, 201, answer.body.message);
    }
  });
  after(() => server[Symbol.asyncDispose]());

  const make = (kind: string, spec: object, version = 'v1'): Promise<Answer> =>
    server.call('POST', `/apis/${GROUP}/${version}/namespaces/default/${kind}`, {
      body: { metadata: { generateName: 'x-' }, spec },
    });

  for (const [kind, spec, refusal] of CASES) {
    const shown = JSON.stringify(spec).slice(0, 110);
    test(`${refusal === undefined ? 'let in' : 'refuse'} ${kind} ${shown}`, async () => {
      const { status, body } = await make(kind, spec);
      assert.equal(status, refusal === undefined ? 201 : 422, body.message);
      if (refusal !== undefined) assert.match(body.message, refusal);
    });
  }

  test('give an HTTPRoute the defaults of the original', async () => {
    const { body } = await make('httproutes', {
      parentRefs: [{ name: 'web', kind: 'Service', group: '' }, { name: 'edge' }],
      rules: [
        {
          backendRefs: [BACKEND],
          filters: [{ type: 'CORS', cors: {} }],
          sessionPersistence: { cookie: {} },
        },
        { matches: [{ headers: [{ name: 'a', value: 'b' }] }], filters: [REDIRECT] },
      ],
    });
    const anyPath = { path: { type: 'PathPrefix', value: '/' } };
    assert.deepEqual(body['spec'], {
      parentRefs: [
        { name: 'web', kind: 'Service', group: '' },
        { name: 'edge', kind: 'Gateway', group: GROUP },
      ],
      rules: [
        {
          matches: [anyPath],
          backendRefs: [{ ...BACKEND, group: '', kind: 'Service', weight: 1 }],
          filters: [{ type: 'CORS', cors: { maxAge: 5 } }],
          sessionPersistence: { type: 'Cookie', cookie: { path: '/', lifetimeType: 'Session' } },
        },
        {
          matches: [{ ...anyPath, headers: [{ name: 'a', value: 'b', type: 'Exact' }] }],
          filters: [{ type: 'RequestRedirect', requestRedirect: { statusCode: 302 } }],
        },
      ],
    });
    const empty = await make('httproutes', {});
    assert.deepEqual(empty.body['spec'], { rules: [{ matches: [anyPath] }] });
  });

  test('give a Gateway the defaults of the original, and a status that waits', async () => {
    const { body } = await make('gateways', listeners(MESH));
    assert.deepEqual(body['spec'], {
      gatewayClassName: 'c',
      listeners: [{ ...MESH, allowedRoutes: { namespaces: { from: 'Same' } } }],
    });
    const { conditions } = body['status'] as { conditions: { type: string; reason: string }[] };
    assert.deepEqual(
      conditions.map(({ type, reason }) => `${type} ${reason}`),
      ['Accepted Pending', 'Programmed Pending'],
    );
  });

  test('serve a ReferenceGrant under both of its versions', async () => {
    const spec = {
      from: [{ group: GROUP, kind: 'HTTPRoute', namespace: 'a' }],
      to: [{ group: '', kind: 'Service' }],
    };
    const { body } = await make('referencegrants', spec);
    const at = `/apis/${GROUP}/v1beta1/namespaces/default/referencegrants/${body.metadata.name}`;
    assert.deepEqual((await server.call('GET', at)).body['spec'], spec);
  });

  const missing = kubectlMissing();
  test('are understood by kubectl', { skip: missing ?? false }, async () => {
    const kubectl = kubectlFor(server.server.kubeconfigPath);
    const spec = listeners(MESH);
    const gateway = { apiVersion: `${GROUP}/v1`, kind: 'Gateway', metadata: { name: 'w' }, spec };
    const route = {
      apiVersion: `${GROUP}/v1`,
      kind: 'HTTPRoute',
      metadata: { name: 'r' },
      spec: { ...parents({ name: 'w' }), hostnames: ['a.example'] },
    };
    for (const object of [gateway, route]) {
      await kubectl(['apply', '-f', '-'], JSON.stringify(object));
      await kubectl(
        ['apply', '--server-side', '-f', '-', '--force-conflicts'],
        JSON.stringify(object),
      );
    }
    assert.match(
      await kubectl(['get', 'gtw']),
      /^NAME +CLASS +ADDRESS +PROGRAMMED +AGE\nw +c +Unknown/,
    );
    assert.match(await kubectl(['get', 'httproute']), /^NAME +HOSTNAMES +AGE\nr +\["a.example"\]/);
  });
});
