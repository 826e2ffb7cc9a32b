// Whether a rule of a TrafficPolicy (a fault, a priority) is meant for a request. Pure.

import type { HttpRequest, RequestSource } from '../../mesh/http-request.ts';
import { joinedHeaderOf } from '../../mesh/http-request.ts';
import type { TrafficMatch } from '../../mesh/traffic-policy.ts';

export function matchesTraffic(
  { headers, source }: TrafficMatch,
  request: HttpRequest,
  from: RequestSource,
): boolean {
  return (
    headers.every(({ name, value }) => joinedHeaderOf(request, name) === value) &&
    matchesSource(source, from)
  );
}

/** Who has no identity is in no namespace and is no principal. */
function matchesSource(
  { namespaces, principals }: TrafficMatch['source'],
  { identity }: RequestSource,
): boolean {
  if (namespaces.length > 0 && (!identity || !namespaces.includes(identity.namespace)))
    return false;
  if (principals.length === 0) return true;
  if (identity === undefined) return false;
  const { trustDomain, namespace, serviceAccount } = identity;
  return principals.includes(`${trustDomain}/ns/${namespace}/sa/${serviceAccount}`);
}
