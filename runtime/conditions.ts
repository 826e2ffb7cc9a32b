// Conditions in CEL, as decisions ask for them: compiled at their first use and kept. Called by waypoints and by
// `ambit explain` through mesh's ConditionEvaluator. One that does not compile has no answer, as one that fails.

import type { ConditionEvaluator } from '../mesh/request-match.ts';
import { type Condition, compileCondition } from './condition.ts';

/** More than the policies of one waypoint have; the oldest go first. */
const MAX_KEPT = 4096;

export function createConditions(): ConditionEvaluator {
  const kept = new Map<string, Condition>();
  return (expression, facts) => {
    let condition = kept.get(expression);
    if (condition === undefined) {
      condition = compiled(expression);
      kept.set(expression, condition);
      const [oldest] = kept.keys();
      if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest);
    }
    return condition(facts);
  };
}

function compiled(expression: string): Condition {
  try {
    return compileCondition(expression);
  } catch {
    // the policy's status says why
    return () => undefined;
  }
}
