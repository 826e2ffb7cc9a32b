// What a Namespace says about its pods. The control plane pushes every Namespace to every agent, so that an agent can tell
// at once, from a pod's labels alone, whether a pod that is just being made shall be in the mesh.

/** The value of label `ambit-mesh.io/mode` on a Namespace or Pod; a value nobody knows counts as unset. */
export type Mode = 'ambient' | 'none' | 'unset';

export type MeshNamespace = {
  readonly name: string;
  readonly mode: Mode;
};

export const MODE_LABEL = 'ambit-mesh.io/mode';

/** The mode a set of labels asks for. */
export function modeOfLabels(labels: Readonly<Record<string, string>> | undefined): Mode {
  const value = labels?.[MODE_LABEL];
  return value === 'ambient' || value === 'none' ? value : 'unset';
}

/** The pod's own wish comes before its namespace's. */
export function isEnrolledBy(pod: Mode, namespace: Mode): boolean {
  return pod === 'unset' ? namespace === 'ambient' : pod === 'ambient';
}
