// The label by which people say what is in the mesh, and whether a pod shall be. Read by workload.ts, enrolment.ts and
// status; a value nobody knows changes nothing and becomes a Problem.

import type { KubeObject, Pod } from '../../runtime/kubernetes/objects.ts';
import type { Problem } from '../../wire/status.ts';

export const MODE_LABEL = 'ambit-mesh.io/mode';
export const REDIRECTION = 'ambit-mesh.io/redirection';
export const REDIRECTION_MESSAGE = 'ambit-mesh.io/redirection-message';

export type Mode = 'ambient' | 'none' | 'unset';

/** The mode of a Namespace or Pod; an unknown value counts as unset. */
export function modeOf(object: KubeObject | undefined): Mode {
  const value = object?.metadata.labels?.[MODE_LABEL];
  return value === 'ambient' || value === 'none' ? value : 'unset';
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

/** Whether the pod shall be in the mesh: its own label before its namespace's. */
export function isWanted(pod: Pod, namespace: KubeObject | undefined): boolean {
  if (pod.spec.hostNetwork === true || !isAlive(pod) || addressesOf(pod).length === 0) return false;
  const own = modeOf(pod);
  return own === 'unset' ? modeOf(namespace) === 'ambient' : own === 'ambient';
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
