// The destination's L4 policy for one connection to a pod of this node. Called by inbound.ts and passthrough.ts at the
// start and by connections.ts whenever policy or workloads changed: always with the newest snapshot.

import { authorize, type Decision, type Request } from '../mesh/authorize.ts';
import { MeshError } from '../mesh/failures.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import type { Log } from '../runtime/log.ts';
import type { LocalPod } from './local-pod.ts';

export type PolicyView = { readonly snapshot: () => Snapshot; readonly log: Log };

/** @throws MeshError DESTINATION_UNKNOWN while the pod's workload is not known: no policy, no connection */
export function decide({ snapshot, log }: PolicyView, pod: LocalPod, request: Request): Decision {
  const now = snapshot();
  const workload = now.workloadByUid(pod.enrolment.workloadUid);
  if (workload === undefined) {
    throw new MeshError(
      'DESTINATION_UNKNOWN',
      `Cannot authorize a connection to ${pod.enrolment.workloadUid}: the workload is not known`,
    );
  }
  const decision = authorize(now.policiesFor(workload), request);
  if (decision.dryRun.length > 0) {
    log.info('Policies in dry run would have applied', { policies: decision.dryRun });
  }
  return decision;
}
