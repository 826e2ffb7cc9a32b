// The label by which people say what is in the mesh, and whether a pod shall be. Read by workload.ts, enrolment.ts and
// status; a value nobody knows changes nothing and becomes a Problem.

import { isEnrolledBy, MODE_LABEL, type Mode, modeOfLabels } from '../../mesh/namespace.ts';
import type { KubeObject, Pod } from '../../runtime/kubernetes/objects.ts';
import type { Problem } from '../../wire/status.ts';

export const REDIRECTION = 'ambit-mesh.io/redirection';
export const REDIRECTION_MESSAGE = 'ambit-mesh.io/redirection-message';

/** The mode of a Namespace or Pod; an unknown value counts as unset. */
export function modeOf(object: KubeObject | undefined): Mode {
  return modeOfLabels(object?.metadata.labels);
}

/** What is wrong with the label of a Namespace or Pod; undefined when nothing is. */
export function modeProblem(kind: 'Namespace' | 'Pod', object: KubeObject): Problem | undefined {
  const value = object.metadata.labels?.[MODE_LABEL];
  if (value === undefined || modeOf(object) !== 'unset') return undefined;
  const { name = '', namespace } = object.metadata;
  const target = namespace === undefined ? name : `${name} -n ${namespace}`;
  const right = kind === 'Namespace' ? 'ambient' : 'none';
  return {
    object: `${kind} ${namespace === undefined ? name : `${namespace}/${name}`}`,
    reason: 'UnknownMode',
    message: `Label ${MODE_LABEL} is "${value}": expected ambient or none. It is ignored`,
    remedy: `kubectl label ${kind.toLowerCase()} ${target} ${MODE_LABEL}=${right} --overwrite`,
  };
}

/** Whether the pod shall be in the mesh, from the moment it is bound to a node: it may have no address yet. */
export function isWanted(pod: Pod, namespace: KubeObject | undefined): boolean {
  if (pod.spec.hostNetwork === true || !isAlive(pod)) return false;
  return isEnrolledBy(modeOf(pod), modeOf(namespace));
}

/** Placed on a node and not ended; a pod that is being deleted still runs and drains. */
export function isAlive(pod: Pod): boolean {
  const phase = pod.status?.phase;
  return (pod.spec.nodeName ?? '') !== '' && phase !== 'Succeeded' && phase !== 'Failed';
}

/** The pod's addresses as Kubernetes wrote them, without doubles. */
export function addressesOf(pod: Pod): string[] {
  const all = [pod.status?.podIP, ...(pod.status?.podIPs ?? []).map(({ ip }) => ip)];
  return [...new Set(all.filter((ip) => ip !== undefined && ip !== ''))] as string[];
}
