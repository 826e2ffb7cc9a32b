// Reads JSON that another process wrote into values of known types, strictly: a field too many, too few or out of bounds is
// refused, with its path. Called by codecs of resources that have no message of their own. Invariant: whatever comes in,
// a DecodeError is all that is thrown.

import { DecodeError } from './protobuf.ts';

/** `at` is the path of the value, for the error. */
export type Reader<T> = (value: unknown, at: string) => T;

/** @throws DecodeError; `what` names the resource */
export function readJson<T>(
  body: Uint8Array,
  reader: Reader<T>,
  { what, maxBytes }: { readonly what: string; readonly maxBytes: number },
): T {
  if (body.length > maxBytes) {
    throw new DecodeError(`Cannot read ${what}: ${body.length} bytes are more than ${maxBytes}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw new DecodeError(`Cannot read ${what}: ${body.length} bytes are no JSON`, { cause });
  }
  try {
    return reader(value, '');
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new DecodeError(`Cannot read ${what}: ${cause.message}`, { cause });
  }
}

export function text(maxChars: number, pattern?: RegExp): Reader<string> {
  return (value, at) => {
    if (typeof value !== 'string' || value.length > maxChars)
      return refuse(value, at, `a text of ${maxChars} characters at most`);
    if (pattern !== undefined && !pattern.test(value)) return refuse(value, at, String(pattern));
    return value;
  };
}

export function number(min: number, max: number): Reader<number> {
  return (value, at) =>
    typeof value === 'number' && value >= min && value <= max
      ? value
      : refuse(value, at, `a number from ${min} to ${max}`);
}

export function integer(min: number, max: number): Reader<number> {
  return (value, at) =>
    typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
      ? value
      : refuse(value, at, `a whole number from ${min} to ${max}`);
}

export function oneOf<const T extends string | number | boolean>(
  ...values: readonly T[]
): Reader<T> {
  return (value, at) =>
    values.find((known) => known === value) ?? refuse(value, at, values.join(', '));
}

export const flag: Reader<boolean> = (value, at) =>
  typeof value === 'boolean' ? value : refuse(value, at, 'true or false');

/** Absent is undefined. */
export function maybe<T>(reader: Reader<T>): Reader<T | undefined> {
  return (value, at) => (value === undefined ? undefined : reader(value, at));
}

export function list<T>(item: Reader<T>, maxItems: number): Reader<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value) || value.length > maxItems)
      return refuse(value, at, `a list of ${maxItems} at most`);
    return value.map((one, index) => item(one, `${at}[${index}]`));
  };
}

export function pair<A, B>(first: Reader<A>, second: Reader<B>): Reader<readonly [A, B]> {
  return (value, at) => {
    if (!Array.isArray(value) || value.length !== 2) return refuse(value, at, 'a pair');
    return [first(value[0], `${at}[0]`), second(value[1], `${at}[1]`)];
  };
}

export function texts(
  key: Reader<string>,
  item: Reader<string>,
  maxItems: number,
): Reader<Readonly<Record<string, string>>> {
  return (value, at) => {
    const entries = Object.entries(objectOf(value, at));
    if (entries.length > maxItems) return refuse(value, at, `${maxItems} entries at most`);
    return Object.fromEntries(
      entries.map(([name, one]) => [key(name, `${at} key`), item(one, `${at}.${name}`)]),
    );
  };
}

type Fields<T> = { readonly [K in keyof T]-?: Reader<T[K]> };

/** Every field is read, those that are absent as undefined. */
export function object<T extends object>(fields: Fields<T>): Reader<T> {
  return (value, at) => {
    const known = knownFields(value, at, fields);
    const entries = Object.entries<Reader<unknown>>(fields);
    return Object.fromEntries(
      entries.map(([name, reader]) => [name, reader(known[name], join(at, name))]),
    ) as T;
  };
}

/** Only the fields that are there are read, and are in the value. */
export function partial<T extends object>(fields: Fields<T>): Reader<Partial<T>> {
  return (value, at) => {
    const known = knownFields(value, at, fields);
    const entries = Object.entries<Reader<unknown>>(fields).filter(([name]) => name in known);
    return Object.fromEntries(
      entries.map(([name, reader]) => [name, reader(known[name], join(at, name))]),
    ) as Partial<T>;
  };
}

/** A union told apart by the field `tag`. */
export function variant<T extends object>(
  tag: string,
  readers: Readonly<Record<string, Reader<T>>>,
): Reader<T> {
  return (value, at) => {
    const name = objectOf(value, at)[tag];
    const reader =
      typeof name === 'string' && Object.hasOwn(readers, name) ? readers[name] : undefined;
    return reader === undefined
      ? refuse(name, join(at, tag), Object.keys(readers).join(', '))
      : reader(value, at);
  };
}

function knownFields(value: unknown, at: string, fields: object): Record<string, unknown> {
  const known = objectOf(value, at);
  for (const name of Object.keys(known)) {
    if (!Object.hasOwn(fields, name)) throw new DecodeError(`${join(at, name)} is not known here`);
  }
  return known;
}

function objectOf(value: unknown, at: string): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : refuse(value, at, 'an object');
}

function join(at: string, name: string): string {
  const shown = name.slice(0, 100);
  return at === '' ? shown : `${at}.${shown}`;
}

function refuse(value: unknown, at: string, expected: string): never {
  const shown = (JSON.stringify(value) ?? 'nothing').slice(0, 100);
  throw new DecodeError(`${at === '' ? 'the whole' : at} is ${shown}, expected ${expected}`);
}
