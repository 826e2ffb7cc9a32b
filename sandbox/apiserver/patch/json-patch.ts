// JSON Patch (RFC 6902) on JSON values. The input is not edited.

import { deepEqual } from '../equal.ts';
import { badRequest, StatusError } from '../errors.ts';
import { isRecord } from '../object.ts';

/** Operations in one patch: more are a mistake or an attack. */
const MAX_OPERATIONS = 10_000;

export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch must be a list of operations');
  if (patch.length > MAX_OPERATIONS) {
    throw new StatusError(
      413,
      'RequestEntityTooLarge',
      `The allowed maximum operations in a JSON patch is ${MAX_OPERATIONS}, got ${patch.length}`,
    );
  }
  let value = structuredClone(target);
  for (const operation of patch) value = applyOperation(value, operation);
  return value;
}

function applyOperation(root: unknown, operation: unknown): unknown {
  if (!isRecord(operation)) throw badRequest('an operation of a JSON patch must be an object');
  const path = pointer(operation['path'], 'path');
  switch (operation['op']) {
    case 'add':
      return add(root, path, operand(operation));
    case 'remove':
      read(root, path);
      return remove(root, path);
    case 'replace':
      read(root, path);
      return path.length === 0
        ? operand(operation)
        : add(remove(root, path, true), path, operand(operation));
    case 'move': {
      const from = pointer(operation['from'], 'from');
      if (isPrefix(from, path)) throw unprocessable(`cannot move ${text(from)} into itself`);
      const moved = read(root, from);
      return add(remove(root, from), path, moved);
    }
    case 'copy':
      return add(root, path, structuredClone(read(root, pointer(operation['from'], 'from'))));
    case 'test':
      if (!deepEqual(read(root, path), operand(operation))) {
        throw unprocessable(`testing value ${text(path)} failed: test failed`);
      }
      return root;
    default:
      throw badRequest(`unknown operation ${JSON.stringify(operation['op'])} in a JSON patch`);
  }
}

function operand(operation: Readonly<Record<string, unknown>>): unknown {
  if (!Object.hasOwn(operation, 'value')) {
    throw badRequest(`operation ${String(operation['op'])} of a JSON patch needs a value`);
  }
  return structuredClone(operation['value']);
}

function pointer(value: unknown, name: string): string[] {
  if (typeof value !== 'string' || (value !== '' && !value.startsWith('/'))) {
    throw badRequest(`${name} of a JSON patch must be empty or start with '/'`);
  }
  if (value === '') return [];
  return value
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function read(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const part of path) {
    if (Array.isArray(value)) value = value[index(part, value.length - 1, path)];
    else if (isRecord(value) && Object.hasOwn(value, part)) value = value[part];
    else throw missing(path);
  }
  return value;
}

function add(root: unknown, path: readonly string[], value: unknown): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = read(root, path.slice(0, -1));
  if (Array.isArray(parent)) {
    const at = last === '-' ? parent.length : index(last, parent.length, path);
    parent.splice(at, 0, value);
  } else if (isRecord(parent)) set(parent, last, value);
  else throw missing(path);
  return root;
}

/** Takes the member away; `keepPlace` is for replace, which puts another one at the same place. */
function remove(root: unknown, path: readonly string[], keepPlace = false): unknown {
  const last = path.at(-1);
  if (last === undefined) return null;
  const parent = read(root, path.slice(0, -1));
  if (Array.isArray(parent)) parent.splice(index(last, parent.length - 1, path), 1);
  else if (isRecord(parent) && !keepPlace) delete parent[last];
  return root;
}

/** A member named `__proto__` is a member, not the prototype. */
export function set(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(target, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  } else target[key] = value;
}

function index(part: string, max: number, path: readonly string[]): number {
  if (!/^(0|[1-9]\d*)$/.test(part) || Number(part) > max) throw missing(path);
  return Number(part);
}

function isPrefix(shorter: readonly string[], longer: readonly string[]): boolean {
  return shorter.length < longer.length && shorter.every((part, at) => part === longer[at]);
}

function text(path: readonly string[]): string {
  return path.map((part) => `/${part}`).join('');
}

function missing(path: readonly string[]): StatusError {
  return unprocessable(`the path ${text(path)} does not exist: missing value`);
}

function unprocessable(message: string): StatusError {
  return new StatusError(
    422,
    'Invalid',
    `the server rejected our request due to an error in our request: ${message}`,
  );
}
