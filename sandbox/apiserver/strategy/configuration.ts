// Secrets and ConfigMaps: text that becomes data, keys, sizes, and what `immutable` forbids.

import { deepEqual } from '../equal.ts';
import { type FieldError, forbiddenField, invalidValue, required, tooLong } from '../errors.ts';
import { isRecord, type KubeObject, recordAt } from '../object.ts';
import type { Strategy } from './strategy.ts';

const KEY = /^[-._a-zA-Z0-9]{1,253}$/;
/** All values of one object together. */
const MAX_DATA_BYTES = 1024 * 1024;
/** Keys that a type promises to its readers. */
const REQUIRED_KEYS: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
};

export const CONFIG_MAP_STRATEGY: Strategy = {
  validate(object, old) {
    return [
      ...validateData(object, ['data', 'binaryData']),
      ...(old === undefined ? [] : validateImmutable(object, old, ['data', 'binaryData'])),
    ];
  },
};

export const SECRET_STRATEGY: Strategy = {
  defaults(object) {
    const text = object['stringData'];
    delete object['stringData'];
    if (!isRecord(text)) return;
    const data = { ...recordAt(object, 'data') };
    for (const [key, value] of Object.entries(text)) {
      data[key] = Buffer.from(String(value)).toString('base64');
    }
    object['data'] = data;
  },
  validate(object, old) {
    const errors = validateData(object, ['data']);
    const type = String(object['type'] ?? 'Opaque');
    const data = recordAt(object, 'data');
    for (const key of REQUIRED_KEYS[type] ?? []) {
      if (data[key] === undefined) errors.push(required(`data[${key}]`));
    }
    if (old === undefined) return errors;
    if (old['type'] !== object['type']) {
      errors.push(invalidValue('type', object['type'], 'field is immutable'));
    }
    return [...errors, ...validateImmutable(object, old, ['data'])];
  },
};

function validateData(object: KubeObject, fields: readonly string[]): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const field of fields) {
    for (const [key, value] of Object.entries(recordAt(object, field))) {
      if (!KEY.test(key) || key === '.' || key.startsWith('..')) {
        errors.push(
          invalidValue(
            `${field}[${key}]`,
            key,
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
          ),
        );
      }
      bytes += Buffer.byteLength(
        String(value),
        field === 'data' && object.kind === 'ConfigMap' ? 'utf8' : 'base64',
      );
    }
  }
  if (bytes > MAX_DATA_BYTES) errors.push(tooLong('data', MAX_DATA_BYTES));
  return errors;
}

function validateImmutable(
  object: KubeObject,
  old: KubeObject,
  fields: readonly string[],
): FieldError[] {
  if (old['immutable'] !== true) return [];
  const errors: FieldError[] = [];
  if (object['immutable'] !== true) {
    errors.push(forbiddenField('immutable', 'field is immutable when `immutable` is set'));
  }
  for (const field of fields) {
    if (!deepEqual(object[field] ?? {}, old[field] ?? {})) {
      errors.push(forbiddenField(field, 'field is immutable when `immutable` is set'));
    }
  }
  return errors;
}
