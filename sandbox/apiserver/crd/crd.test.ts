import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Answer, startTestServer, type TestServer } from '../test-server.ts';

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const WIDGETS = '/apis/example.com/v1/namespaces/default/widgets';

const SCHEMA = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['size'],
      properties: {
        size: { type: 'string', enum: ['small', 'large'] },
        name: { type: 'string', pattern: '^[a-z]+$', maxLength: 5 },
        replicas: { type: 'integer', minimum: 1, default: 2 },
        port: { 'x-kubernetes-int-or-string': true },
        maybe: { type: 'string', nullable: true },
        labels: { type: 'object', additionalProperties: { type: 'string' } },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        items: {
          type: 'array',
          maxItems: 3,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name'],
            properties: { name: { type: 'string' }, weight: { type: 'integer', default: 1 } },
          },
        },
      },
    },
    status: {
      type: 'object',
      properties: { ready: { type: 'boolean' }, replicas: { type: 'integer' } },
    },
  },
};

function definition(schema: object = SCHEMA, more: object = {}): object {
  return {
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'widgets', kind: 'Widget', shortNames: ['wd'] },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: schema },
          subresources: {
            status: {},
            scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
          },
          additionalPrinterColumns: [{ name: 'Size', type: 'string', jsonPath: '.spec.size' }],
        },
      ],
      ...more,
    },
  };
}

const make = (server: TestServer, spec: object, name = 'w'): Promise<Answer> =>
  server.call('POST', WIDGETS, { body: { metadata: { name }, spec } });

describe('CustomResourceDefinitions', () => {
  test('a definition is established and served at once, and in discovery', async () => {
    await using server = await startTestServer();
    const { status, body } = await server.call('POST', DEFINITIONS, { body: definition() });
    assert.equal(status, 201);
    const conditions = (body['status'] as { conditions: { type: string; status: string }[] })
      .conditions;
    assert.deepEqual(
      conditions.map(({ type, status: state }) => `${type}=${state}`),
      ['NamesAccepted=True', 'Established=True'],
    );
    const { body: discovery } = await server.call('GET', '/apis/example.com/v1');
    assert.deepEqual(
      (discovery['resources'] as { name: string }[]).map(({ name }) => name),
      ['widgets', 'widgets/scale', 'widgets/status'],
    );
  });

  test('defaults are filled in, unknown fields pruned, free parts kept', async () => {
    await using server = await startTestServer();
    await server.call('POST', DEFINITIONS, { body: definition() });
    const { body } = await make(server, {
      size: 'small',
      bogus: 1,
      free: { any: [1] },
      maybe: null,
      replicas: null,
      items: [{ name: 'a' }],
    });
    assert.deepEqual(body['spec'], {
      size: 'small',
      free: { any: [1] },
      maybe: null,
      replicas: 2,
      items: [{ name: 'a', weight: 1 }],
    });
  });

  const invalid: [string, object, string][] = [
    ['a missing field', {}, 'spec.size: Required value'],
    [
      'a value outside the enum',
      { size: 'huge' },
      'spec.size: Unsupported value: "huge": supported values: "small", "large"',
    ],
    [
      'a wrong type',
      { size: 'small', replicas: 'x' },
      'spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"',
    ],
    [
      'a number too small',
      { size: 'small', replicas: 0 },
      'spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1',
    ],
    [
      'a text off the pattern',
      { size: 'small', name: 'A1' },
      'spec.name: Invalid value: "A1": spec.name in body should match \'^[a-z]+$\'',
    ],
    [
      'a text too long',
      { size: 'small', name: 'abcdef' },
      'spec.name: Too long: may not be more than 5 bytes',
    ],
    [
      'a boolean for int-or-string',
      { size: 'small', port: true },
      'spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"',
    ],
    [
      'a map value of a wrong type',
      { size: 'small', labels: { a: 1 } },
      'spec.labels.a: Invalid value: "integer": spec.labels.a in body must be of type string: "integer"',
    ],
    [
      'a repeated key',
      { size: 'small', items: [{ name: 'a' }, { name: 'a' }] },
      'spec.items[1]: Duplicate value: {"name":"a"}',
    ],
    [
      'too many items',
      { size: 'small', items: ['a', 'b', 'c', 'd'].map((name) => ({ name })) },
      'spec.items: Too many: 4: must have at most 3 items',
    ],
  ];
  for (const [name, spec, message] of invalid) {
    test(`${name} is refused with the field and the rule`, async () => {
      await using server = await startTestServer();
      await server.call('POST', DEFINITIONS, { body: definition() });
      const { status, body } = await make(server, spec);
      assert.equal(status, 422);
      assert.equal(body.message, `Widget.example.com "w" is invalid: ${message}`);
    });
  }

  test('status and scale are subresources of their own', async () => {
    await using server = await startTestServer();
    await server.call('POST', DEFINITIONS, { body: definition() });
    await make(server, { size: 'small' });
    const patch = (path: string, body: object): Promise<Answer> =>
      server.call('PATCH', `${WIDGETS}/w${path}`, { type: 'application/merge-patch+json', body });
    const ignored = await patch('', { status: { ready: true } });
    assert.equal(ignored.body['status'], undefined);
    const set = await patch('/status', { status: { ready: true }, spec: { size: 'large' } });
    assert.deepEqual(
      [set.body['status'], (set.body['spec'] as { size: string }).size],
      [{ ready: true }, 'small'],
    );
    await patch('/scale', { spec: { replicas: 7 } });
    const { body } = await server.call('GET', `${WIDGETS}/w`);
    assert.equal((body['spec'] as { replicas: number }).replicas, 7);
    assert.equal(body.metadata.generation, 2);
  });

  test('two versions show one object, each by its own schema', async () => {
    await using server = await startTestServer();
    const base = definition() as { spec: { versions: object[] } };
    base.spec.versions.push({
      name: 'v1beta1',
      served: true,
      storage: false,
      deprecated: true,
      schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
    });
    await server.call('POST', DEFINITIONS, { body: base });
    await make(server, { size: 'small' });
    const old = await server.call('GET', WIDGETS.replace('/v1/', '/v1beta1/'));
    assert.equal(old.body.items[0]?.apiVersion, 'example.com/v1beta1');
    assert.match(String(old.headers['warning']), /example\.com\/v1beta1 Widget is deprecated/);
    const patched = await server.call('PATCH', `${WIDGETS.replace('/v1/', '/v1beta1/')}/w`, {
      type: 'application/merge-patch+json',
      body: { spec: { size: 'large' } },
    });
    assert.equal(patched.body.apiVersion, 'example.com/v1beta1');
    const { body } = await server.call('GET', `${WIDGETS}/w`);
    assert.equal(body.apiVersion, 'example.com/v1');
    assert.equal((body['spec'] as { size: string }).size, 'large');
  });

  test('strategic merge patch is not for custom kinds', async () => {
    await using server = await startTestServer();
    await server.call('POST', DEFINITIONS, { body: definition() });
    await make(server, { size: 'small' });
    const { status } = await server.call('PATCH', `${WIDGETS}/w`, {
      type: 'application/strategic-merge-patch+json',
      body: {},
    });
    assert.equal(status, 415);
  });

  test('a deleted definition takes its objects with it, waits for finalizers, and leaves discovery', async () => {
    await using server = await startTestServer();
    await server.call('POST', DEFINITIONS, { body: definition() });
    await make(server, { size: 'small' }, 'a');
    await server.call('POST', WIDGETS, {
      body: { metadata: { name: 'held', finalizers: ['example.com/x'] }, spec: { size: 'small' } },
    });
    const watch = await server.watch(`${DEFINITIONS}?watch=1`);
    await watch.next();
    await server.call('DELETE', `${DEFINITIONS}/widgets.example.com`);
    const refused = await make(server, { size: 'small' }, 'late');
    assert.equal(refused.status, 405);
    assert.equal((await watch.next()).type, 'MODIFIED');
    await server.call('PATCH', `${WIDGETS}/held`, {
      type: 'application/merge-patch+json',
      body: { metadata: { finalizers: null } },
    });
    assert.equal((await watch.next()).type, 'DELETED');
    assert.equal((await server.call('GET', WIDGETS)).status, 404);
    assert.equal((await server.call('GET', '/apis/example.com')).status, 404);
    watch.close();
  });

  const refusedDefinitions: [string, object, RegExp][] = [
    ['a name that is not plural.group', { group: 'other.com' }, /must be spec\.names\.plural/],
    [
      'no storage version',
      {
        versions: [
          { name: 'v1', served: true, storage: false, schema: { openAPIV3Schema: SCHEMA } },
        ],
      },
      /exactly one version marked as storage/,
    ],
    [
      'no schema',
      { versions: [{ name: 'v1', served: true, storage: true }] },
      /schemas are required/,
    ],
    [
      'a schema without types',
      {
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: 'object', properties: { spec: {} } } },
          },
        ],
      },
      /must not be empty for specified object fields/,
    ],
    ['a webhook conversion', { conversion: { strategy: 'Webhook' } }, /supported values: "None"/],
  ];
  for (const [name, spec, message] of refusedDefinitions) {
    test(`${name} is refused`, async () => {
      await using server = await startTestServer();
      const { status, body } = await server.call('POST', DEFINITIONS, {
        body: definition(SCHEMA, spec),
      });
      assert.equal(status, 422, body.message);
      assert.match(body.message, message);
    });
  }
});
