// Readers of JSON that believe nothing: each checks one value and says where in the document it was wrong. Used by codecs
// whose bodies are JSON. Invariant: what is not exactly what was asked for gives a DecodeError, a field nobody knows too.

import { DecodeError } from './protobuf.ts';

/** @throws DecodeError naming `where` */
export type Reader<T> = (value: unknown, where: string) => T;

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

export function text(maxChars: number): Reader<string> {
  return (value, where) => {
    if (typeof value !== 'string') throw wrong(where, 'a text');
    if (value.length > maxChars) throw wrong(where, `a text of at most ${maxChars} characters`);
    return value;
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

/** A name and its value. */
export function pair(item: Reader<string>): Reader<readonly [string, string]> {
  const both = list(item, 2);
  return (value, where) => {
    const [name, second] = both(value, where);
    if (name === undefined || second === undefined) throw wrong(where, 'a name and a value');
    return [name, second];
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
    const unknown = Object.keys(found).find((key) => !Object.hasOwn(fields, key));
    if (unknown !== undefined) {
      throw new DecodeError(`${where}: field "${unknown.slice(0, 100)}" is not known here`);
    }
    const read: Record<string, unknown> = {};
    for (const [name, reader] of Object.entries(fields)) {
      read[name] = reader(Object.hasOwn(found, name) ? found[name] : undefined, `${where}.${name}`);
    }
    return read as Read<F>;
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

function wrong(where: string, wanted: string): DecodeError {
  return new DecodeError(`${where} is not ${wanted}`);
}
