// JSON as a rule sees it: integers as int, dates as timestamp, field names escaped, and nothing that the schema does not
// show. Called by evaluate.ts for `self` and `oldSelf`.

import type { CelInput } from '@bufbuild/cel';
import { isRecord } from '../object.ts';
import type { Schema } from '../schema.ts';

export type TextTypes = {
  readonly timestamp: (text: string) => unknown;
  readonly duration: (text: string) => unknown;
};

/** Words of the language: a field of that name is `__name__`. */
const RESERVED = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

/** A field's name as rules write it; undefined when rules cannot name it. */
export function escapeField(name: string): string | undefined {
  if (RESERVED.has(name)) return `__${name}__`;
  const escaped = name
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__');
  return /^[A-Za-z_]\w*$/.test(escaped) ? escaped : undefined;
}

export function celValue(value: unknown, schema: Schema | undefined, types: TextTypes): CelInput {
  if (value === null || value === undefined) return null;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    return schema?.type === 'number' || !Number.isInteger(value) ? value : BigInt(value);
  }
  if (typeof value === 'string') return typedString(value, schema, types);
  if (Array.isArray(value)) return value.map((item) => celValue(item, schema?.items, types));
  return isRecord(value) ? celObject(value, schema, types) : null;
}

function typedString(text: string, schema: Schema | undefined, types: TextTypes): CelInput {
  switch (schema?.format) {
    case 'date-time':
      return types.timestamp(text) as CelInput;
    case 'date':
      return types.timestamp(`${text}T00:00:00Z`) as CelInput;
    case 'duration':
      return types.duration(text) as CelInput;
    case 'byte':
      return Buffer.from(text, 'base64');
    default:
      return text;
  }
}

function celObject(
  value: Readonly<Record<string, unknown>>,
  schema: Schema | undefined,
  types: TextTypes,
): CelInput {
  const fields = new Map<string, CelInput>();
  const { properties } = schema ?? {};
  const members =
    typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined;
  for (const [key, member] of Object.entries(value)) {
    const known =
      properties !== undefined && Object.hasOwn(properties, key) ? properties[key] : undefined;
    // a null that may not be one counts as absent
    if (member === null && known !== undefined && known.nullable !== true) continue;
    // keys of maps stand as they are, fields of objects by their escaped names
    const name = properties === undefined ? key : escapeField(key);
    if (name !== undefined) fields.set(name, celValue(member, known ?? members, types));
  }
  return fields;
}
