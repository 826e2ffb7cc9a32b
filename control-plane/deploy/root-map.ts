// Whom to believe at the first handshake, for proxies outside of the mesh's own namespace: a copy of the CA's ConfigMap in
// each namespace with a Gateway of ours, which goes with the last of them. Pure. Called by plan.ts.

import { MANAGED } from '../../mesh/waypoint.ts';
import type { ConfigMap, KubeObject, OwnerReference } from '../../runtime/kubernetes/objects.ts';
import { apiVersionOf, CONFIG_MAPS } from '../../runtime/kubernetes/resources.ts';
import { ROOT_MAP } from '../../wire/rotation.ts';
import type { DesiredObject } from './desired.ts';

/** None while the CA has not published its roots: a pod that mounts the map waits for it. */
export function rootMapFor(
  namespace: string,
  owners: readonly OwnerReference[],
  roots: ConfigMap | undefined,
): DesiredObject[] {
  if (roots?.data === undefined) return [];
  const object: KubeObject & Pick<ConfigMap, 'data'> = {
    apiVersion: apiVersionOf(CONFIG_MAPS),
    kind: CONFIG_MAPS.kind,
    metadata: {
      name: ROOT_MAP,
      namespace,
      labels: { [MANAGED]: 'root-cert' },
      ownerReferences: owners.toSorted((a, b) => (a.uid < b.uid ? -1 : 1)),
    },
    data: roots.data,
  };
  return [{ resource: CONFIG_MAPS, object }];
}
