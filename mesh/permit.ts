// Proof that a connection was decided upon. Dialling takes a Permit, and only admit() makes one: leaving the check out
// does not compile.

import type { Decision } from './authorize.ts';
import { MeshError } from './failures.ts';

declare const proof: unique symbol;

export type Permit<T> = T & { readonly [proof]: true };

/** @throws MeshError POLICY_DENIED, or POLICY_UNKNOWN, with the decision's policies and reason */
export function admit<T extends object>(what: T, decision: Decision): Permit<T> {
  if (decision.verdict === 'allow') return what as Permit<T>;
  const code = decision.basis === 'policy-unknown' ? 'POLICY_UNKNOWN' : 'POLICY_DENIED';
  throw new MeshError(code, decision.reason);
}
