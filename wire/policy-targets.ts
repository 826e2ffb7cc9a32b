// The targets of policies that waypoints enforce, in the JSON bodies of their resources. Called by their codecs.

import type { PolicyTarget } from '../mesh/policy-target.ts';
import {
  list,
  object,
  oneOf,
  parseJson,
  type Reader,
  record,
  text,
  union,
} from './checked-json.ts';

/** Of a policy: far more than anybody writes. */
export const MAX_POLICY_BYTES = 4 * 1024 * 1024;
export const MAX_POLICY_ITEMS = 10_000;

/** Nothing is called nothing. */
export const policyName = text(MAX_POLICY_BYTES, /./s);

const target: Reader<PolicyTarget> = union('kind', {
  service: record({ kind: oneOf('service'), service: policyName }),
  gateway: record({ kind: oneOf('gateway'), gateway: policyName }),
  'gateway-class': record({ kind: oneOf('gateway-class'), name: policyName }),
  namespace: record({ kind: oneOf('namespace'), namespace: policyName }),
});

export const policyTargets = list(target, MAX_POLICY_ITEMS);

/**
 * Where a resource holds that could not be read: at the targets that can be, and if there are none, in the whole
 * namespace that its name begins with.
 */
export function closedTargets(namespace: string, body: Uint8Array): readonly PolicyTarget[] {
  try {
    const targets = policyTargets(
      object(parseJson(body, MAX_POLICY_BYTES, 'a policy'), 'policy')['targets'],
      'targets',
    );
    if (targets.length > 0) return targets;
  } catch {
    // the namespace it is
  }
  return [{ kind: 'namespace', namespace }];
}
