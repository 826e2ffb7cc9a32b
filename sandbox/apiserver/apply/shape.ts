// How a value merges, as its schema says: member by member, by key, as a set, or only as a whole.
// Without a schema, objects merge by member and lists are whole, as for any schemaless field.

import { isRecord, type JsonObject } from '../object.ts';
import type { Schema } from '../schema.ts';

export type Shape =
  | { readonly how: 'members'; readonly value: JsonObject }
  | { readonly how: 'keyed'; readonly items: ReadonlyMap<string, unknown> }
  | { readonly how: 'set'; readonly items: ReadonlyMap<string, unknown> }
  | { readonly how: 'whole' };

const WHOLE: Shape = { how: 'whole' };

export function shapeOf(value: unknown, schema: Schema | undefined): Shape {
  if (isRecord(value)) {
    return schema?.['x-kubernetes-map-type'] === 'atomic' ? WHOLE : { how: 'members', value };
  }
  if (!Array.isArray(value)) return WHOLE;
  const listType = schema?.['x-kubernetes-list-type'];
  if (listType === 'set') {
    const items = new Map(value.map((item) => [`v:${JSON.stringify(item)}`, item]));
    return items.size === value.length ? { how: 'set', items } : WHOLE;
  }
  if (listType !== 'map') return WHOLE;
  const items = new Map<string, unknown>();
  for (const item of value) {
    const edge = keyEdge(item, schema);
    if (edge === undefined || items.has(edge)) return WHOLE;
    items.set(edge, item);
  }
  return { how: 'keyed', items };
}

/** The schema of a member of an object. */
export function memberSchema(schema: Schema | undefined, key: string): Schema | undefined {
  if (schema?.properties !== undefined && Object.hasOwn(schema.properties, key)) {
    return schema.properties[key];
  }
  const additional = schema?.additionalProperties;
  return typeof additional === 'object' ? additional : undefined;
}

/** A declared field, in contrast to an entry of a map. */
export function isDeclared(schema: Schema | undefined, key: string): boolean {
  return schema?.properties !== undefined && Object.hasOwn(schema.properties, key);
}

function keyEdge(item: unknown, schema: Schema | undefined): string | undefined {
  if (!isRecord(item)) return undefined;
  const identity: JsonObject = {};
  for (const key of [...(schema?.['x-kubernetes-list-map-keys'] ?? [])].sort()) {
    const value = item[key] ?? memberSchema(schema?.items, key)?.default;
    if (value !== undefined) identity[key] = value;
  }
  return Object.keys(identity).length === 0 ? undefined : `k:${JSON.stringify(identity)}`;
}
