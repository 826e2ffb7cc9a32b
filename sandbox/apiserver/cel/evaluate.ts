// An object against the validation rules of its kind: every rule that does not hold as a field error, in the words of a
// real API server. Called by write/prepare.ts after the schema was found to hold. Bounded: rules cost what check.ts let
// pass, and an object whose rules take longer than MAX_MS together is refused.

import { isCelError } from '@bufbuild/cel';
import { deepEqual } from '../equal.ts';
import { type FieldError, invalidValue } from '../errors.ts';
import { isRecord } from '../object.ts';
import type { Schema } from '../schema.ts';
import type { CompiledRule, Reason, RuleTree } from './rule-tree.ts';
import { celValue } from './values.ts';

/** Long for any real definition, short for whoever waits behind this object. */
const MAX_MS = 1000;
const MAX_ERRORS = 100;
/** A real server's limit for a message that an expression made. */
const MAX_MESSAGE_CHARS = 5 * 1024;

/** @param now in ms, monotonic */
export function validateRules(
  tree: RuleTree,
  value: unknown,
  old: unknown,
  now: () => number,
): FieldError[] {
  const walk = new Walk(now);
  walk.visit(tree, value, old, '');
  return walk.errors;
}

/** Said in place of rules when the schema does not hold: they may not be able to read such a value. */
export const RULES_NOT_CHECKED: FieldError = {
  field: '<nil>',
  reason: 'FieldValueInvalid',
  message:
    'Invalid value: "null": some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
};

class Walk {
  readonly errors: FieldError[] = [];
  readonly #now: () => number;
  readonly #deadline: number;

  constructor(now: () => number) {
    this.#now = now;
    this.#deadline = now() + MAX_MS;
  }

  visit(tree: RuleTree, value: unknown, old: unknown, path: string): void {
    if (value === undefined || value === null || this.errors.length >= MAX_ERRORS) return;
    this.#check(tree, value, old, path);
    if (Array.isArray(value)) {
      const { items, schema } = tree;
      if (items === undefined) return;
      const before = keyed(schema, old);
      value.forEach((item, i) => {
        this.visit(items, item, before?.get(keyOf(schema, item)), `${path}[${i}]`);
      });
      return;
    }
    if (!isRecord(value)) return;
    const was = isRecord(old) ? old : {};
    const member = (name: string): string => (path === '' ? name : `${path}.${name}`);
    for (const [name, below] of tree.properties) {
      this.visit(below, value[name], was[name], member(name));
    }
    if (tree.members === undefined) return;
    for (const [name, below] of Object.entries(value)) {
      this.visit(tree.members, below, was[name], member(name));
    }
  }

  #check(tree: RuleTree, value: unknown, old: unknown, path: string): void {
    if (tree.rules.length === 0) return;
    const isOld = old !== undefined && old !== null;
    // what an update leaves as it was is not held against it
    const isUnchanged = isOld && deepEqual(value, old);
    const self = celValue(value, tree.schema, tree.types);
    const oldSelf = isOld ? celValue(old, tree.schema, tree.types) : undefined;
    for (const rule of tree.rules) {
      if (rule.usesOldSelf ? !isOld && !rule.optionalOldSelf : isUnchanged) continue;
      if (this.#now() > this.#deadline) {
        const why = `no further validation rules will be run due to call cost exceeds limit for rule: ${rule.rule}`;
        this.errors.push(invalidValue(path, typeOf(tree.schema), why));
        return;
      }
      const optional = oldSelf === undefined ? [] : [oldSelf];
      const variables = { self, oldSelf: rule.optionalOldSelf ? optional : oldSelf };
      const error = violation(rule, variables, tree.schema, path);
      if (error !== undefined) this.errors.push(error);
    }
  }
}

function violation(
  rule: CompiledRule,
  variables: Readonly<Record<string, unknown>>,
  schema: Schema,
  path: string,
): FieldError | undefined {
  const result = rule.program(variables);
  if (result === true) return undefined;
  if (result !== false) {
    const why = isCelError(result) ? result.message : 'the result is no bool';
    return fieldError('FieldValueInvalid', path, schema, `${why} evaluating rule: ${rule.rule}`);
  }
  const message = messageOf(rule, variables);
  return fieldError(rule.reason, path + rule.fieldPath, schema, message);
}

function messageOf(rule: CompiledRule, variables: Readonly<Record<string, unknown>>): string {
  const words = rule.messageProgram?.(variables);
  if (typeof words === 'string' && /^[^\r\n]*\S[^\r\n]*$/.test(words)) {
    return words.trim().slice(0, MAX_MESSAGE_CHARS);
  }
  return rule.message === '' ? `failed rule: ${rule.rule.trim()}` : rule.message;
}

function fieldError(reason: Reason, path: string, schema: Schema, detail: string): FieldError {
  const field = path.replace(/^\./, '');
  switch (reason) {
    case 'FieldValueInvalid':
      return invalidValue(field, typeOf(schema), detail);
    case 'FieldValueForbidden':
      return { field, reason, message: `Forbidden: ${detail}` };
    case 'FieldValueRequired':
      return { field, reason, message: `Required value: ${detail}` };
    case 'FieldValueDuplicate':
      return { field, reason, message: `Duplicate value: "${typeOf(schema)}"` };
  }
}

function typeOf(schema: Schema): string {
  return schema.type ?? 'object';
}

/** The old members of a list of type map, by their keys; in other lists none can be told to be the same. */
function keyed(schema: Schema, old: unknown): Map<string, unknown> | undefined {
  if (schema['x-kubernetes-list-type'] !== 'map' || !Array.isArray(old)) return undefined;
  return new Map(old.map((item) => [keyOf(schema, item), item]));
}

function keyOf(schema: Schema, item: unknown): string {
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  return isRecord(item) ? JSON.stringify(keys.map((key) => item[key])) : '';
}
