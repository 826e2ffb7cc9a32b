// What a schema says about the shape of a value: unknown fields (found and pruned) and defaults (filled in).
// Both edit a private copy that the write path owns.

import { isRecord, type JsonObject } from '../object.ts';
import type { Schema } from '../schema.ts';

/** Unknown fields reported at most: a client needs a few names, not a copy of its garbage. */
const MAX_UNKNOWN = 50;

/** Removes fields the schema does not have; answers their paths. */
export function pruneUnknown(object: JsonObject, schema: Schema): string[] {
  const unknown: string[] = [];
  prune(object, schema, '', unknown);
  return unknown;
}

function prune(value: unknown, schema: Schema, path: string, unknown: string[]): void {
  if (Array.isArray(value)) {
    const items = schema.items;
    if (items === undefined) return;
    value.forEach((item, index) => prune(item, items, `${path}[${index}]`, unknown));
    return;
  }
  if (!isRecord(value)) return;
  const { properties, additionalProperties } = schema;
  const keepsAll =
    schema['x-kubernetes-preserve-unknown-fields'] === true || additionalProperties === true;
  for (const [key, member] of Object.entries(value)) {
    const memberPath = path === '' ? key : `${path}.${key}`;
    const memberSchema =
      properties !== undefined && Object.hasOwn(properties, key)
        ? properties[key]
        : isRecord(additionalProperties)
          ? (additionalProperties as Schema)
          : undefined;
    if (memberSchema !== undefined) prune(member, memberSchema, memberPath, unknown);
    else if (!keepsAll && !isEmbeddedField(schema, key)) {
      delete value[key];
      if (unknown.length < MAX_UNKNOWN) unknown.push(memberPath);
    }
  }
}

function isEmbeddedField(schema: Schema, key: string): boolean {
  return (
    schema['x-kubernetes-embedded-resource'] === true &&
    (key === 'apiVersion' || key === 'kind' || key === 'metadata')
  );
}

/** Removes nulls where null is no value: a typed decoder reads them as absent. */
export function dropNulls(value: unknown, schema: Schema): void {
  if (Array.isArray(value)) {
    if (schema.items !== undefined) for (const item of value) dropNulls(item, schema.items);
    return;
  }
  if (!isRecord(value)) return;
  for (const [key, member] of Object.entries(value)) {
    const below = schema.properties?.[key] ?? schema.additionalProperties;
    if (below === undefined || typeof below === 'boolean') continue;
    if (member === null) {
      if (below.nullable !== true) delete value[key];
    } else dropNulls(member, below);
  }
}

/** Fills in what is absent and has a default; a null that may not be null counts as absent. */
export function fillDefaults(value: unknown, schema: Schema): void {
  if (Array.isArray(value)) {
    if (schema.items !== undefined) {
      for (const item of value) fillDefaults(item, schema.items);
    }
    return;
  }
  if (!isRecord(value)) return;
  for (const [key, member] of Object.entries(schema.properties ?? {})) {
    if (value[key] === null && member.nullable !== true && member.default !== undefined) {
      delete value[key];
    }
    if (value[key] === undefined && member.default !== undefined) {
      value[key] = structuredClone(member.default);
    }
    if (value[key] !== undefined) fillDefaults(value[key], member);
  }
  if (isRecord(schema.additionalProperties)) {
    for (const [key, member] of Object.entries(value)) {
      if (schema.properties?.[key] === undefined) {
        fillDefaults(member, schema.additionalProperties as Schema);
      }
    }
  }
}
