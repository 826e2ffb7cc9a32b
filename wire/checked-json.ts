// Readers of JSON that believe nothing: each checks one value and says where in the document it was wrong. Used by codecs
// whose bodies are JSON. Invariants: what is not exactly what was asked for gives a DecodeError, a field nobody knows too;
// and no error shows a value, which may be a key.

import { DecodeError } from './protobuf.ts';

/** @throws DecodeError naming `where` */
export type Reader<T> = (value: unknown, where: string) => T;

export function encodeJson(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** @throws DecodeError when it is larger than `maxBytes`, no UTF-8 or no JSON */
export function parseJson(bytes: Uint8Array, maxBytes: number, what: string): unknown {
  if (bytes.length > maxBytes) {
    throw new DecodeError(`Cannot read ${what}: ${bytes.length} bytes are more than ${maxBytes}`);
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new DecodeError(`Cannot read ${what} from ${bytes.length} bytes: no JSON`, { cause });
  }
}

export function text(maxChars: number, pattern?: RegExp): Reader<string> {
  return (value, where) => {
    if (typeof value !== 'string') throw wrong(where, 'a text');
    if (value.length > maxChars) throw wrong(where, `a text of at most ${maxChars} characters`);
    if (pattern !== undefined && !pattern.test(value))
      throw wrong(where, `like ${String(pattern)}`);
    return value;
  };
}

export function number(min: number, max: number): Reader<number> {
  return (value, where) => {
    // NaN is in no range
    if (typeof value === 'number' && value >= min && value <= max) return value;
    throw wrong(where, `a number from ${min} to ${max}`);
  };
}

export function integer(min: number, max: number): Reader<number> {
  return (value, where) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      throw wrong(where, `a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

export const flag: Reader<boolean> = (value, where) => {
  if (typeof value !== 'boolean') throw wrong(where, 'true or false');
  return value;
};

export function oneOf<const T extends string | number>(...words: readonly T[]): Reader<T> {
  return (value, where) => {
    const known = words.find((word) => word === value);
    if (known === undefined) throw wrong(where, `one of ${words.join(', ')}`);
    return known;
  };
}

export function list<T>(item: Reader<T>, maxItems: number): Reader<T[]> {
  return (value, where) => {
    if (!Array.isArray(value)) throw wrong(where, 'a list');
    if (value.length > maxItems) throw wrong(where, `a list of at most ${maxItems}`);
    return value.map((one, index) => item(one, `${where}[${index}]`));
  };
}

/** A list that says something: an empty one would mean nothing, or everything. */
export function filled<T>(item: Reader<T>, maxItems: number): Reader<T[]> {
  const all = list(item, maxItems);
  return (value, where) => {
    const read = all(value, where);
    if (read.length === 0) throw wrong(where, 'a list with something in it');
    return read;
  };
}

/** Two of a kind: a name and its value, the ends of a range. */
export function pair<T>(item: Reader<T>): Reader<readonly [T, T]> {
  const both = list(item, 2);
  return (value, where) => {
    const [first, second] = both(value, where);
    if (first === undefined || second === undefined) throw wrong(where, 'a pair');
    return [first, second];
  };
}

/** Texts by names that are no fields. */
export function texts(
  key: Reader<string>,
  item: Reader<string>,
  maxItems: number,
): Reader<Readonly<Record<string, string>>> {
  return (value, where) => {
    const entries = Object.entries(object(value, where));
    if (entries.length > maxItems) throw wrong(where, `at most ${maxItems} texts`);
    return Object.fromEntries(
      entries.map(([name, one]) => [
        key(name, `a name in ${where}`),
        item(one, `${where}.${name.slice(0, 100)}`),
      ]),
    );
  };
}

/** Absent is undefined. */
export function maybe<T>(reader: Reader<T>): Reader<T | undefined> {
  return (value, where) => (value === undefined ? undefined : reader(value, where));
}

type Fields = Readonly<Record<string, Reader<unknown>>>;
type Read<F extends Fields> = { readonly [K in keyof F]: ReturnType<F[K]> };

/** Exactly these fields. */
export function record<const F extends Fields>(fields: F): Reader<Read<F>> {
  return (value, where) => {
    const found = object(value, where);
    refuseUnknown(found, fields, where);
    const read: Record<string, unknown> = {};
    for (const [name, reader] of Object.entries(fields)) {
      read[name] = reader(Object.hasOwn(found, name) ? found[name] : undefined, `${where}.${name}`);
    }
    return read as Read<F>;
  };
}

/** Of these fields those that are there. */
export function partial<const F extends Fields>(fields: F): Reader<Partial<Read<F>>> {
  const whole = (found: object): Fields =>
    Object.fromEntries(Object.entries(fields).filter(([name]) => Object.hasOwn(found, name)));
  return (value, where) => {
    const found = object(value, where);
    refuseUnknown(found, fields, where);
    return record(whole(found))(value, where) as Partial<Read<F>>;
  };
}

/** One of several records, told apart by the field `tag`. */
export function union<const M extends Readonly<Record<string, Reader<unknown>>>>(
  tag: string,
  members: M,
): Reader<ReturnType<M[keyof M]>> {
  return (value, where) => {
    const found = object(value, where);
    const name = Object.hasOwn(found, tag) ? found[tag] : undefined;
    const reader =
      typeof name === 'string' && Object.hasOwn(members, name) ? members[name] : undefined;
    if (reader === undefined) {
      throw wrong(`${where}.${tag}`, `one of ${Object.keys(members).join(', ')}`);
    }
    return reader(value, where) as ReturnType<M[keyof M]>;
  };
}

export function object(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong(where, 'an object');
  }
  return value as Record<string, unknown>;
}

function refuseUnknown(found: object, fields: Fields, where: string): void {
  const unknown = Object.keys(found).find((key) => !Object.hasOwn(fields, key));
  if (unknown === undefined) return;
  throw new DecodeError(`${where}: field "${unknown.slice(0, 100)}" is not known here`);
}

function wrong(where: string, wanted: string): DecodeError {
  return new DecodeError(`${where} is not ${wanted}`);
}
