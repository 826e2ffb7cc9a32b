// Values against structural schemas: every violation as a field error, in the words of a real API server.

import {
  duplicate,
  type FieldError,
  invalidValue,
  notSupported,
  required,
  typeInvalid,
} from '../errors.ts';
import { isRecord, type JsonObject } from '../object.ts';
import type { Schema } from '../schema.ts';

/** Violations collected at most: more would only make the answer unreadable. */
const MAX_ERRORS = 100;

export function validateSchema(value: unknown, schema: Schema, path = ''): FieldError[] {
  const errors: FieldError[] = [];
  check(value, schema, path, errors);
  return errors;
}

/** Only violations of types: what a typed decoder would refuse before validation. */
export function typeErrors(value: unknown, schema: Schema): FieldError[] {
  return validateSchema(value, schema).filter((error) => error.reason === 'FieldValueTypeInvalid');
}

function check(value: unknown, schema: Schema, path: string, errors: FieldError[]): void {
  if (errors.length >= MAX_ERRORS) return;
  if (value === null && schema.nullable === true) return;
  if (!hasType(value, schema)) {
    errors.push(typeInvalid(path, nameOfType(value), typeText(schema, path, value)));
    return;
  }
  if (schema.enum !== undefined && !schema.enum.some((choice) => sameValue(choice, value))) {
    errors.push(notSupported(path, value, schema.enum));
  }
  if (typeof value === 'string') checkString(value, schema, path, errors);
  else if (typeof value === 'number') checkNumber(value, schema, path, errors);
  else if (Array.isArray(value)) checkArray(value, schema, path, errors);
  else if (isRecord(value)) checkObject(value, schema, path, errors);
  checkCombinations(value, schema, path, errors);
}

function hasType(value: unknown, schema: Schema): boolean {
  if (schema['x-kubernetes-int-or-string'] === true) {
    return typeof value === 'string' || Number.isInteger(value);
  }
  switch (schema.type) {
    case 'object':
      return isRecord(value);
    case 'array':
      return Array.isArray(value);
    case 'string':
      return typeof value === 'string';
    case 'boolean':
      return typeof value === 'boolean';
    case 'integer':
      return Number.isInteger(value);
    case 'number':
      return typeof value === 'number';
    default:
      return value !== null || schema['x-kubernetes-preserve-unknown-fields'] === true;
  }
}

function typeText(schema: Schema, path: string, value: unknown): string {
  const wanted =
    schema['x-kubernetes-int-or-string'] === true ? 'integer,string' : (schema.type ?? 'value');
  return `${path} in body must be of type ${wanted}: ${JSON.stringify(nameOfType(value))}`;
}

function nameOfType(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function checkString(value: string, schema: Schema, path: string, errors: FieldError[]): void {
  const length = Array.from(value).length;
  if (schema.maxLength !== undefined && length > schema.maxLength) {
    errors.push({
      field: path,
      reason: 'FieldValueTooLong',
      message: `Too long: may not be more than ${schema.maxLength} bytes`,
    });
  }
  if (schema.minLength !== undefined && length < schema.minLength) {
    const text = `${path} in body should be at least ${schema.minLength} chars long`;
    errors.push(invalidValue(path, value, text));
  }
  if (schema.pattern !== undefined && !matchesPattern(schema.pattern, value)) {
    errors.push(invalidValue(path, value, `${path} in body should match '${schema.pattern}'`));
  }
  if (schema.format !== undefined && !matchesFormat(schema.format, value)) {
    const text = `${path} in body must be of type ${schema.format}: ${JSON.stringify(value)}`;
    errors.push(invalidValue(path, value, text));
  }
}

function matchesPattern(pattern: string, value: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(value);
  } catch {
    // RE2 and JavaScript differ in escapes: without the u flag more of them are accepted
    try {
      return new RegExp(pattern).test(value);
    } catch {
      return true;
    }
  }
}

const FORMATS: Readonly<Record<string, RegExp>> = {
  'date-time': /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/,
  date: /^\d{4}-\d\d-\d\d$/,
  ipv4: /^(\d{1,3}\.){3}\d{1,3}$/,
  ipv6: /^[0-9a-fA-F:]*:[0-9a-fA-F:.]*$/,
  uuid: /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i,
  duration: /^-?((\d+(\.\d*)?|\.\d+)\s*(ns|us|µs|ms|s|m|h|d|w))+$|^0$/,
};

function matchesFormat(format: string, value: string): boolean {
  if (format === 'byte') return /^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(value);
  return FORMATS[format]?.test(value) ?? true;
}

function checkNumber(value: number, schema: Schema, path: string, errors: FieldError[]): void {
  const { minimum, maximum, multipleOf } = schema;
  if (
    minimum !== undefined &&
    (schema.exclusiveMinimum === true ? value <= minimum : value < minimum)
  ) {
    const than = schema.exclusiveMinimum === true ? 'greater than' : 'greater than or equal to';
    errors.push(invalidValue(path, value, `${path} in body should be ${than} ${minimum}`));
  }
  if (
    maximum !== undefined &&
    (schema.exclusiveMaximum === true ? value >= maximum : value > maximum)
  ) {
    const than = schema.exclusiveMaximum === true ? 'less than' : 'less than or equal to';
    errors.push(invalidValue(path, value, `${path} in body should be ${than} ${maximum}`));
  }
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf)) {
    errors.push(invalidValue(path, value, `${path} in body should be a multiple of ${multipleOf}`));
  }
}

function checkArray(
  value: readonly unknown[],
  schema: Schema,
  path: string,
  errors: FieldError[],
): void {
  if (schema.maxItems !== undefined && value.length > schema.maxItems) {
    errors.push({
      field: path,
      reason: 'FieldValueTooMany',
      message: `Too many: ${value.length}: must have at most ${schema.maxItems} items`,
    });
  }
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    const text = `${path} in body should have at least ${schema.minItems} items`;
    errors.push(invalidValue(path, value.length, text));
  }
  const items = schema.items;
  if (items !== undefined) {
    value.forEach((item, index) => check(item, items, `${path}[${index}]`, errors));
  }
  checkUnique(value, schema, path, errors);
}

function checkUnique(
  value: readonly unknown[],
  schema: Schema,
  path: string,
  errors: FieldError[],
): void {
  const listType = schema['x-kubernetes-list-type'];
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  if (listType !== 'set' && listType !== 'map' && schema.uniqueItems !== true) return;
  const seen = new Set<string>();
  value.forEach((item, index) => {
    const identity =
      listType === 'map' && isRecord(item)
        ? Object.fromEntries(
            keys.map((key) => [key, item[key] ?? schema.items?.properties?.[key]?.default]),
          )
        : item;
    const text = JSON.stringify(identity);
    if (seen.has(text)) errors.push(duplicate(`${path}[${index}]`, identity));
    seen.add(text);
  });
}

function checkObject(value: JsonObject, schema: Schema, path: string, errors: FieldError[]): void {
  const below = (key: string): string => (path === '' ? key : `${path}.${key}`);
  const { properties, additionalProperties } = schema;
  for (const key of schema.required ?? []) {
    if (value[key] === undefined) errors.push(required(below(key)));
  }
  const count = Object.keys(value).length;
  if (schema.maxProperties !== undefined && count > schema.maxProperties) {
    const text = `${path} in body should have at most ${schema.maxProperties} properties`;
    errors.push(invalidValue(path, count, text));
  }
  if (schema.minProperties !== undefined && count < schema.minProperties) {
    const text = `${path} in body should have at least ${schema.minProperties} properties`;
    errors.push(invalidValue(path, count, text));
  }
  for (const [key, member] of Object.entries(value)) {
    const known =
      properties !== undefined && Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (known !== undefined) check(member, known, below(key), errors);
    else if (isRecord(additionalProperties)) {
      check(member, additionalProperties as Schema, below(key), errors);
    }
  }
}

function checkCombinations(
  value: unknown,
  schema: Schema,
  path: string,
  errors: FieldError[],
): void {
  for (const part of schema.allOf ?? []) check(value, part, path, errors);
  if (schema.anyOf !== undefined && schema['x-kubernetes-int-or-string'] !== true) {
    const fits = schema.anyOf.some((part) => validateSchema(value, part, path).length === 0);
    if (!fits) {
      errors.push(
        invalidValue(path, value, `${path} in body must validate at least one schema (anyOf)`),
      );
    }
  }
  if (schema.oneOf !== undefined) {
    const fitting = schema.oneOf.filter((part) => validateSchema(value, part, path).length === 0);
    if (fitting.length !== 1) {
      const found =
        fitting.length === 0 ? 'Found none valid' : `Found ${fitting.length} valid alternatives`;
      const text = `${path} in body must validate one and only one schema (oneOf). ${found}`;
      errors.push(invalidValue(path, value, text));
    }
  }
  if (schema.not !== undefined && validateSchema(value, schema.not, path).length === 0) {
    errors.push(invalidValue(path, value, `${path} in body must not validate the schema (not)`));
  }
}

function sameValue(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
