// Strategic merge patch: a merge patch that knows which lists merge by key, and obeys $-directives.
// Which lists those are comes from the schema (x-kubernetes-patch-merge-key). The input is not edited.

import { memberSchema } from '../apply/shape.ts';
import { deepEqual } from '../equal.ts';
import { badRequest } from '../errors.ts';
import { isRecord, type JsonObject } from '../object.ts';
import type { Schema } from '../schema.ts';
import { set } from './json-patch.ts';

const DIRECTIVE = '$patch';
const RETAIN_KEYS = '$retainKeys';
const ORDER = '$setElementOrder/';
const DELETE_PRIMITIVES = '$deleteFromPrimitiveList/';

export function applyStrategicPatch(
  target: unknown,
  patch: unknown,
  schema: Schema | undefined,
): unknown {
  if (!isRecord(patch)) return structuredClone(patch);
  const directive = patch[DIRECTIVE];
  if (directive === 'replace') return withoutDirectives(patch);
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge') throw unknownDirective(directive);
  const result: JsonObject = isRecord(target) ? { ...target } : {};
  retainKeys(result, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$')) continue;
    const below = memberSchema(schema, key);
    if (value === null) delete result[key];
    else if (Array.isArray(value)) {
      set(result, key, mergeList(result[key], value, below));
    } else {
      const present = Object.hasOwn(result, key) ? result[key] : undefined;
      set(result, key, applyStrategicPatch(present, value, below));
    }
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith(DELETE_PRIMITIVES)) deletePrimitives(result, key, value);
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith(ORDER)) order(result, key.slice(ORDER.length), value, schema);
  }
  return result;
}

function retainKeys(result: JsonObject, patch: JsonObject): void {
  const keys = patch[RETAIN_KEYS];
  if (keys === undefined) return;
  if (!Array.isArray(keys)) throw badRequest(`${RETAIN_KEYS} must be a list of field names`);
  for (const key of Object.keys(result)) if (!keys.includes(key)) delete result[key];
}

function mergeList(
  target: unknown,
  patch: readonly unknown[],
  schema: Schema | undefined,
): unknown {
  const present: readonly unknown[] = Array.isArray(target) ? target : [];
  const strategies = (schema?.['x-kubernetes-patch-strategy'] ?? '').split(',');
  if (!strategies.includes('merge')) return patch.map(withoutDirectives);
  const mergeKey = schema?.['x-kubernetes-patch-merge-key'];
  if (mergeKey === undefined) {
    const added = patch.filter((item) => !present.some((other) => deepEqual(item, other)));
    return [...present, ...structuredClone(added)];
  }
  if (patch.some((item) => isRecord(item) && item[DIRECTIVE] === 'replace')) {
    return patch
      .filter((item) => !(isRecord(item) && item[DIRECTIVE] !== undefined))
      .map(withoutDirectives);
  }
  return mergeByKey(present, patch, mergeKey, schema?.items);
}

function mergeByKey(
  present: readonly unknown[],
  patch: readonly unknown[],
  mergeKey: string,
  items: Schema | undefined,
): unknown[] {
  let result = [...present];
  for (const item of patch) {
    if (!isRecord(item)) throw badRequest(`an item merged by ${mergeKey} must be an object`);
    const key = item[mergeKey];
    if (key === undefined) {
      throw badRequest(`map does not contain declared merge key: ${mergeKey}`);
    }
    const at = result.findIndex((other) => isRecord(other) && deepEqual(other[mergeKey], key));
    if (item[DIRECTIVE] === 'delete') {
      result = result.filter((other) => !(isRecord(other) && deepEqual(other[mergeKey], key)));
    } else if (at === -1) result.push(applyStrategicPatch({}, item, items));
    else result[at] = applyStrategicPatch(result[at], item, items);
  }
  return result;
}

function deletePrimitives(result: JsonObject, directive: string, values: unknown): void {
  const key = directive.slice(DELETE_PRIMITIVES.length);
  const present = result[key];
  if (!Array.isArray(values)) throw badRequest(`${directive} must be a list`);
  if (!Array.isArray(present)) return;
  result[key] = present.filter((item) => !values.some((value) => deepEqual(item, value)));
}

/** Puts the items that `wanted` names in its order; the others keep their place after the one before them. */
function order(result: JsonObject, key: string, wanted: unknown, schema: Schema | undefined): void {
  const present = result[key];
  if (!Array.isArray(wanted)) throw badRequest(`${ORDER}${key} must be a list`);
  if (!Array.isArray(present)) return;
  const mergeKey = memberSchema(schema, key)?.['x-kubernetes-patch-merge-key'];
  const identity = (item: unknown): string =>
    JSON.stringify(mergeKey !== undefined && isRecord(item) ? item[mergeKey] : item);
  const ranks = new Map(wanted.map((item, rank) => [identity(item), rank]));
  const named = present
    .filter((item) => ranks.has(identity(item)))
    .sort((a, b) => (ranks.get(identity(a)) ?? 0) - (ranks.get(identity(b)) ?? 0));
  const ordered: unknown[] = [];
  let next = 0;
  for (const item of present) {
    if (!ranks.has(identity(item))) ordered.push(item);
    else {
      ordered.push(named[next]);
      next += 1;
    }
  }
  result[key] = ordered;
}

function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== DIRECTIVE && key !== RETAIN_KEYS)
      .map(([key, member]) => [key, withoutDirectives(member)]),
  );
}

function unknownDirective(directive: unknown): Error {
  return badRequest(`unknown patch directive ${JSON.stringify(directive)}`);
}
