// How near is one workload to another? Plain equality of the places they say they are at. Called by balance.ts.

import type { LocalityScope } from './service.ts';
import type { Workload } from './workload.ts';

/** How many scopes match in a row, from the one at `from` on. */
export function matchingScopes(
  source: Workload,
  target: Workload,
  scopes: readonly LocalityScope[],
  from = 0,
): number {
  let at = from;
  for (; at < scopes.length; at++) {
    const scope = scopes[at];
    if (scope === undefined || place(source, scope) !== place(target, scope)) break;
  }
  return at - from;
}

function place(workload: Workload, scope: LocalityScope): string {
  switch (scope) {
    case 'region':
    case 'zone':
    case 'subzone':
      return workload.locality[scope];
    case 'node':
    case 'cluster':
    case 'network':
      return workload[scope];
  }
}
