// How important a request is: by a header, by the first rule of the policy that matches, or like any other. Pure. Called
// by the waypoint before adaptive-concurrency.ts.

import { type HttpRequest, headerOf, type RequestSource } from '../../mesh/http-request.ts';
import type { LoadShedding, PriorityClass } from '../../mesh/traffic-policy.ts';
import { matchesTraffic } from './traffic-match.ts';

const CLASSES: ReadonlyMap<string, PriorityClass> = new Map([
  ['critical', 'critical'],
  ['default', 'default'],
  ['best-effort', 'best-effort'],
]);

/** A header that names no class says nothing. */
export function priorityOf(
  { header, rules }: LoadShedding['priorities'],
  request: HttpRequest,
  source: RequestSource,
): PriorityClass {
  const said = header === undefined ? undefined : CLASSES.get(headerOf(request, header) ?? '');
  if (said !== undefined) return said;
  return rules.find(({ match }) => matchesTraffic(match, request, source))?.class ?? 'default';
}
