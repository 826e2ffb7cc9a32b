// Volumes of a pod. Sources a sandbox has no driver for are kept as they come.

import {
  anything,
  flag,
  integer,
  intOrString,
  keyedList,
  list,
  object,
  type Schema,
  text,
} from '../schema.ts';
import { LOCAL_REFERENCE, SELECTOR } from './meta.ts';

const MODE: Schema = integer({ format: 'int32', minimum: 0, maximum: 0o777 });
const ITEMS: Schema = list(object({ key: text(), path: text(), mode: MODE }, ['key', 'path']));
const DOWNWARD_ITEMS: Schema = list(
  object(
    {
      path: text(),
      fieldRef: object({ apiVersion: text({ default: 'v1' }), fieldPath: text() }, ['fieldPath'], {
        'x-kubernetes-map-type': 'atomic',
      }),
      resourceFieldRef: object(
        { containerName: text(), resource: text(), divisor: intOrString() },
        ['resource'],
        { 'x-kubernetes-map-type': 'atomic' },
      ),
      mode: MODE,
    },
    ['path'],
  ),
);

const PROJECTED: Schema = object({
  sources: list(
    object({
      secret: object({ name: text(), items: ITEMS, optional: flag() }),
      configMap: object({ name: text(), items: ITEMS, optional: flag() }),
      downwardAPI: object({ items: DOWNWARD_ITEMS }),
      serviceAccountToken: object(
        {
          audience: text(),
          expirationSeconds: integer({ format: 'int64', default: 3600, minimum: 600 }),
          path: text(),
        },
        ['path'],
      ),
      clusterTrustBundle: object({
        name: text(),
        signerName: text(),
        labelSelector: SELECTOR,
        optional: flag(),
        path: text(),
      }),
    }),
  ),
  defaultMode: { ...MODE, default: 0o644 },
});

const OTHER_SOURCES = [
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'gitRepo',
  'nfs',
  'iscsi',
  'glusterfs',
  'rbd',
  'flexVolume',
  'cinder',
  'cephfs',
  'flocker',
  'fc',
  'azureFile',
  'azureDisk',
  'vsphereVolume',
  'quobyte',
  'portworxVolume',
  'scaleIO',
  'storageos',
  'ephemeral',
  'image',
];

export const VOLUMES: Schema = keyedList(
  ['name'],
  object(
    {
      name: text({ description: 'Name, unique in the pod.' }),
      hostPath: object({ path: text(), type: text({ default: '' }) }, ['path']),
      emptyDir: object({ medium: text(), sizeLimit: intOrString() }),
      secret: object({
        secretName: text(),
        items: ITEMS,
        defaultMode: { ...MODE, default: 0o644 },
        optional: flag(),
      }),
      configMap: object({
        name: text(),
        items: ITEMS,
        defaultMode: { ...MODE, default: 0o644 },
        optional: flag(),
      }),
      downwardAPI: object({ items: DOWNWARD_ITEMS, defaultMode: { ...MODE, default: 0o644 } }),
      projected: PROJECTED,
      persistentVolumeClaim: object({ claimName: text(), readOnly: flag() }, ['claimName']),
      csi: object(
        {
          driver: text(),
          readOnly: flag(),
          fsType: text(),
          volumeAttributes: { type: 'object', additionalProperties: text() },
          nodePublishSecretRef: LOCAL_REFERENCE,
        },
        ['driver'],
      ),
      ...Object.fromEntries(OTHER_SOURCES.map((name) => [name, anything()])),
    },
    ['name'],
  ),
  {
    'x-kubernetes-patch-strategy': 'merge,retainKeys',
    description: 'Volumes that containers mount.',
  },
);
