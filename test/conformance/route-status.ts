// What is wrong with the status of a route: the Gateway API's rules for `status.parents`, held stricter than its own
// suite does. Pure; called by routes.ts.

import { isDeepStrictEqual } from 'node:util';
import type { Condition, KubeObject } from '../../runtime/kubernetes/objects.ts';
import { conditionProblems, type Verdict } from './conditions.ts';

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
    const { accepted = 'True', resolvedRefs = 'True' } = wanted ?? {};
    return conditionProblems(
      entry.conditions ?? [],
      { Accepted: accepted, ResolvedRefs: resolvedRefs },
      route.metadata.generation ?? 0,
    ).map((problem) => `${place}: ${problem}`);
  });
  if (parents.length !== refs.length) {
    problems.push(`${parents.length} entries are ours, for ${refs.length} parents`);
  }
  return problems;
}
