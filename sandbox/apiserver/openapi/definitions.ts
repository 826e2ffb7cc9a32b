// Turns schemas into the definitions of an OpenAPI document: named parts become `$ref`s, and each is defined once.
// Version 3 and version 2 differ in where definitions live and in what a schema may say.

import type { JsonObject } from '../object.ts';
import type { Schema } from '../schema.ts';
import { LOCAL_REFERENCE, META, OBJECT_REFERENCE, SELECTOR } from '../schemas/meta.ts';
import { parseTitle } from './words/words.ts';

export type Dialect = 'v2' | 'v3';

const META_V1 = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const INT_OR_STRING = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString';
/** Shared schemas, told by their properties: those stay the same object when a field gets its own description. */
const SHARED: ReadonlyMap<unknown, string> = new Map([
  [META.properties, `${META_V1}.ObjectMeta`],
  [SELECTOR.properties, `${META_V1}.LabelSelector`],
  [OBJECT_REFERENCE.properties, 'io.k8s.api.core.v1.ObjectReference'],
  [LOCAL_REFERENCE.properties, 'io.k8s.api.core.v1.LocalObjectReference'],
]);
const OBJECT_META_FIELD: Schema = { ...META, description: 'Standard metadata of the object.' };
/** What a structural schema may say and OpenAPI v2 cannot. */
const ONLY_V3: ReadonlySet<string> = new Set([
  'allOf',
  'anyOf',
  'default',
  'not',
  'nullable',
  'oneOf',
  'x-kubernetes-validations',
]);
const LIST_META: Schema = {
  type: 'object',
  description: 'Bookkeeping of a list.',
  properties: {
    continue: { type: 'string', description: 'Token for the next part of the list.' },
    remainingItemCount: { type: 'integer', format: 'int64', description: 'Objects still to come.' },
    resourceVersion: { type: 'string', description: 'Version of the list; opaque.' },
    selfLink: { type: 'string' },
  },
};

export class Definitions {
  readonly #definitions = new Map<string, JsonObject>();
  readonly #dialect: Dialect;

  constructor(settings: { readonly dialect: Dialect }) {
    this.#dialect = settings.dialect;
  }

  /** All definitions, sorted by name. */
  all(): JsonObject {
    return Object.fromEntries([...this.#definitions].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Defines a kind under `name`; `extra` goes beside its schema. Gives the reference to it. */
  define(name: string, schema: Schema, extra: JsonObject = {}): JsonObject {
    this.#definitions.set(name, { ...this.#body(schema), ...extra });
    return this.reference(name);
  }

  /** Defines the list of a kind and gives the reference to it. */
  defineList(name: string, itemName: string, extra: JsonObject): JsonObject {
    const item = itemName.split('.').at(-1) ?? itemName;
    this.#definitions.set(name, {
      type: 'object',
      description: `A list of ${item} objects.`,
      required: ['items'],
      properties: {
        apiVersion: { type: 'string', description: 'Version of the schema of this object.' },
        kind: { type: 'string', description: 'What this object is.' },
        metadata: this.#named(`${META_V1}.ListMeta`, LIST_META),
        items: { type: 'array', description: 'The objects.', items: this.reference(itemName) },
      },
      ...extra,
    });
    return this.reference(name);
  }

  reference(name: string): JsonObject {
    return {
      $ref: `${this.#dialect === 'v3' ? '#/components/schemas/' : '#/definitions/'}${name}`,
    };
  }

  /** A schema in the place of a field: a reference where it has a name, else written out. */
  #field(schema: Schema): JsonObject {
    const titled = schema.title === undefined ? undefined : parseTitle(schema.title);
    const shared = schema.properties === undefined ? undefined : SHARED.get(schema.properties);
    if (titled !== undefined) {
      const definition = { ...schema, description: titled.description };
      return this.#refer(schema, this.#named(titled.name, definition));
    }
    if (shared !== undefined) return this.#refer(schema, this.#named(shared, schema));
    if (schema['x-kubernetes-int-or-string'] === true && schema.anyOf === undefined) {
      return this.#refer(schema, this.#intOrString());
    }
    return this.#body(schema);
  }

  #named(name: string, schema: Schema): JsonObject {
    if (!this.#definitions.has(name)) {
      // a place first: a schema may contain itself
      this.#definitions.set(name, {});
      const { default: _, 'x-kubernetes-patch-strategy': __, ...definition } = schema;
      this.#definitions.set(name, this.#body(definition));
    }
    return this.reference(name);
  }

  /** A reference with the field's own words beside it, where the dialect has a way to say them. */
  #refer(schema: Schema, reference: JsonObject): JsonObject {
    const { description } = schema;
    const more: JsonObject = {};
    if (description !== undefined) more['description'] = description;
    if (this.#dialect === 'v3' && schema.default !== undefined) more['default'] = schema.default;
    for (const key of ['x-kubernetes-patch-strategy', 'x-kubernetes-patch-merge-key'] as const) {
      if (schema[key] !== undefined) more[key] = schema[key];
    }
    if (Object.keys(more).length === 0) return reference;
    return this.#dialect === 'v3' ? { allOf: [reference], ...more } : { ...reference, ...more };
  }

  #intOrString(): JsonObject {
    this.#definitions.set(INT_OR_STRING, {
      ...(this.#dialect === 'v3'
        ? { oneOf: [{ type: 'integer' }, { type: 'string' }] }
        : { type: 'string' }),
      format: 'int-or-string',
      description: 'A number or a text.',
    });
    return this.reference(INT_OR_STRING);
  }

  #body(schema: Schema): JsonObject {
    const body: JsonObject = {};
    for (const [key, value] of Object.entries(schema)) {
      if (this.#dialect === 'v2' && ONLY_V3.has(key)) continue;
      if (key === 'title' && parseTitle(String(value)) !== undefined) continue;
      if (key === 'properties') body[key] = this.#properties(schema.properties ?? {});
      else if ((key === 'items' || key === 'additionalProperties') && typeof value === 'object') {
        body[key] = this.#field(withoutWords(value as Schema));
      } else body[key] = value;
    }
    return body;
  }

  #properties(properties: Readonly<Record<string, Schema>>): JsonObject {
    return Object.fromEntries(
      Object.entries(properties).map(([name, schema]) => [name, this.#field(schema)]),
    );
  }
}

/** Items of a named type are described by their type, and the list by its own words. */
function withoutWords(schema: Schema): Schema {
  const titled = schema.title === undefined ? undefined : parseTitle(schema.title);
  if (titled === undefined || schema.description !== titled.description) return schema;
  const { description: _, ...rest } = schema;
  return rest;
}

/** A custom kind's schema, with the fields every object has. */
export function withStandardFields(schema: Schema): Schema {
  return {
    ...schema,
    type: 'object',
    properties: {
      apiVersion: { type: 'string', description: 'Version of the schema of this object.' },
      kind: { type: 'string', description: 'What this object is.' },
      ...schema.properties,
      metadata: OBJECT_META_FIELD,
    },
  };
}
