// Proof that a connection was decided upon. Dialling takes a Permit, and only admit() makes one: leaving the check out
// does not compile.

import type { Decision } from './authorize.ts';
import { MeshError } from './failures.ts';

declare const proof: unique symbol;

export type Permit<T> = T & { readonly [proof]: true };

/** @throws MeshError POLICY_DENIED with the decision's policy and reason */
export function admit<T extends object>(what: T, decision: Decision): Permit<T> {
  if (decision.verdict === 'deny') throw new MeshError('POLICY_DENIED', decision.reason);
  return what as Permit<T>;
}
