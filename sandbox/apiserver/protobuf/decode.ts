// From a message's bytes to the object as JSON has it, led by the message's type: embedded structs are laid open, times
// and quantities become text, and fields whose zero means nothing are left out, as a JSON client would leave them.

import { Buffer } from 'node:buffer';
import protobuf from 'protobufjs';
import type { JsonObject } from '../object.ts';

/** Messages nested deeper than any object is; a hostile body must not exhaust the stack. */
const MAX_DEPTH = 64;
/** Structs that Go embeds: a message of their own on the wire, plain fields of their parent in JSON. */
const EMBEDDED: ReadonlySet<string> = new Set([
  'ephemeralContainerCommon',
  'handler',
  'ingressRuleValue',
  'localObjectReference',
  'persistentVolumeSource',
  'volumeSource',
]);
/** Messages that are one value in JSON. Undefined: nothing. */
const VALUES: Readonly<Record<string, (fields: JsonObject) => unknown>> = {
  Time: ({ seconds }) => timeText(seconds)?.replace(/\.\d+Z$/, 'Z'),
  MicroTime: ({ seconds, nanos }) => {
    const micros = String(Math.trunc(Number(nanos ?? 0) / 1000)).padStart(6, '0');
    return timeText(seconds)?.replace(/\.\d+Z$/, `.${micros}Z`);
  },
  Quantity: ({ string = '0' }) => string,
  IntOrString: ({ type = 0, intVal = 0, strVal = '' }) => (type === 0 ? intVal : strVal),
  FieldsV1: ({ Raw }) => jsonOf(Raw),
  RawExtension: ({ raw }) => jsonOf(raw),
  ExtraValue: ({ items = [] }) => items,
};

/** @throws Error when the bytes are no such message, or hold a field that is not known here */
export function decodeMessage(type: protobuf.Type, bytes: Uint8Array): JsonObject {
  return readFields(type, protobuf.Reader.create(bytes), bytes.length, 0);
}

function readFields(
  type: protobuf.Type,
  reader: protobuf.Reader,
  end: number,
  depth: number,
): JsonObject {
  if (depth > MAX_DEPTH) throw new Error(`${type.name} is nested deeper than ${MAX_DEPTH}`);
  const object: JsonObject = {};
  while (reader.pos < end) {
    const tag = reader.uint32();
    const field = type.fieldsById[tag >>> 3];
    // dropping a field silently would store something else than was sent
    if (field === undefined) throw new Error(`field ${tag >>> 3} of ${type.name} is not known`);
    if (field instanceof protobuf.MapField) {
      const map = (object[field.name] ??= {}) as JsonObject;
      const [key, value] = readEntry(field, reader, depth);
      Object.defineProperty(map, key, {
        value,
        enumerable: true,
        writable: true,
        configurable: true,
      });
      continue;
    }
    const value = readValue(field, reader, depth);
    if (field.repeated) ((object[field.name] ??= []) as unknown[]).push(value);
    else if (EMBEDDED.has(field.name)) Object.assign(object, value);
    else if (value !== undefined && !isMeaningless(field, value)) object[field.name] = value;
  }
  if (reader.pos !== end) throw new Error(`${type.name} ends in the middle of a field`);
  return object;
}

function isMeaningless(field: protobuf.Field, value: unknown): boolean {
  const isOptional = field.getOption('proto3_optional') === true;
  return !isOptional && (value === '' || value === 0 || value === false);
}

function readEntry(
  field: protobuf.MapField,
  reader: protobuf.Reader,
  depth: number,
): [string, unknown] {
  const end = reader.uint32() + reader.pos;
  let key = '';
  let value: unknown = field.type === 'string' || field.type === 'bytes' ? '' : undefined;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) key = reader.string();
    else value = readValue(field, reader, depth);
  }
  return [key, value];
}

type ValueField = Pick<protobuf.Field, 'fullName' | 'resolvedType' | 'type'>;

function readValue(field: ValueField, reader: protobuf.Reader, depth: number): unknown {
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Type) {
    const end = reader.uint32() + reader.pos;
    if (end > reader.len) throw new Error(`${field.fullName} is cut short`);
    const fields = readFields(resolvedType, reader, end, depth + 1);
    const convert = VALUES[resolvedType.name];
    return convert === undefined ? fields : convert(fields);
  }
  switch (field.type) {
    case 'string':
      return reader.string();
    case 'bytes':
      return Buffer.from(reader.bytes()).toString('base64');
    case 'bool':
      return reader.bool();
    case 'int32':
      return reader.int32();
    case 'int64':
      return Number(reader.int64());
    default:
      throw new Error(`${field.fullName} has type ${field.type}, which is not known here`);
  }
}

/** Undefined for the zero time, which Go sends as an empty message. */
function timeText(seconds: unknown): string | undefined {
  if (typeof seconds !== 'number') return undefined;
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}

/** Base64 of JSON text. Undefined for what is not JSON. */
function jsonOf(raw: unknown): unknown {
  try {
    return JSON.parse(Buffer.from(String(raw ?? ''), 'base64').toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
