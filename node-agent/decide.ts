// The destination's L4 policy for one connection to a pod of this node. Called by inbound.ts and passthrough.ts at the
// start and by connections.ts whenever policy or workloads changed: always with the newest snapshot.

import { authorize, type Decision, type Request } from '../mesh/authorize.ts';
import { MeshError } from '../mesh/failures.ts';
import { requireWaypoint } from '../mesh/require-waypoint.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import type { LocalPod } from './local-pod.ts';
import type { PolicyRecord } from './policy-record.ts';

export type PolicyView = { readonly snapshot: () => Snapshot; readonly record: PolicyRecord };

/**
 * Decides about a new connection and tells of it. A waypoint is required of new ones only: those that are open when the
 * workload is put behind one live on, as those to a service do.
 * @throws MeshError WAYPOINT_REQUIRED, and as {@link decideAgain}
 */
export function decide(view: PolicyView, pod: LocalPod, request: Request): Decision {
  const now = view.snapshot();
  const workload = now.workloadByUid(pod.enrolment.workloadUid);
  const { peer, destination } = request;
  if (workload !== undefined) requireWaypoint({ peer, port: destination.port }, workload, now);
  const decision = decideAgain(view, pod, request);
  view.record.decided(decision, pod.enrolment.workloadUid, request);
  return decision;
}

/**
 * The decision as it would be now, told to nobody: for the checks of open connections.
 * @throws MeshError DESTINATION_UNKNOWN while the pod's workload is not known: no policy, no connection
 */
export function decideAgain(
  { snapshot }: Pick<PolicyView, 'snapshot'>,
  pod: LocalPod,
  request: Request,
): Decision {
  const now = snapshot();
  const workload = now.workloadByUid(pod.enrolment.workloadUid);
  if (workload === undefined) {
    throw new MeshError(
      'DESTINATION_UNKNOWN',
      `Cannot authorize a connection to ${pod.enrolment.workloadUid}: the workload is not known`,
    );
  }
  return authorize(now.policiesFor(workload), request, now.unknownPoliciesOf(workload));
}
