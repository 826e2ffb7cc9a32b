// Conditions of the Gateway API, expected in few words. Pure; called by route-status.ts and gateway-status.ts.

import type { Condition } from '../../runtime/kubernetes/objects.ts';

/** `True` for the condition's own reason, which is its name, else status and reason; a reason of `*` is any. */
export type Verdict = 'True' | `${'True' | 'False'}/${string}`;

/** What is wrong with the conditions of one place; every one must be of this generation of its object. */
export function conditionProblems(
  conditions: readonly Condition[],
  verdicts: Readonly<Record<string, Verdict>>,
  generation: number,
): string[] {
  const stale = conditions.filter((one) => one.observedGeneration !== generation);
  return [
    ...Object.entries(verdicts).flatMap(([type, wanted]) =>
      verdictProblems(conditions, type, wanted),
    ),
    ...stale.map(
      (one) => `${one.type} is of generation ${one.observedGeneration}, expected ${generation}`,
    ),
  ];
}

function verdictProblems(
  conditions: readonly Condition[],
  type: string,
  wanted: Verdict,
): string[] {
  const all = conditions.filter((one) => one.type === type);
  const [condition] = all;
  if (condition === undefined || all.length > 1) return [`${type} is there ${all.length} times`];
  const [status, reason] = wanted === 'True' ? ['True', type] : wanted.split('/');
  const isReason = reason === '*' || condition.reason === reason;
  if (condition.status === status && isReason) return [];
  return [
    `${type} is ${condition.status}/${condition.reason} (${condition.message}), expected ${status}/${reason}`,
  ];
}
