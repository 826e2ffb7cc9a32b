// Between an object as JSON has it and the same as protobuf messages: times are seconds, bytes are bytes, and the
// fields of a managed-fields entry are JSON text. Used by codec.ts.

import { Buffer } from 'node:buffer';
import { isRecord, type JsonObject } from '../object.ts';

const TIMES: ReadonlySet<string> = new Set(['creationTimestamp', 'deletionTimestamp', 'time']);
/** Maps of free text, where a key must not be taken for a field's name. */
const TEXT_MAPS: ReadonlySet<string> = new Set(['labels', 'annotations', 'stringData']);

export function toMessage(object: JsonObject): JsonObject {
  // `data` holds base64 in a Secret and text in a ConfigMap; both libraries agree on base64 for bytes
  return mapMembers(object, (key, value) => {
    if (value === null || value === undefined) return undefined;
    if (TIMES.has(key) && typeof value === 'string') return secondsOf(value);
    if (key === 'fieldsV1') return { Raw: Buffer.from(JSON.stringify(value), 'utf8') };
    return nested(key, value, toMessage);
  });
}

export function fromMessage(message: JsonObject): JsonObject {
  return mapMembers(message, (key, value) => {
    if (TIMES.has(key) && isRecord(value)) return textOf(value);
    if (key === 'fieldsV1' && isRecord(value)) return parsed(value['Raw']);
    if ((key === 'data' || key === 'binaryData') && isRecord(value)) {
      return mapMembers(value, (_, bytes) =>
        bytes instanceof Uint8Array ? Buffer.from(bytes).toString('base64') : bytes,
      );
    }
    return nested(key, value, fromMessage);
  });
}

function nested(key: string, value: unknown, convert: (object: JsonObject) => JsonObject): unknown {
  if (TEXT_MAPS.has(key) || key === 'data' || key === 'binaryData') return value;
  if (Array.isArray(value)) {
    return value.map((item: unknown) => (isRecord(item) ? convert(item) : item));
  }
  return isRecord(value) ? convert(value) : value;
}

function mapMembers(
  object: JsonObject,
  convert: (key: string, value: unknown) => unknown,
): JsonObject {
  const members = Object.entries(object)
    .map(([key, value]): [string, unknown] => [key, convert(key, value)])
    .filter(([, value]) => value !== undefined);
  return Object.fromEntries(members);
}

function secondsOf(text: string): JsonObject | undefined {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : { seconds: Math.floor(ms / 1000), nanos: 0 };
}

/** Absent for the zero time, which Go sends as an empty message. */
function textOf({ seconds }: JsonObject): string | undefined {
  if (typeof seconds !== 'number') return undefined;
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** Undefined for what is not JSON: managed fields are bookkeeping and must not fail a write. */
function parsed(raw: unknown): unknown {
  if (!(raw instanceof Uint8Array)) return undefined;
  try {
    return JSON.parse(Buffer.from(raw).toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
