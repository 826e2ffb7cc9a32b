// The form of a check and of its outcome, and the run over a list of them. Called by commands/check.ts; the lists are
// before.ts (is the cluster fit?) and after.ts (is the installed mesh well?).

import type { Answer } from './facts.ts';

export type Outcome =
  | { readonly result: 'success' }
  | { readonly result: 'warning' | 'error'; readonly message: string; readonly remedy: string };

/** `T` is what it judges. */
export type Check<T> = {
  /** Checks of a category are shown together. */
  readonly category: string;
  /** What holds when it succeeds. */
  readonly description: string;
  readonly judge: (facts: T) => Outcome;
  /** When it fails, nothing after it can be judged. */
  readonly fatal?: true;
};

export type CheckResult = Outcome & { readonly category: string; readonly description: string };

export const success: Outcome = { result: 'success' };

/** In order; ends at a fatal check that fails. */
export function runChecks<T>(checks: readonly Check<T>[], facts: T): CheckResult[] {
  const results: CheckResult[] = [];
  for (const { category, description, judge, fatal } of checks) {
    const outcome = judge(facts);
    results.push({ category, description, ...outcome });
    if (fatal === true && outcome.result === 'error') break;
  }
  return results;
}

/** Warnings are no failure: the mesh works, and somebody should look. */
export function passed(results: readonly CheckResult[]): boolean {
  return results.every(({ result }) => result !== 'error');
}

/** Judges the value; an answer that could not be had is an error with `remedy`. */
export function known<T>(fact: Answer<T>, remedy: string, judge: (value: T) => Outcome): Outcome {
  return 'error' in fact ? { result: 'error', message: fact.error, remedy } : judge(fact.value);
}

/** Success when nothing was found, else `result` with all of it in one message. */
export function none(
  found: readonly string[],
  result: 'warning' | 'error',
  remedy: string,
): Outcome {
  if (found.length === 0) return success;
  const told = found.slice(0, MAX_TOLD);
  if (found.length > told.length) told.push(`and ${found.length - told.length} more`);
  return { result, message: told.join('; '), remedy };
}

// A person mends the first few and runs the check again.
const MAX_TOLD = 5;
