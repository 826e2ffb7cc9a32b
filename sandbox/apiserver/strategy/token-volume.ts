// The volume through which a pod gets its ServiceAccount token, the cluster's CA and its namespace.

import { randomBytes } from 'node:crypto';
import { isRecord, type JsonObject, listAt, stringAt } from '../object.ts';

const MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';
const VOLUME_PREFIX = 'kube-api-access-';
/** An hour and the seven seconds by which a real server marks tokens it asked for itself. */
const EXPIRATION_SECONDS = 3_607;

export function mountToken(spec: JsonObject): void {
  const containers = [...listAt(spec, 'containers'), ...listAt(spec, 'initContainers')].filter(
    isRecord,
  );
  const without = containers.filter(
    (container) =>
      !listAt(container, 'volumeMounts').some(
        (mount) => stringAt(mount, 'mountPath') === MOUNT_PATH,
      ),
  );
  if (without.length === 0) return;
  const volumes = listAt(spec, 'volumes');
  const present = volumes.find(
    (volume) => stringAt(volume, 'name')?.startsWith(VOLUME_PREFIX) === true,
  );
  const name =
    stringAt(present, 'name') ?? VOLUME_PREFIX + randomBytes(3).toString('hex').slice(0, 5);
  if (present === undefined) spec['volumes'] = [...volumes, tokenVolume(name)];
  for (const container of without) {
    const mount = { name, readOnly: true, mountPath: MOUNT_PATH };
    container['volumeMounts'] = [...listAt(container, 'volumeMounts'), mount];
  }
}

function tokenVolume(name: string): JsonObject {
  return {
    name,
    projected: {
      sources: [
        { serviceAccountToken: { expirationSeconds: EXPIRATION_SECONDS, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        {
          downwardAPI: {
            items: [
              {
                path: 'namespace',
                fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' },
              },
            ],
          },
        },
      ],
      defaultMode: 0o644,
    },
  };
}
