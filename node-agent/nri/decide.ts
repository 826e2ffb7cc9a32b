// Shall a pod that the container runtime is just making be in the mesh? A decision on plain values; arrivals.ts asks it
// before the pod's first container starts, and again when a snapshot changed. The control plane's own decision, made from
// the same labels, follows as an Enrolment.

import { isEnrolledBy, modeOfLabels } from '../../mesh/namespace.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import type { PodSandbox } from '../../wire/nri.ts';

export type Admission =
  | { readonly kind: 'wanted' }
  | { readonly kind: 'outside' }
  /** Its own labels say nothing, and its namespace has not been heard of. */
  | { readonly kind: 'undecided' };

export function decideAdmission(
  pod: Pick<PodSandbox, 'uid' | 'namespace' | 'labels' | 'network'>,
  snapshot: Pick<Snapshot, 'enrolment' | 'namespace'>,
): Admission {
  // the node's own network is never touched
  if (pod.network.kind === 'host') return { kind: 'outside' };
  if (snapshot.enrolment(pod.uid) !== undefined) return { kind: 'wanted' };
  const own = modeOfLabels(pod.labels);
  const namespace = snapshot.namespace(pod.namespace);
  if (own === 'unset' && namespace === undefined) return { kind: 'undecided' };
  return { kind: isEnrolledBy(own, namespace?.mode ?? 'unset') ? 'wanted' : 'outside' };
}
