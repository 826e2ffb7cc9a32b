// Bodies that typed Go clients send: `application/vnd.kubernetes.protobuf` for built-in kinds, read into their JSON form.
// Secrets and ConfigMaps, which also travel back that way, are protobuf/'s own matter. Answers to the others are JSON.

import { Buffer } from 'node:buffer';
import { Reader } from 'protobufjs/minimal.js';
import { badRequest } from '../errors.ts';
import type { JsonObject } from '../object.ts';
import { MESSAGES } from './messages.ts';

type Field = {
  readonly name: string;
  readonly type: string;
  readonly list: boolean;
  readonly map: boolean;
  /** Zero is a value of its own, not just what Go sends for nothing. */
  readonly keepsZero: boolean;
  /** The fields of this message belong to its parent in JSON. */
  readonly inline: boolean;
};
type Layout = ReadonlyMap<number, Field>;

const MAGIC = Buffer.from('k8s\0', 'latin1');
/** Depth of nested messages; a pod template in a cron job is not ten deep. */
const MAX_DEPTH = 40;

const LAYOUTS: ReadonlyMap<string, Layout> = new Map(
  Object.entries(MESSAGES).map(([name, fields]) => [name, parseLayout(fields)]),
);
/** Two groups have a kind of this name. */
const AMBIGUOUS: Readonly<Record<string, string>> = { 'events.k8s.io/v1 Event': 'Event.events' };

export type TypeMeta = { readonly apiVersion: string; readonly kind: string };

/** What a protobuf body says it is, without reading the object; undefined if it is no Kubernetes protobuf. */
export function typeOfProtobuf(bytes: Buffer): TypeMeta | undefined {
  return unwrap(bytes)?.type;
}

/** @throws StatusError 400 for a kind that has no layout here, and for malformed bytes */
export function decodeTypedBody(bytes: Buffer): JsonObject {
  const wrapped = unwrap(bytes);
  if (wrapped === undefined) throw badRequest('the body is not Kubernetes protobuf');
  const { apiVersion, kind } = wrapped.type;
  const name = AMBIGUOUS[`${apiVersion} ${kind}`] ?? kind;
  const layout = LAYOUTS.get(name);
  if (layout === undefined) {
    throw badRequest(`${apiVersion} ${kind} is not taken in protobuf: send it as JSON`);
  }
  try {
    const reader = Reader.create(wrapped.raw);
    return { apiVersion, kind, ...readMessage(reader, layout, reader.len, 0) };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw badRequest(`the body is not a ${kind} in protobuf: ${why}`);
  }
}

function unwrap(bytes: Buffer): { type: TypeMeta; raw: Uint8Array } | undefined {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  try {
    const reader = Reader.create(bytes.subarray(MAGIC.length));
    let type: TypeMeta = { apiVersion: '', kind: '' };
    let raw: Uint8Array = new Uint8Array();
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag >>> 3 === 1) {
        const inner = Reader.create(reader.bytes());
        type = readTypeMeta(inner);
      } else if (tag >>> 3 === 2) raw = reader.bytes();
      else reader.skipType(tag & 7);
    }
    return { type, raw };
  } catch {
    return undefined;
  }
}

function readTypeMeta(reader: Reader): TypeMeta {
  const type = { apiVersion: '', kind: '' };
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) type.apiVersion = reader.string();
    else if (tag >>> 3 === 2) type.kind = reader.string();
    else reader.skipType(tag & 7);
  }
  return type;
}

function readMessage(reader: Reader, layout: Layout, end: number, depth: number): JsonObject {
  if (depth > MAX_DEPTH) throw new RangeError(`messages are nested more than ${MAX_DEPTH} deep`);
  const object: JsonObject = {};
  while (reader.pos < end) {
    const tag = reader.uint32();
    const field = layout.get(tag >>> 3);
    if (field === undefined) {
      reader.skipType(tag & 7);
      continue;
    }
    if (field.map) {
      const [key, value] = readEntry(reader, field, depth);
      const map = (object[field.name] ??= {}) as JsonObject;
      Object.defineProperty(map, key, {
        value,
        enumerable: true,
        configurable: true,
        writable: true,
      });
      continue;
    }
    const value = readValue(reader, field.type, depth);
    if (field.list) {
      const list = (object[field.name] ??= []) as unknown[];
      list.push(value);
    } else if (field.inline) Object.assign(object, value);
    else if (!isNothing(value) || (field.keepsZero && value !== undefined))
      object[field.name] = value;
  }
  if (reader.pos !== end) throw new RangeError('a field reaches beyond its message');
  return object;
}

/** What Go sends for a field that was never set. */
function isNothing(value: unknown): boolean {
  return value === undefined || value === '' || value === 0 || value === false;
}

function readEntry(reader: Reader, field: Field, depth: number): [string, unknown] {
  const end = reader.uint32() + reader.pos;
  let key = '';
  let value: unknown = '';
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) key = reader.string();
    else if (tag >>> 3 === 2) value = readValue(reader, field.type, depth);
    else reader.skipType(tag & 7);
  }
  return [key, value];
}

function readValue(reader: Reader, type: string, depth: number): unknown {
  switch (type) {
    case 'text':
      return reader.string();
    case 'int':
      return Number(reader.int64());
    case 'flag':
      return reader.bool();
    case 'bytes':
      return Buffer.from(reader.bytes()).toString('base64');
    case 'time':
    case 'micro':
      return readTime(Reader.create(reader.bytes()), type === 'micro');
    case 'quantity':
      return readNumbered(Reader.create(reader.bytes())).text.get(1) ?? '0';
    case 'intOrString': {
      const { numbers, text } = readNumbered(Reader.create(reader.bytes()));
      return numbers.get(1) === 1 ? (text.get(3) ?? '') : (numbers.get(2) ?? 0);
    }
    default:
      return readNested(reader, type, depth);
  }
}

function readNested(reader: Reader, type: string, depth: number): unknown {
  const layout = LAYOUTS.get(type);
  if (layout === undefined) throw new RangeError(`message ${type} has no layout`);
  const end = reader.uint32() + reader.pos;
  if (end > reader.len) throw new RangeError('a message reaches beyond the body');
  const object = readMessage(reader, layout, end, depth + 1);
  // a list that Go gives a name of its own, for lack of lists in maps
  return type.startsWith('ExtraValue') ? (object['items'] ?? []) : object;
}

function readTime(reader: Reader, micro: boolean): string | undefined {
  const { numbers } = readNumbered(reader);
  const seconds = numbers.get(1);
  if (seconds === undefined) return undefined;
  const text = new Date(seconds * 1000 + Math.floor((numbers.get(2) ?? 0) / 1e6)).toISOString();
  return micro ? text.replace('Z', '000Z') : text.replace(/\.\d+Z$/, 'Z');
}

function readNumbered(reader: Reader): {
  numbers: Map<number, number>;
  text: Map<number, string>;
} {
  const numbers = new Map<number, number>();
  const text = new Map<number, string>();
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if ((tag & 7) === 0) numbers.set(tag >>> 3, Number(reader.int64()));
    else if ((tag & 7) === 2) text.set(tag >>> 3, reader.string());
    else reader.skipType(tag & 7);
  }
  return { numbers, text };
}

function parseLayout(fields: string): Layout {
  const layout = new Map<number, Field>();
  for (const part of fields.split(', ')) {
    const [name = '', number = '0', written = 'text'] = part.split(' ');
    if (name === '') continue;
    const map = /^\{(.*)\}$/.exec(written);
    const bare = map?.[1] ?? written;
    layout.set(Number(number), {
      name,
      type: bare.replace(/^[*?~]+/, ''),
      list: bare.startsWith('*'),
      map: map !== null,
      keepsZero: bare.startsWith('?'),
      inline: bare.startsWith('~'),
    });
  }
  return layout;
}
