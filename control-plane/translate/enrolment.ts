// Pod -> Enrolment: what the agent of the pod's node is asked to do, from the moment the pod is bound to the node, so that
// the agent knows of it before the pod's first container starts; its addresses follow. Pure.

import type { Enrolment } from '../../mesh/enrolment.ts';
import type { KubeObject, Pod } from '../../runtime/kubernetes/objects.ts';
import { captureOptionsOf } from './capture-options.ts';
import { addressesOf, isWanted } from './mode.ts';
import { readIps } from './service.ts';
import { accountOf, workloadUid } from './workload.ts';

/** undefined when the pod shall not be in the mesh. */
export function enrolmentOf(
  pod: Pod,
  namespace: KubeObject | undefined,
  context: { readonly cluster: string; readonly trustDomain: string },
): Enrolment | undefined {
  if (!isWanted(pod, namespace)) return undefined;
  const { name = '', namespace: place = '', uid = '' } = pod.metadata;
  return {
    podUid: uid,
    workloadUid: workloadUid(context.cluster, place, name),
    name,
    namespace: place,
    identity: {
      trustDomain: context.trustDomain,
      namespace: place,
      serviceAccount: accountOf(pod),
    },
    addresses: readIps(addressesOf(pod)),
    capture: captureOptionsOf(pod).options,
  };
}
