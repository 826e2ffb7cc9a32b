import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startTestServer } from '../test-server.ts';
import { acceptedForms } from './accept.ts';
import { parseApiPath } from './path.ts';

const AGGREGATED = (version: string): string =>
  `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;

describe('discovery', () => {
  for (const version of ['v2', 'v2beta1']) {
    test(`aggregated ${version}: all groups with kinds and subresources in two requests`, async () => {
      await using server = await startTestServer();
      const accept = `${AGGREGATED(version)},application/json`;
      const core = await server.call('GET', '/api', { accept });
      assert.equal(core.headers['content-type'], AGGREGATED(version));
      assert.equal(core.body.kind, 'APIGroupDiscoveryList');
      assert.match(core.text, /"resource":"pods".*"subresource":"log"/);
      const { body } = await server.call('GET', '/apis', { accept });
      const names = body.items.map(({ metadata }) => metadata.name);
      for (const group of ['apps', 'batch', 'discovery.k8s.io', 'rbac.authorization.k8s.io']) {
        assert.ok(names.includes(group), group);
      }
    });
  }

  test('the lists of old clients', async () => {
    await using server = await startTestServer();
    assert.deepEqual((await server.call('GET', '/api')).body['versions'], ['v1']);
    const { body: groups } = await server.call('GET', '/apis');
    assert.equal(groups.kind, 'APIGroupList');
    const { body } = await server.call('GET', '/apis/apps/v1');
    const scale = (body['resources'] as { name: string; group?: string; kind: string }[]).find(
      ({ name }) => name === 'deployments/scale',
    );
    assert.deepEqual([scale?.group, scale?.kind], ['autoscaling', 'Scale']);
    assert.equal((await server.call('GET', '/apis/nothing.example.com/v1')).status, 404);
  });

  test('OpenAPI v3 lists every group version, and each document can be had', async () => {
    await using server = await startTestServer();
    const { body } = await server.call('GET', '/openapi/v3');
    const paths = body['paths'] as Record<string, { serverRelativeURL: string }>;
    for (const { serverRelativeURL } of Object.values(paths)) {
      const document = await server.call('GET', serverRelativeURL);
      assert.equal(document.status, 200, serverRelativeURL);
      assert.match(document.text, /^\{"openapi":"3\.0/);
    }
    assert.equal((await server.call('GET', '/openapi/v3/apis/nothing/v1')).status, 404);
  });

  test('the issuer of tokens shows its keys', async () => {
    await using server = await startTestServer();
    const { body } = await server.call('GET', '/openid/v1/jwks');
    assert.equal((body['keys'] as { alg: string }[])[0]?.alg, 'ES256');
  });
});

describe('parseApiPath()', () => {
  const cases: [string, object][] = [
    ['/api/v1/pods', { group: '', resource: 'pods', namespace: undefined, name: undefined }],
    ['/api/v1/namespaces/n', { resource: 'namespaces', name: 'n', namespace: undefined }],
    [
      '/api/v1/namespaces/n/finalize',
      { resource: 'namespaces', name: 'n', subresource: 'finalize' },
    ],
    [
      '/api/v1/namespaces/n/pods/p/log',
      { resource: 'pods', namespace: 'n', name: 'p', subresource: 'log' },
    ],
    [
      '/apis/apps/v1/namespaces/n/deployments/d',
      { group: 'apps', resource: 'deployments', namespace: 'n', name: 'd' },
    ],
    [
      '/api/v1/nodes/n/proxy/a/b/',
      { resource: 'nodes', name: 'n', subresource: 'proxy', rest: '/a/b/' },
    ],
    [
      '/apis/x.io/v1/clusterthings/a%2Fb',
      { group: 'x.io', resource: 'clusterthings', name: 'a/b' },
    ],
  ];
  for (const [path, expected] of cases) {
    test(path, () => {
      const parsed = parseApiPath(path) as Record<string, unknown>;
      for (const [key, value] of Object.entries(expected))
        assert.deepEqual(parsed[key], value, key);
    });
  }

  test('a broken escape is 400', () => {
    assert.throws(() => parseApiPath('/api/v1/pods/%zz'), /malformed escape/);
  });
});

describe('acceptedForms()', () => {
  test('follows quality, then order, and passes over what is not known', () => {
    const forms = acceptedForms(
      'text/html, application/yaml;q=0.5, application/json;as=Table;v=v1;g=meta.k8s.io',
    );
    assert.deepEqual(
      forms.map(({ as, encoding }) => [as, encoding]),
      [
        ['Table', 'json'],
        ['object', 'yaml'],
      ],
    );
  });
});
