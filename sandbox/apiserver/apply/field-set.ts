// Sets of field paths as managedFields keep them: a trie whose edges are `f:name`, `k:{...}` or `v:...`.
// Pure values: every operation makes a new set.

import { isRecord, type JsonObject } from '../object.ts';

export type FieldSet = {
  /** The path that leads here is a member. */
  readonly here: boolean;
  readonly children: ReadonlyMap<string, FieldSet>;
};

export const EMPTY: FieldSet = { here: false, children: new Map() };
export const LEAF: FieldSet = { here: true, children: new Map() };

/** Depth a client's fieldsV1 may have; objects themselves are not deeper. */
const MAX_DEPTH = 64;

export function isEmpty(set: FieldSet): boolean {
  return !set.here && set.children.size === 0;
}

export function parseFieldsV1(json: unknown, depth = 0): FieldSet {
  if (!isRecord(json) || depth > MAX_DEPTH) return EMPTY;
  const children = new Map<string, FieldSet>();
  let here = false;
  for (const [key, value] of Object.entries(json)) {
    if (key === '.') here = true;
    else if (/^[fkvi]:/.test(key)) {
      const child = parseFieldsV1(value, depth + 1);
      children.set(key, isEmpty(child) ? LEAF : child);
    }
  }
  return { here, children };
}

export function formatFieldsV1(set: FieldSet): JsonObject {
  const json: JsonObject = {};
  if (set.here && set.children.size > 0) json['.'] = {};
  for (const key of [...set.children.keys()].sort()) {
    const child = set.children.get(key);
    if (child !== undefined) json[key] = formatFieldsV1(child);
  }
  return json;
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  const children = new Map(a.children);
  for (const [key, child] of b.children) {
    const mine = children.get(key);
    children.set(key, mine === undefined ? child : union(mine, child));
  }
  return { here: a.here || b.here, children };
}

/** The members of `a` that are not members of `b`. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  const children = new Map<string, FieldSet>();
  for (const [key, child] of a.children) {
    const other = b.children.get(key);
    const rest = other === undefined ? child : difference(child, other);
    if (!isEmpty(rest)) children.set(key, rest);
  }
  return { here: a.here && !b.here, children };
}

export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  const children = new Map<string, FieldSet>();
  for (const [key, child] of a.children) {
    const other = b.children.get(key);
    if (other === undefined) continue;
    const both = intersection(child, other);
    if (!isEmpty(both)) children.set(key, both);
  }
  return { here: a.here && b.here, children };
}

/** Members as a person reads them: `.spec.containers[name="web"].image`. */
export function formatPaths(set: FieldSet, prefix = ''): string[] {
  const paths = set.here ? [prefix] : [];
  for (const key of [...set.children.keys()].sort()) {
    const child = set.children.get(key);
    if (child !== undefined) paths.push(...formatPaths(child, prefix + formatEdge(key)));
  }
  return paths;
}

function formatEdge(edge: string): string {
  const rest = edge.slice(2);
  if (edge.startsWith('f:')) return `.${rest}`;
  if (edge.startsWith('k:')) {
    const keys: unknown = JSON.parse(rest);
    const parts = isRecord(keys)
      ? Object.entries(keys).map(([key, value]) => `${key}=${JSON.stringify(value)}`)
      : [];
    return `[${parts.join(',')}]`;
  }
  return edge.startsWith('v:') ? `[=${rest}]` : `[${rest}]`;
}
