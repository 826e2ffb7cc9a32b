// JSON Merge Patch (RFC 7386) on JSON values. The input is not edited.

import { isRecord, type JsonObject } from '../object.ts';
import { set } from './json-patch.ts';

export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return structuredClone(patch);
  const result: JsonObject = isRecord(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else {
      const present = Object.hasOwn(result, key) ? result[key] : undefined;
      set(result, key, applyMergePatch(present, value));
    }
  }
  return result;
}
