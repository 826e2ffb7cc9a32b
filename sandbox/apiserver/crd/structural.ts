// Is a schema structural, as Kubernetes has it? Called by strategy.ts for each version of a definition.

import { type FieldError, invalidValue, notSupported, required } from '../errors.ts';
import { isRecord, type JsonObject, listAt } from '../object.ts';

const TYPES = ['array', 'boolean', 'integer', 'number', 'object', 'string'];
/** Depth of a schema; real definitions stay below twenty. */
const MAX_DEPTH = 60;

export function structuralErrors(schema: JsonObject, path: string, depth = 0): FieldError[] {
  if (depth > MAX_DEPTH)
    return [invalidValue(path, depth, `schemas may be ${MAX_DEPTH} levels deep`)];
  const errors: FieldError[] = [];
  const type = schema['type'];
  const untyped =
    schema['x-kubernetes-int-or-string'] === true ||
    schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (type === undefined) {
    if (!untyped)
      errors.push(required(`${path}.type`, 'must not be empty for specified object fields'));
  } else if (!TYPES.includes(String(type))) {
    errors.push(notSupported(`${path}.type`, type, TYPES));
  }
  if (type === 'array' && !isRecord(schema['items'])) {
    errors.push(required(`${path}.items`, 'must be specified for an array'));
  }
  errors.push(...listTypeErrors(schema, path));
  if (isRecord(schema['properties']) && isRecord(schema['additionalProperties'])) {
    errors.push({
      field: `${path}.additionalProperties`,
      reason: 'FieldValueForbidden',
      message: 'Forbidden: must not be used when properties is set',
    });
  }
  if (typeof schema['pattern'] === 'string' && !compiles(schema['pattern'])) {
    errors.push(
      invalidValue(`${path}.pattern`, schema['pattern'], 'must be a valid regular expression'),
    );
  }
  for (const [at, child] of childrenOf(schema)) {
    errors.push(...structuralErrors(child, `${path}.${at}`, depth + 1));
  }
  return errors;
}

function listTypeErrors(schema: JsonObject, path: string): FieldError[] {
  const listType = schema['x-kubernetes-list-type'];
  if (listType === undefined) return [];
  const at = `${path}.x-kubernetes-list-type`;
  if (!['atomic', 'set', 'map'].includes(String(listType))) {
    return [notSupported(at, listType, ['atomic', 'set', 'map'])];
  }
  const keys = listAt(schema, 'x-kubernetes-list-map-keys');
  if (listType !== 'map') return [];
  if (keys.length === 0) {
    return [
      required(
        `${path}.x-kubernetes-list-map-keys`,
        'must not be empty if x-kubernetes-list-type is map',
      ),
    ];
  }
  return [];
}

function compiles(pattern: string): boolean {
  try {
    return new RegExp(pattern) instanceof RegExp;
  } catch {
    return false;
  }
}

function* childrenOf(schema: JsonObject): Generator<[string, JsonObject]> {
  const { properties, items, additionalProperties } = schema;
  if (isRecord(properties)) {
    for (const [name, child] of Object.entries(properties)) {
      if (isRecord(child)) yield [`properties[${name}]`, child];
    }
  }
  if (isRecord(items)) yield ['items', items];
  if (isRecord(additionalProperties)) yield ['additionalProperties', additionalProperties];
}
