// Who answered how many of many requests, against the shares a route gives them. Pure; called by requests.ts.

import type { Result } from '../../sandbox/apps/http-client/result.ts';

/** Deployments by the part of all requests they are to get; the parts make 1. */
export type Shares = Readonly<Record<string, number>>;

// of 500 requests at 70 to 30 one run in about 70 strays further by chance alone; the caller may try again
const TOLERANCE = 0.05;

/** Everything that is wrong; none: each is within 5 percentage points, all were answered, by nobody else. */
export function shareProblems(results: readonly Result[], count: number, shares: Shares): string[] {
  const problems: string[] = [];
  const failed = results.find((result) => !result.ok || result.echo === undefined);
  if (failed !== undefined) problems.push(`a request was not answered: ${JSON.stringify(failed)}`);
  if (results.length !== count) problems.push(`${results.length} of ${count} were told of`);
  const counts = new Map<string, number>();
  for (const result of results) {
    if (!result.ok || result.echo === undefined) continue;
    const name = deploymentOf(result.echo.hostname);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  for (const [name, answered] of counts) {
    if (shares[name] === undefined) problems.push(`${name} answered ${answered} and has no share`);
  }
  for (const [name, share] of Object.entries(shares)) {
    const part = (counts.get(name) ?? 0) / count;
    // in requests, because parts of 1 are not exact
    if (Math.round(Math.abs(part - share) * count) > TOLERANCE * count) {
      problems.push(`${name} answered ${(100 * part).toFixed(1)} %, expected ${100 * share} %`);
    }
  }
  return problems;
}

/** `echo-v1-5d9c8b7f6-x2x4z` is a pod of `echo-v1`. */
function deploymentOf(pod: string): string {
  return pod.split('-').slice(0, -2).join('-');
}
