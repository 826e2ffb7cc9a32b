// The two moves of server-side apply on values: lay an applied configuration over the live object,
// and take away what nobody wants any more.

import { isRecord, type JsonObject } from '../object.ts';
import type { Schema } from '../schema.ts';
import type { FieldSet } from './field-set.ts';
import { memberSchema, shapeOf } from './shape.ts';

/** `applied` laid over `live`; neither is edited. */
export function mergeApplied(live: unknown, applied: unknown, schema: Schema | undefined): unknown {
  if (live === undefined || live === null || applied === undefined) {
    return structuredClone(applied === undefined ? live : applied);
  }
  const left = shapeOf(live, schema);
  const right = shapeOf(applied, schema);
  if (left.how === 'members' && right.how === 'members') {
    const merged: JsonObject = { ...left.value };
    for (const [key, member] of Object.entries(right.value)) {
      merged[key] = mergeApplied(left.value[key], member, memberSchema(schema, key));
    }
    return merged;
  }
  if (left.how === 'keyed' && right.how === 'keyed') {
    return inOrder(left.items, right.items, (edge, item) =>
      mergeApplied(left.items.get(edge), item, schema?.items),
    );
  }
  if (left.how === 'set' && right.how === 'set') {
    return inOrder(left.items, right.items, (_, item) => item);
  }
  return structuredClone(applied);
}

/** Applied items in applied order; live-only ones keep their place before the applied one they preceded, new ones come last. */
function inOrder(
  live: ReadonlyMap<string, unknown>,
  applied: ReadonlyMap<string, unknown>,
  make: (edge: string, item: unknown) => unknown,
): unknown[] {
  const result: unknown[] = [];
  const rest = new Map(live);
  let fresh: unknown[] = [];
  for (const [edge, item] of applied) {
    if (!rest.has(edge)) {
      fresh.push(make(edge, item));
      continue;
    }
    for (const [other, kept] of rest) {
      if (other === edge) break;
      if (applied.has(other)) continue;
      result.push(kept);
      rest.delete(other);
    }
    rest.delete(edge);
    result.push(...fresh, make(edge, item));
    fresh = [];
  }
  for (const [edge, kept] of rest) if (!applied.has(edge)) result.push(kept);
  return [...result, ...fresh];
}

/** `value` without the members of `gone`; what becomes empty by that goes too, unless `kept` has it. */
export function removeFields(
  value: unknown,
  schema: Schema | undefined,
  gone: FieldSet,
  kept: FieldSet | undefined,
): unknown {
  const shape = shapeOf(value, schema);
  if (gone.children.size === 0 || shape.how === 'whole') {
    const wanted = kept !== undefined && (kept.here || kept.children.size > 0);
    return gone.here && !wanted ? undefined : value;
  }
  let result: unknown;
  if (shape.how === 'members') result = withoutMembers(shape.value, schema, gone, kept);
  else result = withoutItems(shape.items, schema, gone, kept);
  const empty = isRecord(result)
    ? Object.keys(result).length === 0
    : (result as unknown[]).length === 0;
  return empty && kept?.here !== true ? undefined : result;
}

function withoutMembers(
  value: JsonObject,
  schema: Schema | undefined,
  gone: FieldSet,
  kept: FieldSet | undefined,
): JsonObject {
  const result: JsonObject = {};
  for (const [key, member] of Object.entries(value)) {
    const below = gone.children.get(`f:${key}`);
    const left =
      below === undefined
        ? member
        : removeFields(member, memberSchema(schema, key), below, kept?.children.get(`f:${key}`));
    if (left !== undefined) result[key] = left;
  }
  return result;
}

function withoutItems(
  items: ReadonlyMap<string, unknown>,
  schema: Schema | undefined,
  gone: FieldSet,
  kept: FieldSet | undefined,
): unknown[] {
  const result: unknown[] = [];
  for (const [edge, item] of items) {
    const below = gone.children.get(edge);
    if (below === undefined) {
      result.push(item);
      continue;
    }
    const keptBelow = kept?.children.get(edge);
    // an item whose own membership ends goes whole unless somebody else wants a part of it
    if (below.here && keptBelow === undefined) continue;
    const left = removeFields(item, schema?.items, { ...below, here: false }, keptBelow);
    if (left !== undefined) result.push(left);
  }
  return result;
}
