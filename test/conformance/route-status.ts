// What is wrong with the status of a route: the Gateway API's rules for `status.parents`, held stricter than its own
// suite does. Pure; called by routes.ts.

import { isDeepStrictEqual } from 'node:util';
import type { Condition, KubeObject } from '../../runtime/kubernetes/objects.ts';

export const CONTROLLER = 'ambit-mesh.io/gateway-controller';

export type Route = KubeObject & {
  readonly spec: { readonly parentRefs?: readonly object[] } & Readonly<Record<string, unknown>>;
  readonly status?: { readonly parents?: readonly ParentStatus[] };
};

type ParentStatus = {
  readonly parentRef: object;
  readonly controllerName: string;
  readonly conditions?: readonly Condition[];
};

/** `True`, or `False` with this reason. */
export type Verdict = 'True' | `False/${string}`;

export type Verdicts = { readonly accepted: Verdict; readonly resolvedRefs: Verdict };

export const ALL_IS_WELL: Verdicts = { accepted: 'True', resolvedRefs: 'True' };

/** @param verdicts for all parents alike, or one for each */
export function statusProblems(route: Route, verdicts: Verdicts | readonly Verdicts[]): string[] {
  const refs = route.spec.parentRefs ?? [];
  const parents = (route.status?.parents ?? []).filter((one) => one.controllerName === CONTROLLER);
  const problems = refs.flatMap((ref, i) => {
    const wanted = Array.isArray(verdicts) ? (verdicts as Verdicts[])[i] : (verdicts as Verdicts);
    const own = parents.filter(({ parentRef }) => isDeepStrictEqual(parentRef, ref));
    const place = `parent ${JSON.stringify(ref)}`;
    const [entry] = own;
    if (entry === undefined || own.length > 1) return [`${place} has ${own.length} entries`];
    return [
      ...verdictProblems(entry, 'Accepted', wanted?.accepted ?? 'True'),
      ...verdictProblems(entry, 'ResolvedRefs', wanted?.resolvedRefs ?? 'True'),
      ...staleProblems(entry, route.metadata.generation ?? 0),
    ].map((problem) => `${place}: ${problem}`);
  });
  if (parents.length !== refs.length) {
    problems.push(`${parents.length} entries are ours, for ${refs.length} parents`);
  }
  return problems;
}

function verdictProblems(
  { conditions = [] }: ParentStatus,
  type: string,
  wanted: Verdict,
): string[] {
  const all = conditions.filter((one) => one.type === type);
  const [condition] = all;
  if (condition === undefined || all.length > 1) return [`${type} is there ${all.length} times`];
  // a true condition's reason is its own name
  const [status, reason] = wanted === 'True' ? ['True', type] : wanted.split('/');
  if (condition.status === status && condition.reason === reason) return [];
  return [
    `${type} is ${condition.status}/${condition.reason} (${condition.message}), expected ${status}/${reason}`,
  ];
}

function staleProblems({ conditions = [] }: ParentStatus, generation: number): string[] {
  return conditions
    .filter((one) => one.observedGeneration !== generation)
    .map((one) => `${one.type} is of generation ${one.observedGeneration}, expected ${generation}`);
}
