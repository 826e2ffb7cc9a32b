// The targets of policies that waypoints enforce, in the JSON bodies of their resources. Called by their codecs.

import type { PolicyTarget } from '../mesh/policy-target.ts';
import {
  decodeJson,
  type Read,
  readList,
  readName,
  readObject,
  readOneOf,
  recordOf,
} from './json-fields.ts';

const readKind = readOneOf('service', 'gateway', 'gateway-class', 'namespace');

const readTarget: Read<PolicyTarget> = (value, at) => {
  const kind = readKind(recordOf(value, at)['kind'], `${at}.kind`);
  switch (kind) {
    case 'service':
      return readObject(value, at, { kind: readOneOf(kind), service: readName });
    case 'gateway':
      return readObject(value, at, { kind: readOneOf(kind), gateway: readName });
    case 'gateway-class':
      return readObject(value, at, { kind: readOneOf(kind), name: readName });
    case 'namespace':
      return readObject(value, at, { kind: readOneOf(kind), namespace: readName });
  }
};

export const readTargets = readList(readTarget);

/**
 * Where a resource holds that could not be read: at the targets that can be, and if there are none, in the whole
 * namespace that its name begins with.
 */
export function closedTargets(namespace: string, body: Uint8Array): readonly PolicyTarget[] {
  try {
    const targets = readTargets(recordOf(decodeJson(body), 'body')['targets'], 'targets');
    if (targets.length > 0) return targets;
  } catch {
    // the namespace it is
  }
  return [{ kind: 'namespace', namespace }];
}
