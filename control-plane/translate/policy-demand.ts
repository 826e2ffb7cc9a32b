// Which services must be reached through a waypoint because a policy on their requests says something: without one nobody
// could enforce it. Pure. Asked by world.ts before it binds services to waypoints.

import type { KubeObject } from '../../runtime/kubernetes/objects.ts';
import { type AuthorizationPolicyObject, isDryRun, isForWaypoints } from './authorization.ts';
import { targetRefsOf } from './policy-attachment.ts';

type Targeted = KubeObject & {
  readonly spec?: { readonly targetRef?: unknown; readonly targetRefs?: readonly unknown[] };
};

/** `Kind namespace/name` of each. */
export function demandedServices(objects: {
  readonly authorizationPolicies: Iterable<AuthorizationPolicyObject>;
  readonly requestAuthentications: Iterable<Targeted>;
}): ReadonlySet<string> {
  const deciding = [...objects.authorizationPolicies].filter(
    (object) => object.spec?.action !== 'AUDIT' && !isDryRun(object),
  );
  const all: readonly Targeted[] = [...deciding, ...objects.requestAuthentications];
  return new Set(
    all.filter(isForWaypoints).flatMap(({ spec = {}, metadata }) =>
      targetRefsOf(spec)
        .filter(({ kind }) => kind === 'Service' || kind === 'ServiceEntry')
        .map(({ kind, name }) => `${kind} ${metadata.namespace}/${name}`),
    ),
  );
}
