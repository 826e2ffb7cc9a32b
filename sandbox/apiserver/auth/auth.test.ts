import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../../runtime/manual-clock.ts';
import { startTestServer, type TestServer } from '../test-server.ts';

const ACCOUNTS = '/api/v1/namespaces/default/serviceaccounts';
const PODS = '/api/v1/namespaces/default/pods';
const REVIEWS = '/apis/authentication.k8s.io/v1/tokenreviews';

async function tokenFor(server: TestServer, spec: object = {}): Promise<string> {
  const answer = await server.call('POST', `${ACCOUNTS}/robot/token`, { body: { spec } });
  assert.equal(answer.status, 201, answer.text);
  return (answer.body['status'] as { token: string }).token;
}

async function makePod(server: TestServer, name: string): Promise<string> {
  const spec = {
    serviceAccountName: 'robot',
    nodeName: 'node-1',
    containers: [{ name: 'c', image: 'i' }],
  };
  const { body } = await server.call('POST', PODS, { body: { metadata: { name }, spec } });
  return body.metadata.uid ?? '';
}

async function review(server: TestServer, token: string, audiences?: string[]): Promise<Review> {
  const { body } = await server.call('POST', REVIEWS, { body: { spec: { token, audiences } } });
  return body['status'] as Review;
}
type Review = {
  authenticated: boolean;
  error?: string;
  audiences?: string[];
  user: { username?: string; groups?: string[]; extra?: Record<string, string[]> };
};

describe('who asks', () => {
  test('nobody may read health and version, and nothing else', async () => {
    await using server = await startTestServer();
    for (const path of ['/healthz', '/livez', '/readyz', '/version']) {
      assert.equal((await server.call('GET', path, { anonymous: true })).status, 200, path);
    }
    const refused = await server.call('GET', '/api/v1/pods', { anonymous: true });
    assert.equal(refused.status, 403);
    assert.equal(
      refused.body.message,
      'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" at the cluster scope',
    );
  });

  test('a token of another signer, a cut one and garbage are Unauthorized', async () => {
    await using server = await startTestServer();
    await using other = await startTestServer();
    for (const one of [server, other]) {
      await one.call('POST', ACCOUNTS, { body: { metadata: { name: 'robot' } } });
    }
    const foreign = await tokenFor(other);
    const own = await tokenFor(server);
    for (const token of [foreign, own.slice(0, -4), 'garbage']) {
      assert.equal((await server.call('GET', '/api', { token })).status, 401);
    }
    assert.equal((await server.call('GET', '/api', { token: own })).status, 200);
  });

  test('the admin may act as somebody else, an account may not', async () => {
    await using server = await startTestServer();
    await server.call('POST', ACCOUNTS, { body: { metadata: { name: 'robot' } } });
    const headers = { 'impersonate-user': 'jane' };
    const asJane = await server.call('GET', '/api/v1/pods', { headers });
    assert.match(asJane.body.message, /User "jane" cannot list/);
    const token = await tokenFor(server);
    assert.equal((await server.call('GET', '/api', { token, headers })).status, 403);
  });
});

describe('ServiceAccount tokens', () => {
  test('a token bound to a pod names pod and node in the review, for its audience only', async () => {
    await using server = await startTestServer();
    await server.call('POST', ACCOUNTS, { body: { metadata: { name: 'robot' } } });
    const node = await server.call('POST', '/api/v1/nodes', {
      body: { metadata: { name: 'node-1' } },
    });
    const uid = await makePod(server, 'p');
    const token = await tokenFor(server, {
      audiences: ['ambit-ca'],
      boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'p', uid },
    });
    const answer = await review(server, token, ['ambit-ca', 'elsewhere']);
    assert.equal(answer.authenticated, true);
    assert.deepEqual(answer.audiences, ['ambit-ca']);
    assert.equal(answer.user.username, 'system:serviceaccount:default:robot');
    assert.deepEqual(answer.user.groups, [
      'system:serviceaccounts',
      'system:serviceaccounts:default',
      'system:authenticated',
    ]);
    assert.deepEqual(answer.user.extra?.['authentication.kubernetes.io/pod-name'], ['p']);
    assert.deepEqual(answer.user.extra?.['authentication.kubernetes.io/pod-uid'], [uid]);
    assert.deepEqual(answer.user.extra?.['authentication.kubernetes.io/node-name'], ['node-1']);
    assert.deepEqual(answer.user.extra?.['authentication.kubernetes.io/node-uid'], [
      node.body.metadata.uid,
    ]);
    const elsewhere = await review(server, token, ['elsewhere']);
    assert.equal(elsewhere.authenticated, false);
    assert.match(elsewhere.error ?? '', /invalid for the target audiences/);
    assert.equal((await server.call('GET', '/api', { token })).status, 401);
  });

  test('a token dies with its pod, and with its account', async () => {
    await using server = await startTestServer();
    await server.call('POST', ACCOUNTS, { body: { metadata: { name: 'robot' } } });
    const uid = await makePod(server, 'p');
    const bound = await tokenFor(server, { boundObjectRef: { kind: 'Pod', name: 'p', uid } });
    const unbound = await tokenFor(server);
    await server.call('DELETE', `${PODS}/p?gracePeriodSeconds=0`);
    await makePod(server, 'p');
    assert.match(
      (await review(server, bound)).error ?? '',
      /UID in the token does not match that of pod/,
    );
    assert.equal((await review(server, unbound)).authenticated, true);
    await server.call('DELETE', `${ACCOUNTS}/robot`);
    assert.match((await review(server, unbound)).error ?? '', /has been deleted/);
  });

  test('an expired token is refused', async () => {
    const clock = new ManualClock(Date.now());
    await using server = await startTestServer({}, clock);
    await server.call('POST', ACCOUNTS, { body: { metadata: { name: 'robot' } } });
    const token = await tokenFor(server, { expirationSeconds: 600 });
    await clock.advance(590_000);
    assert.equal((await review(server, token)).authenticated, true);
    await clock.advance(11_000);
    assert.match((await review(server, token)).error ?? '', /"exp" claim timestamp check failed/);
  });

  test("too short a life, another account's pod and a wrong uid are refused with the reason", async () => {
    await using server = await startTestServer();
    for (const name of ['robot', 'other'])
      await server.call('POST', ACCOUNTS, { body: { metadata: { name } } });
    await makePod(server, 'p');
    const ask = (account: string, spec: object): ReturnType<TestServer['call']> =>
      server.call('POST', `${ACCOUNTS}/${account}/token`, { body: { spec } });
    assert.match(
      (await ask('robot', { expirationSeconds: 5 })).body.message,
      /less than 600 seconds/,
    );
    const pod = { boundObjectRef: { kind: 'Pod', name: 'p' } };
    assert.match((await ask('other', pod)).body.message, /different serviceaccount name/);
    const wrong = { boundObjectRef: { kind: 'Pod', name: 'p', uid: 'x' } };
    assert.equal((await ask('robot', wrong)).status, 409);
    assert.equal((await ask('missing', {})).status, 404);
  });
});

describe('what an account may do', () => {
  const RBAC = '/apis/rbac.authorization.k8s.io/v1';

  async function grant(server: TestServer, rules: object[]): Promise<string> {
    await server.call('POST', ACCOUNTS, { body: { metadata: { name: 'robot' } } });
    await server.call('POST', `${RBAC}/namespaces/default/roles`, {
      body: { metadata: { name: 'r' }, rules },
    });
    await server.call('POST', `${RBAC}/namespaces/default/rolebindings`, {
      body: {
        metadata: { name: 'b' },
        roleRef: { kind: 'Role', name: 'r' },
        subjects: [{ kind: 'ServiceAccount', name: 'robot', namespace: 'default' }],
      },
    });
    return tokenFor(server);
  }

  test('nothing without a binding', async () => {
    await using server = await startTestServer();
    await server.call('POST', ACCOUNTS, { body: { metadata: { name: 'robot' } } });
    const token = await tokenFor(server);
    const { status, body } = await server.call('GET', `${PODS}/p`, { token });
    assert.equal(status, 403);
    assert.equal(
      body.message,
      'pods "p" is forbidden: User "system:serviceaccount:default:robot" cannot get resource "pods" in API group "" in the namespace "default"',
    );
  });

  test('a role counts in its namespace, for its verbs, names and subresources only', async () => {
    await using server = await startTestServer();
    const token = await grant(server, [
      { apiGroups: [''], resources: ['pods'], verbs: ['list'] },
      { apiGroups: [''], resources: ['configmaps'], verbs: ['get'], resourceNames: ['mine'] },
      { apiGroups: ['apps'], resources: ['deployments/scale'], verbs: ['*'] },
    ]);
    const status = async (path: string): Promise<number> =>
      (await server.call('GET', path, { token })).status;
    assert.equal(await status(PODS), 200);
    assert.equal(await status('/api/v1/pods'), 403);
    assert.equal(await status(`${PODS}?watch=1&timeoutSeconds=1`), 403);
    assert.equal(await status('/api/v1/namespaces/default/configmaps/mine'), 404);
    assert.equal(await status('/api/v1/namespaces/default/configmaps/other'), 403);
    assert.equal(await status('/apis/apps/v1/namespaces/default/deployments/d/scale'), 404);
    assert.equal(await status('/apis/apps/v1/namespaces/default/deployments/d'), 403);
  });

  test('the access review answers as the server would act', async () => {
    await using server = await startTestServer();
    const token = await grant(server, [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }]);
    for (const [verb, allowed] of [
      ['list', true],
      ['delete', false],
    ] as const) {
      const { body } = await server.call(
        'POST',
        '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
        {
          token,
          body: { spec: { resourceAttributes: { verb, resource: 'pods', namespace: 'default' } } },
        },
      );
      assert.equal((body['status'] as { allowed: boolean }).allowed, allowed);
    }
  });

  test('the built-in roles view, edit and admin work, secrets are not for viewers', async () => {
    await using server = await startTestServer();
    await server.call('POST', ACCOUNTS, { body: { metadata: { name: 'robot' } } });
    await server.call('POST', `${RBAC}/namespaces/default/rolebindings`, {
      body: {
        metadata: { name: 'viewer' },
        roleRef: { kind: 'ClusterRole', name: 'view' },
        subjects: [{ kind: 'ServiceAccount', name: 'robot', namespace: 'default' }],
      },
    });
    const token = await tokenFor(server);
    assert.equal((await server.call('GET', PODS, { token })).status, 200);
    const secrets = await server.call('GET', '/api/v1/namespaces/default/secrets', { token });
    assert.equal(secrets.status, 403);
  });
});
