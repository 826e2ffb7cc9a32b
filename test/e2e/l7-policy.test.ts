// Policy on requests as its authors see it: applied by kubectl, told of in the status, in force at the waypoint, and gone
// with its object. By path, by token, by an authorization service, and for who asks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CompactSign, exportJWK, generateKeyPair } from 'jose';
import type { Condition, KubeObject } from '../../runtime/kubernetes/objects.ts';
import {
  AUTHORIZATION_POLICIES,
  REQUEST_AUTHENTICATIONS,
  type Resource,
} from '../../runtime/kubernetes/resources.ts';
import { MESH, type MeshStage, openFront, openMeshStage } from '../conformance/mesh-stage.ts';
import { expectRows } from '../conformance/requests.ts';
import { type Sandbox, sandboxSuite } from '../support/sandbox.ts';
import { waitFor } from '../support/wait-for.ts';

const ISSUER = 'https://id.test';

type Told = KubeObject & { readonly status?: { readonly conditions?: readonly Condition[] } };

sandboxSuite('policy on requests', (sandbox) => {
  let stage: MeshStage;

  test('a mesh with a waypoint is there', async () => {
    stage = await openMeshStage(sandbox());
    await expectRows(stage, [
      { url: 'http://echo/' },
      { url: `http://echo.${MESH}/`, from: 'consumer' },
    ]);
  });

  test('DENY by path: kubectl apply, the status, 403; and 200 when it is gone', async () => {
    await openFront(stage, 'by-path', 'v1');
    const policy = manifest('AuthorizationPolicy', 'no-admin', {
      targetRefs: [{ kind: 'Service', name: 'by-path' }],
      action: 'DENY',
      rules: [{ to: [{ operation: { paths: ['/admin', '/admin/*'] } }] }],
    });
    await sandbox().kubectl(['apply', '-f', '-'], policy);
    await expectRows(stage, [
      { url: 'http://by-path/admin', status: 403 },
      { url: 'http://by-path/x/../admin/y', status: 403 },
      { url: 'http://by-path/shop', status: 200 },
      { url: 'http://echo/admin', status: 200 },
    ]);
    assert.deepEqual(await reasonsOf(sandbox(), AUTHORIZATION_POLICIES, 'no-admin'), [
      'Accepted=True Accepted',
      'Enforced=True Enforced',
    ]);
    const { namespace, name } = stage.pods['v1'] ?? { namespace: '', name: '' };
    const explain = (path: string) =>
      sandbox().ambit('explain', `${namespace}/${name}`, 'by-path:80', '--path', path);
    const denied = await explain('/admin/../admin/x');
    assert.equal(denied.code, 1, denied.stdout + denied.stderr);
    assert.match(denied.stdout, /waypoint gateway-conformance-mesh\/waypoint/);
    assert.match(denied.stdout, /explicitly denied by: gateway-conformance-mesh\/no-admin, rule 0/);
    assert.match(denied.stdout, /The request is denied/);
    const held = await sandbox().ambit('authz', 'check', `${namespace}/${name}`);
    assert.match(held.stdout, /no-admin\s+DENY\s+requests to \S+by-path\S+, at waypoint/);
    const allowed = await explain('/shop');
    assert.equal(allowed.code, 0, allowed.stdout + allowed.stderr);
    await sandbox().kubectl(['delete', '-f', '-'], policy);
    await expectRows(stage, [{ url: 'http://by-path/admin', status: 200 }]);
  });

  test('ALLOW for a namespace at the gateway lets nobody else in', async () => {
    const policy = manifest('AuthorizationPolicy', 'own-only', {
      targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'waypoint' }],
      rules: [
        { from: [{ source: { namespaces: [MESH] } }], to: [{ operation: { methods: ['GET'] } }] },
      ],
    });
    await sandbox().kubectl(['apply', '-f', '-'], policy);
    await expectRows(stage, [
      { url: 'http://echo/', status: 200 },
      { url: 'http://echo/', method: 'POST', status: 403 },
      { url: `http://echo.${MESH}/`, from: 'consumer', status: 403 },
      { url: 'grpc://echo:7070/', grpc: 7 },
    ]);
    await sandbox().kubectl(['delete', '-f', '-'], policy);
    await expectRows(stage, [{ url: `http://echo.${MESH}/`, from: 'consumer', status: 200 }]);
  });

  test('tokens: none is nobody, a bad one 401, a good one who it says', async () => {
    await openFront(stage, 'by-token', 'v1');
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const key = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' };
    const sign = (claims: object): Promise<string> =>
      new CompactSign(Buffer.from(JSON.stringify({ iss: ISSUER, sub: 'ann', ...claims })))
        .setProtectedHeader({ alg: 'ES256', kid: 'k' })
        .sign(privateKey);
    const now = Math.floor(Date.now() / 1000);
    const good = await sign({ exp: now + 3600 });
    const ended = await sign({ exp: now - 3600 });
    const objects = [
      manifest('RequestAuthentication', 'tokens', {
        targetRefs: [{ kind: 'Service', name: 'by-token' }],
        jwtRules: [
          {
            issuer: ISSUER,
            jwks: JSON.stringify({ keys: [key] }),
            outputClaimToHeaders: [{ header: 'x-user', claim: 'sub' }],
          },
        ],
      }),
      manifest('AuthorizationPolicy', 'somebody', {
        targetRefs: [{ kind: 'Service', name: 'by-token' }],
        rules: [{ from: [{ source: { requestPrincipals: [`${ISSUER}/ann`] } }] }],
      }),
    ];
    for (const one of objects) await sandbox().kubectl(['apply', '-f', '-'], one);
    const url = 'http://by-token/';
    await expectRows(stage, [
      { url, status: 403 },
      { url, headers: { authorization: `Bearer ${ended}` }, status: 401 },
      { url, headers: { authorization: 'Bearer no-token' }, status: 401 },
      {
        url,
        headers: { authorization: `Bearer ${good}`, 'x-user': 'mallory' },
        status: 200,
        seen: { headers: { 'x-user': 'ann' }, absent: ['authorization'] },
      },
    ]);
    assert.deepEqual(await reasonsOf(sandbox(), REQUEST_AUTHENTICATIONS, 'tokens'), [
      'Accepted=True Accepted',
      'Enforced=True Enforced',
    ]);
  });

  test('CUSTOM without its provider denies what it matches, and says what is missing', async () => {
    await openFront(stage, 'by-asking', 'v1');
    const policy = manifest('AuthorizationPolicy', 'asking', {
      targetRefs: [{ kind: 'Service', name: 'by-asking' }],
      action: 'CUSTOM',
      provider: { name: 'judge' },
      rules: [{ to: [{ operation: { paths: ['/judged'] } }] }],
    });
    await sandbox().kubectl(['apply', '-f', '-'], policy);
    await expectRows(stage, [
      { url: 'http://by-asking/judged', status: 403 },
      { url: 'http://by-asking/other', status: 200 },
    ]);
    const [accepted] = await reasonsOf(sandbox(), AUTHORIZATION_POLICIES, 'asking');
    assert.equal(accepted, 'Accepted=False ProviderUnusable');
    // the echo answers everything with 200, which to who asks it means yes
    await sandbox().kubectl(
      ['apply', '-f', '-'],
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'ambit-extension-providers', namespace: 'ambit-system' },
        data: {
          judge: `envoyExtAuthzHttp:\n  service: echo-v2.${MESH}.svc.cluster.local\n  port: 80\n`,
        },
      }),
    );
    await expectRows(stage, [{ url: 'http://by-asking/judged', status: 200 }]);
  });

  test('a condition in CEL decides; one that is none closes the rule, and says so', async () => {
    await openFront(stage, 'by-cel', 'v1');
    const policy = (expression: string): string =>
      manifest('AuthorizationPolicy', 'cel', {
        targetRefs: [{ kind: 'Service', name: 'by-cel' }],
        rules: [{ when: [{ key: 'cel', values: [expression] }] }],
      });
    const good = 'request.path.startsWith("/team/") && source.namespace == "' + MESH + '"';
    await sandbox().kubectl(['apply', '-f', '-'], policy(good));
    await expectRows(stage, [
      { url: 'http://by-cel/team/a', status: 200 },
      { url: 'http://by-cel/other', status: 403 },
      { url: `http://by-cel.${MESH}/team/a`, from: 'consumer', status: 403 },
    ]);
    await sandbox().kubectl(['apply', '-f', '-'], policy('request.path =='));
    await expectRows(stage, [{ url: 'http://by-cel/team/a', status: 403 }]);
    const [accepted] = await reasonsOf(sandbox(), AUTHORIZATION_POLICIES, 'cel');
    assert.equal(accepted, 'Accepted=False UnsupportedField');
    const listed = await sandbox().kubectl(['get', 'ap', 'cel', '-n', MESH]);
    assert.match(listed, /PartiallyEnforced/);
  });

  test('a route asks by its filter, and what is refused there is refused', async () => {
    await openFront(stage, 'by-filter', 'v1');
    const route = JSON.stringify({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'by-filter', namespace: MESH },
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: 'by-filter', port: 80 }],
        rules: [
          {
            filters: [
              {
                type: 'ExternalAuth',
                externalAuth: {
                  protocol: 'HTTP',
                  // the echo says yes to whatever it is asked
                  backendRef: { name: 'echo-v2', port: 80 },
                  http: { path: '/check' },
                },
              },
            ],
            backendRefs: [{ name: 'by-filter', port: 80 }],
          },
        ],
      },
    });
    await sandbox().kubectl(['apply', '-f', '-'], route);
    await expectRows(stage, [{ url: 'http://by-filter/', status: 200 }]);
    await sandbox().kubectl(['apply', '-f', '-'], route.replace('echo-v2', 'nobody'));
    await expectRows(stage, [{ url: 'http://by-filter/', status: 500 }]);
  });

  test('a policy whose target has no waypoint says that nobody enforces it', async () => {
    const policy = manifest('AuthorizationPolicy', 'nowhere', {
      targetRefs: [{ kind: 'Service', name: 'none-such' }],
      action: 'DENY',
      rules: [{}],
    });
    await sandbox().kubectl(['apply', '-f', '-'], policy);
    assert.deepEqual(await reasonsOf(sandbox(), AUTHORIZATION_POLICIES, 'nowhere'), [
      'Accepted=True Accepted',
      'Enforced=False TargetNotFound',
    ]);
  });
});

function manifest(kind: string, name: string, spec: object): string {
  return JSON.stringify({
    apiVersion: 'security.ambit-mesh.io/v1',
    kind,
    metadata: { name, namespace: MESH },
    spec,
  });
}

/** Of the conditions Accepted and Enforced, once they are of the object as it is. */
async function reasonsOf({ client }: Sandbox, resource: Resource, name: string): Promise<string[]> {
  const isTold = ({ metadata, status }: Told): boolean =>
    metadata.name === name &&
    (status?.conditions ?? []).length === 2 &&
    (status?.conditions ?? []).every((one) => one.observedGeneration === metadata.generation);
  const found = await waitFor<Told>(client, resource, { namespace: MESH }, (all) =>
    all.some(isTold),
  );
  return (found.find(isTold)?.status?.conditions ?? []).map(
    ({ type, status, reason }) => `${type}=${status} ${reason}`,
  );
}
