import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BUILT_IN_KINDS } from '../built-in-kinds.ts';
import type { KindDefinition } from '../kinds.ts';
import { isRecord, type JsonObject, recordAt } from '../object.ts';
import type { Schema } from '../schema.ts';
import { openApiV2, openApiV3Group, openApiV3Root } from './documents.ts';
import { encodeOpenApiV2 } from './v2-protobuf.ts';
import { WORDS } from './words/words.ts';

const WIDGETS: KindDefinition = {
  group: 'demo.example.com',
  version: 'v1',
  kind: 'Widget',
  listKind: 'WidgetList',
  plural: 'widgets',
  singular: 'widget',
  shortNames: [],
  categories: [],
  namespaced: true,
  verbs: ['create', 'get', 'list', 'patch', 'update', 'watch'],
  subresources: [],
  custom: true,
  schema: {
    type: 'object',
    description: 'A thing.',
    properties: {
      spec: {
        type: 'object',
        properties: {
          size: { anyOf: [{ type: 'integer' }, { type: 'string' }], description: 'How big.' },
        },
      },
    },
  },
};
const KINDS = [...BUILT_IN_KINDS, WIDGETS];

function schemaNamed(document: JsonObject, name: string): JsonObject {
  return recordAt(recordAt(recordAt(document, 'components'), 'schemas'), name);
}

/** Every `$ref` in a document. */
function references(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(references);
  if (!isRecord(value)) return [];
  const own = typeof value['$ref'] === 'string' ? [value['$ref']] : [];
  return [...own, ...Object.values(value).flatMap(references)];
}

describe('openApiV3Group()', () => {
  test('defines each kind with its group, version and kind, and what it refers to', () => {
    for (const apiVersion of ['v1', 'apps/v1', 'demo.example.com/v1']) {
      const document = openApiV3Group(KINDS, apiVersion);
      assert.ok(document);
      for (const reference of new Set(references(document))) {
        const name = reference.replace('#/components/schemas/', '');
        assert.ok(Object.keys(schemaNamed(document, name)).length > 0, reference);
      }
    }
    const apps = openApiV3Group(KINDS, 'apps/v1');
    assert.ok(apps);
    const deployment = schemaNamed(apps, 'io.k8s.api.apps.v1.Deployment');
    assert.deepEqual(deployment['x-kubernetes-group-version-kind'], [
      { group: 'apps', version: 'v1', kind: 'Deployment' },
    ]);
  });

  test('names the types of fields and keeps how lists merge', () => {
    const core = openApiV3Group(KINDS, 'v1');
    assert.ok(core);
    const containers = recordAt(
      recordAt(schemaNamed(core, 'io.k8s.api.core.v1.PodSpec'), 'properties'),
      'containers',
    );
    assert.deepEqual(containers['items'], {
      $ref: '#/components/schemas/io.k8s.api.core.v1.Container',
    });
    assert.equal(containers['x-kubernetes-patch-merge-key'], 'name');
    assert.deepEqual(containers['x-kubernetes-list-map-keys'], ['name']);
  });

  test('tells kubectl that a PATCH is validated by the server', () => {
    for (const [apiVersion, path] of [
      ['apps/v1', '/apis/apps/v1/namespaces/{namespace}/deployments/{name}'],
      ['demo.example.com/v1', '/apis/demo.example.com/v1/namespaces/{namespace}/widgets/{name}'],
      ['v1', '/api/v1/namespaces/{name}'],
    ] as const) {
      const patch = recordAt(
        recordAt(recordAt(openApiV3Group(KINDS, apiVersion), 'paths'), path),
        'patch',
      );
      const names = (patch['parameters'] as { name: string }[]).map(({ name }) => name);
      assert.ok(names.includes('fieldValidation'), path);
      assert.ok(names.includes('dryRun'), path);
    }
  });

  test('offers strategic merge patches for built-in kinds only', () => {
    const types = (apiVersion: string, path: string): string[] => {
      const item = recordAt(recordAt(openApiV3Group(KINDS, apiVersion), 'paths'), path);
      const body = recordAt(recordAt(item, 'patch'), 'requestBody');
      return Object.keys(recordAt(body, 'content'));
    };
    const strategic = 'application/strategic-merge-patch+json';
    const deployments = '/apis/apps/v1/namespaces/{namespace}/deployments/{name}';
    const widgets = '/apis/demo.example.com/v1/namespaces/{namespace}/widgets/{name}';
    assert.ok(types('apps/v1', deployments).includes(strategic));
    assert.ok(!types('demo.example.com/v1', widgets).includes(strategic));
  });

  test('gives custom kinds the metadata every object has', () => {
    const document = openApiV3Group(KINDS, 'demo.example.com/v1');
    assert.ok(document);
    const widget = schemaNamed(document, 'com.example.demo.v1.Widget');
    const { metadata, spec } = recordAt(widget, 'properties');
    assert.match(JSON.stringify(metadata), /meta\.v1\.ObjectMeta/);
    assert.match(JSON.stringify(spec), /How big/);
  });

  test('is undefined for a group version that is not served', () => {
    assert.equal(openApiV3Group(KINDS, 'apps/v9'), undefined);
  });
});

describe('openApiV3Root()', () => {
  test('lists each group version with a hash that follows its content', () => {
    const urlOf = (kinds: readonly KindDefinition[], path: string): unknown =>
      recordAt(recordAt(openApiV3Root(kinds), 'paths'), path)['serverRelativeURL'];
    const group = 'apis/demo.example.com/v1';
    assert.match(String(urlOf(KINDS, group)), /^\/openapi\/v3\/apis\/demo.example.com\/v1\?hash=/);
    const changed = [...BUILT_IN_KINDS, { ...WIDGETS, schema: { type: 'object' } as Schema }];
    assert.notEqual(urlOf(KINDS, group), urlOf(changed, group));
    assert.equal(urlOf(KINDS, 'api/v1'), urlOf(changed, 'api/v1'));
  });
});

describe('openApiV2()', () => {
  const document = openApiV2(KINDS);

  test('says nothing that version 2 cannot', () => {
    const text = JSON.stringify(document['definitions']);
    for (const word of ['"oneOf"', '"anyOf"', '"allOf"', '"nullable"']) {
      assert.ok(!text.includes(word), word);
    }
  });

  test('refers only to what it defines', () => {
    for (const reference of new Set(references(document))) {
      const name = reference.replace('#/definitions/', '');
      assert.ok(name in recordAt(document, 'definitions'), reference);
    }
  });

  test('is encoded in JSON unless the client names the protobuf type', () => {
    const { bytes, type } = encodeOpenApiV2(document, 'application/json, */*');
    assert.equal(type, 'application/json');
    assert.deepEqual(JSON.parse(bytes.toString()), document);
  });

  test('is encoded in protobuf with all definitions and references', () => {
    const name = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
    const { bytes, type } = encodeOpenApiV2(document, name);
    assert.equal(type, name.replace('@', '.'));
    for (const name of Object.keys(recordAt(document, 'definitions'))) {
      assert.ok(bytes.includes(name), name);
    }
    assert.ok(bytes.includes('#/definitions/io.k8s.api.core.v1.PodSpec'));
    assert.ok(bytes.includes('x-kubernetes-patch-merge-key'));
    assert.ok(bytes.includes('fieldValidation'));
  });
});

describe('the words', () => {
  const documents = [...new Set(BUILT_IN_KINDS.map(({ group, version }) => `${group}/${version}`))]
    .map((name) => openApiV3Group(BUILT_IN_KINDS, name.replace(/^\//, '')))
    .filter((document) => document !== undefined);
  const schemas = Object.assign(
    {},
    ...documents.map((document) => recordAt(recordAt(document, 'components'), 'schemas')),
  ) as Record<string, JsonObject>;

  test('are each on a definition and a field that there are', () => {
    for (const [name, { fields }] of Object.entries(WORDS)) {
      const schema = schemas[`io.k8s.api.${name}`];
      assert.ok(schema, `no schema uses the words on ${name}`);
      for (const field of Object.keys(fields)) {
        assert.ok(field in recordAt(schema, 'properties'), `${name} has no field ${field}`);
      }
    }
  });

  test('describe every field of a pod, a container, a service and a deployment', () => {
    for (const name of ['core.v1.ServicePort', 'apps.v1.DeploymentSpec', 'core.v1.Container']) {
      const properties = recordAt(schemas[`io.k8s.api.${name}`], 'properties');
      const silent = Object.entries(properties)
        .filter(([, schema]) => !isRecord(schema) || schema['description'] === undefined)
        .map(([field]) => field);
      assert.deepEqual(silent, [], name);
    }
  });
});
