// Which fields a value has, and which differ between two values, as sets of paths.

import { deepEqual } from '../equal.ts';
import type { Schema } from '../schema.ts';
import { EMPTY, type FieldSet, isEmpty, LEAF, union } from './field-set.ts';
import { isDeclared, memberSchema, type Shape, shapeOf } from './shape.ts';

export type Differences = {
  readonly added: FieldSet;
  readonly modified: FieldSet;
  readonly removed: FieldSet;
};

/** All fields that `value` sets. */
export function fieldsOf(value: unknown, schema: Schema | undefined): FieldSet {
  const shape = shapeOf(value, schema);
  const children = new Map<string, FieldSet>();
  switch (shape.how) {
    case 'whole':
      return LEAF;
    case 'members':
      for (const [key, member] of Object.entries(shape.value)) {
        if (member === undefined) continue;
        const below = fieldsOf(member, memberSchema(schema, key));
        children.set(`f:${key}`, isDeclared(schema, key) ? below : { ...below, here: true });
      }
      break;
    case 'set':
      for (const edge of shape.items.keys()) children.set(edge, LEAF);
      break;
    case 'keyed':
      for (const [edge, item] of shape.items) {
        children.set(edge, { ...fieldsOf(item, schema?.items), here: true });
      }
      break;
  }
  return children.size === 0 ? LEAF : { here: false, children };
}

export function compare(before: unknown, after: unknown, schema: Schema | undefined): Differences {
  const none: Differences = { added: EMPTY, modified: EMPTY, removed: EMPTY };
  if (before === undefined && after === undefined) return none;
  if (before === undefined) return { ...none, added: withContainers(after, schema) };
  if (after === undefined) return { ...none, removed: withContainers(before, schema) };
  if (before === after) return none;
  const left = shapeOf(before, schema);
  const right = shapeOf(after, schema);
  if (left.how !== right.how || left.how === 'whole' || right.how === 'whole') {
    return deepEqual(before, after) ? none : { ...none, modified: fieldsOf(after, schema) };
  }
  const below = differencesBelow(edgesOf(left), edgesOf(right), (edge) =>
    edge.startsWith('f:') ? memberSchema(schema, edge.slice(2)) : schema?.items,
  );
  // an object or list that becomes empty is set to be so
  if (edgesOf(right).size === 0 && edgesOf(left).size > 0) {
    return { ...below, modified: union(below.modified, LEAF) };
  }
  return below;
}

function differencesBelow(
  left: ReadonlyMap<string, unknown>,
  right: ReadonlyMap<string, unknown>,
  schemaAt: (edge: string) => Schema | undefined,
): Differences {
  const added = new Map<string, FieldSet>();
  const modified = new Map<string, FieldSet>();
  const removed = new Map<string, FieldSet>();
  for (const edge of new Set([...left.keys(), ...right.keys()])) {
    const below = compare(left.get(edge), right.get(edge), schemaAt(edge));
    if (!isEmpty(below.added)) added.set(edge, below.added);
    if (!isEmpty(below.modified)) modified.set(edge, below.modified);
    if (!isEmpty(below.removed)) removed.set(edge, below.removed);
  }
  return {
    added: { here: false, children: added },
    modified: { here: false, children: modified },
    removed: { here: false, children: removed },
  };
}

/** Edges below a value; set members are compared by being there. */
export function edgesOf(shape: Shape): ReadonlyMap<string, unknown> {
  switch (shape.how) {
    case 'whole':
      return new Map();
    case 'members':
      return new Map(
        Object.entries(shape.value)
          .filter(([, member]) => member !== undefined)
          .map(([key, member]) => [`f:${key}`, member]),
      );
    default:
      return shape.items;
  }
}

/** Fields of a value that comes or goes as a whole: maps and lists count themselves. */
function withContainers(value: unknown, schema: Schema | undefined): FieldSet {
  const set = fieldsOf(value, schema);
  if (set.children.size === 0 || shapeOf(value, schema).how === 'whole') return set;
  return mapLike(schema) ? { ...set, here: true } : set;
}

function mapLike(schema: Schema | undefined): boolean {
  return schema?.properties === undefined;
}
