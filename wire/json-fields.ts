// Reads a resource's JSON body strictly: every field that is there must be asked for, and have the kind that is asked for.
// Called by the codecs whose messages are ours alone. Invariant: what is not as expected gives a DecodeError that names it.

import { DecodeError } from './protobuf.ts';

/** A reader of one value; `at` says where it stands. */
export type Read<T> = (value: unknown, at: string) => T;

const TEXT = new TextDecoder('utf-8', { fatal: true });
const BYTES = new TextEncoder();

export function encodeJson(value: object): Uint8Array {
  return BYTES.encode(JSON.stringify(value));
}

/** @throws DecodeError */
export function decodeJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(TEXT.decode(body)) as unknown;
  } catch (cause) {
    throw new DecodeError(`Cannot read ${body.length} bytes as JSON`, { cause });
  }
}

/** An object of which exactly these fields are known. A field whose reader takes `undefined` may be absent. */
export function readObject<T extends object>(
  value: unknown,
  at: string,
  fields: { readonly [K in keyof T]-?: Read<T[K]> },
): T {
  const given = recordOf(value, at);
  const stray = Object.keys(given).find((name) => !Object.hasOwn(fields, name));
  if (stray !== undefined)
    throw new DecodeError(`Cannot read ${at}.${stray}: it is not known here`);
  const names = Object.keys(fields) as (keyof T & string)[];
  return Object.fromEntries(
    names.map((name) => [
      name,
      fields[name](Object.hasOwn(given, name) ? given[name] : undefined, `${at}.${name}`),
    ]),
  ) as T;
}

export function recordOf(value: unknown, at: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw unexpected(value, at, 'an object');
  }
  return value as Readonly<Record<string, unknown>>;
}

export const readString: Read<string> = (value, at) => {
  if (typeof value !== 'string') throw unexpected(value, at, 'a text');
  return value;
};

/** Texts that are names: nothing is called nothing. */
export const readName: Read<string> = (value, at) => {
  const text = readString(value, at);
  if (text === '') throw new DecodeError(`Cannot read ${at}: it is empty`);
  return text;
};

export const readBoolean: Read<boolean> = (value, at) => {
  if (typeof value !== 'boolean') throw unexpected(value, at, 'true or false');
  return value;
};

export function readInteger(min: number, max: number): Read<number> {
  return (value, at) => {
    if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
      throw unexpected(value, at, `a number from ${min} to ${max}`);
    }
    return value as number;
  };
}

export function readOneOf<T extends string>(...known: readonly T[]): Read<T> {
  return (value, at) => {
    const found = known.find((one) => one === value);
    if (found === undefined) throw unexpected(value, at, known.join(' or '));
    return found;
  };
}

export function readList<T>(read: Read<T>): Read<T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) throw unexpected(value, at, 'a list');
    return value.map((one: unknown, index) => read(one, `${at}[${index}]`));
  };
}

/** Absent is undefined. */
export function readOptional<T>(read: Read<T>): Read<T | undefined> {
  return (value, at) => (value === undefined ? undefined : read(value, at));
}

function unexpected(value: unknown, at: string, wanted: string): DecodeError {
  const shown = value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 100);
  return new DecodeError(`Cannot read ${at}: ${shown} is not ${wanted}`);
}
