// From an object as JSON has it to a protobuf message, for Secrets and ConfigMaps: times are seconds, and the fields of
// a managed-fields entry are JSON text. Base64 stands for bytes in both worlds.

import { Buffer } from 'node:buffer';
import { isRecord, type JsonObject } from '../object.ts';

const TIMES: ReadonlySet<string> = new Set(['creationTimestamp', 'deletionTimestamp', 'time']);
/** Maps of free text, where a key must not be taken for a field's name. */
const MAPS: ReadonlySet<string> = new Set([
  'annotations',
  'binaryData',
  'data',
  'labels',
  'stringData',
]);

export function toMessage(object: JsonObject): JsonObject {
  const members = Object.entries(object)
    .map(([key, value]): [string, unknown] => [key, memberOf(key, value)])
    .filter(([, value]) => value !== undefined);
  return Object.fromEntries(members);
}

function memberOf(key: string, value: unknown): unknown {
  if (value === null || value === undefined) return undefined;
  if (TIMES.has(key) && typeof value === 'string') return secondsOf(value);
  if (key === 'fieldsV1') return { Raw: Buffer.from(JSON.stringify(value), 'utf8') };
  if (MAPS.has(key)) return value;
  if (Array.isArray(value)) {
    return value.map((item: unknown) => (isRecord(item) ? toMessage(item) : item));
  }
  return isRecord(value) ? toMessage(value) : value;
}

function secondsOf(text: string): JsonObject | undefined {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : { seconds: Math.floor(ms / 1000), nanos: 0 };
}
