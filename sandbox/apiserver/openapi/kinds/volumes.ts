// Schemas of volumes and of what they project; part of a pod's spec (pod.ts).

import { flag, integer, keyedList, list, object, type Schema, text } from '../../schema.ts';
import { LOCAL_REFERENCE } from '../../schemas/meta.ts';
import { definer } from './definition.ts';

const core = definer('core.v1');

const mode = (): Schema =>
  integer({ format: 'int32', description: 'Permission bits of the file, 0 to 0777.' });
const name = (what: string): Schema => text({ description: `Name of the ${what}.` });
const optional = (): Schema => flag({ description: 'Go on without it when it is missing.' });

const KEY_TO_PATH = core(
  'KeyToPath',
  'Maps a key to a path within a volume.',
  {
    key: text({ description: 'Key to project.' }),
    path: text({ description: 'Relative path of the file.' }),
    mode: mode(),
  },
  ['key', 'path'],
);
const items = (): Schema =>
  list(KEY_TO_PATH, { description: 'Keys to show and where; all keys when empty.' });

export const FIELD_REF = core(
  'ObjectFieldSelector',
  'Chooses a field of the pod.',
  {
    apiVersion: text({ description: 'Version the path is written in.', default: 'v1' }),
    fieldPath: text({ description: 'Path of the field.' }),
  },
  ['fieldPath'],
  { 'x-kubernetes-map-type': 'atomic' },
);
export const RESOURCE_REF = core(
  'ResourceFieldSelector',
  'Chooses a resource of a container.',
  {
    containerName: text({ description: 'Container the resource belongs to.' }),
    resource: text({ description: 'Resource, such as limits.cpu.' }),
    divisor: { 'x-kubernetes-int-or-string': true, description: 'Unit of the value.' },
  },
  ['resource'],
  { 'x-kubernetes-map-type': 'atomic' },
);

const DOWNWARD_FILES = list(
  core(
    'DownwardAPIVolumeFile',
    'A file with a field of the pod.',
    {
      path: text({ description: 'Relative path of the file.' }),
      fieldRef: FIELD_REF,
      resourceFieldRef: RESOURCE_REF,
      mode: mode(),
    },
    ['path'],
  ),
  { description: 'Files to make.' },
);

const PROJECTION = core('VolumeProjection', 'One source of a projected volume.', {
  secret: core('SecretProjection', 'Keys of a Secret.', {
    name: name('Secret'),
    items: items(),
    optional: optional(),
  }),
  configMap: core('ConfigMapProjection', 'Keys of a ConfigMap.', {
    name: name('ConfigMap'),
    items: items(),
    optional: optional(),
  }),
  downwardAPI: core('DownwardAPIProjection', 'Fields of the pod.', { items: DOWNWARD_FILES }),
  serviceAccountToken: core(
    'ServiceAccountTokenProjection',
    "A token of the pod's service account, kept fresh.",
    {
      audience: text({ description: 'Whom the token is meant for.' }),
      expirationSeconds: integer({
        format: 'int64',
        default: 3600,
        description: 'Lifetime asked for.',
      }),
      path: text({ description: 'Relative path of the file.' }),
    },
    ['path'],
  ),
});

export const VOLUME = core(
  'Volume',
  'A directory that containers of the pod can mount.',
  {
    name: text({ description: 'Name that volumeMounts refer to.' }),
    emptyDir: core('EmptyDirVolumeSource', 'A directory that lives as long as the pod.', {
      medium: text({ description: 'Kind of storage; "Memory" for tmpfs.' }),
      sizeLimit: { 'x-kubernetes-int-or-string': true, description: 'Most it may hold.' },
    }),
    hostPath: core(
      'HostPathVolumeSource',
      'A path of the node.',
      {
        path: text({ description: 'Path on the node.' }),
        type: text({ default: '', description: 'What must be there, or is made.' }),
      },
      ['path'],
    ),
    configMap: core('ConfigMapVolumeSource', 'Files from a ConfigMap.', {
      name: name('ConfigMap'),
      items: items(),
      defaultMode: integer({ format: 'int32', default: 420, description: 'Mode of files.' }),
      optional: optional(),
    }),
    secret: core('SecretVolumeSource', 'Files from a Secret.', {
      secretName: name('Secret'),
      items: items(),
      defaultMode: integer({ format: 'int32', default: 420, description: 'Mode of files.' }),
      optional: optional(),
    }),
    downwardAPI: core('DownwardAPIVolumeSource', 'Files with fields of the pod.', {
      items: DOWNWARD_FILES,
      defaultMode: integer({ format: 'int32', default: 420, description: 'Mode of files.' }),
    }),
    projected: core('ProjectedVolumeSource', 'Several sources in one directory.', {
      sources: list(PROJECTION, { description: 'What is put together.' }),
      defaultMode: integer({ format: 'int32', default: 420, description: 'Mode of files.' }),
    }),
    persistentVolumeClaim: core(
      'PersistentVolumeClaimVolumeSource',
      'A claim of the same namespace.',
      {
        claimName: name('claim'),
        readOnly: flag({ description: 'Forces read-only mounts.' }),
      },
      ['claimName'],
    ),
    csi: object(
      {
        driver: text(),
        readOnly: flag(),
        fsType: text(),
        volumeAttributes: { type: 'object', additionalProperties: text() },
        nodePublishSecretRef: LOCAL_REFERENCE,
      },
      ['driver'],
      { description: 'An ephemeral volume of a CSI driver.' },
    ),
  },
  ['name'],
);

export const VOLUME_MOUNTS = keyedList(
  ['mountPath'],
  core(
    'VolumeMount',
    'Where a volume appears in a container.',
    {
      name: name('volume'),
      mountPath: text({ description: 'Path inside the container.' }),
      subPath: text({ description: 'Path inside the volume to mount.' }),
      subPathExpr: text({ description: 'The same, with $(VARIABLES).' }),
      readOnly: flag({ description: 'Mount it read-only.' }),
      recursiveReadOnly: text({ description: 'Whether mounts below are read-only too.' }),
      mountPropagation: text({ description: 'How mounts pass between host and container.' }),
    },
    ['name', 'mountPath'],
  ),
  { description: 'Volumes to mount.' },
);
