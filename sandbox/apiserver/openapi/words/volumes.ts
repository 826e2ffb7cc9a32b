// Words on volumes and what they project.

import type { Words } from './shape.ts';

export const VOLUME_WORDS: Words = {
  'core.v1.VolumeMount': {
    is: 'Where a volume appears in a container.',
    fields: {
      name: 'Name of the volume.',
      mountPath: 'Path inside the container.',
      subPath: 'Path inside the volume to mount.',
      subPathExpr: 'The same, with $(VARIABLES).',
      readOnly: 'Mount it read-only.',
      recursiveReadOnly: 'Whether mounts below are read-only too.',
      mountPropagation: 'How mounts pass between host and container.',
    },
  },
  'core.v1.Volume': {
    is: 'A directory that containers of the pod can mount.',
    fields: {
      name: 'Name that volumeMounts refer to.',
      emptyDir: {
        is: 'A directory that lives as long as the pod.',
        type: 'core.v1.EmptyDirVolumeSource',
      },
      hostPath: { is: 'A path of the node.', type: 'core.v1.HostPathVolumeSource' },
      configMap: { is: 'Files from a ConfigMap.', type: 'core.v1.ConfigMapVolumeSource' },
      secret: { is: 'Files from a Secret.', type: 'core.v1.SecretVolumeSource' },
      downwardAPI: { is: 'Files with fields of the pod.', type: 'core.v1.DownwardAPIVolumeSource' },
      projected: { is: 'Several sources in one directory.', type: 'core.v1.ProjectedVolumeSource' },
      persistentVolumeClaim: {
        is: 'A claim of the same namespace.',
        type: 'core.v1.PersistentVolumeClaimVolumeSource',
      },
      csi: 'An ephemeral volume of a CSI driver.',
    },
  },
  'core.v1.EmptyDirVolumeSource': {
    is: 'A directory that lives as long as the pod.',
    fields: {
      medium: 'Kind of storage; "Memory" for tmpfs.',
      sizeLimit: 'Most it may hold.',
    },
  },
  'core.v1.HostPathVolumeSource': {
    is: 'A path of the node.',
    fields: {
      path: 'Path on the node.',
      type: 'What must be there, or is made.',
    },
  },
  'core.v1.ConfigMapVolumeSource': {
    is: 'Files from a ConfigMap.',
    fields: {
      name: 'Name of the ConfigMap.',
      items: { is: 'Keys to show and where; all keys when empty.', type: 'core.v1.KeyToPath' },
      defaultMode: 'Mode of files.',
      optional: 'Go on without it when it is missing.',
    },
  },
  'core.v1.KeyToPath': {
    is: 'Maps a key to a path within a volume.',
    fields: {
      key: 'Key to project.',
      path: 'Relative path of the file.',
      mode: 'Permission bits of the file, 0 to 0777.',
    },
  },
  'core.v1.SecretVolumeSource': {
    is: 'Files from a Secret.',
    fields: {
      secretName: 'Name of the Secret.',
      items: { is: 'Keys to show and where; all keys when empty.', type: 'core.v1.KeyToPath' },
      defaultMode: 'Mode of files.',
      optional: 'Go on without it when it is missing.',
    },
  },
  'core.v1.DownwardAPIVolumeSource': {
    is: 'Files with fields of the pod.',
    fields: {
      items: { is: 'Files to make.', type: 'core.v1.DownwardAPIVolumeFile' },
      defaultMode: 'Mode of files.',
    },
  },
  'core.v1.DownwardAPIVolumeFile': {
    is: 'A file with a field of the pod.',
    fields: {
      path: 'Relative path of the file.',
      fieldRef: { is: 'Chooses a field of the pod.', type: 'core.v1.ObjectFieldSelector' },
      resourceFieldRef: {
        is: 'Chooses a resource of a container.',
        type: 'core.v1.ResourceFieldSelector',
      },
      mode: 'Permission bits of the file, 0 to 0777.',
    },
  },
  'core.v1.ProjectedVolumeSource': {
    is: 'Several sources in one directory.',
    fields: {
      sources: { is: 'What is put together.', type: 'core.v1.VolumeProjection' },
      defaultMode: 'Mode of files.',
    },
  },
  'core.v1.VolumeProjection': {
    is: 'One source of a projected volume.',
    fields: {
      secret: { is: 'Keys of a Secret.', type: 'core.v1.SecretProjection' },
      configMap: { is: 'Keys of a ConfigMap.', type: 'core.v1.ConfigMapProjection' },
      downwardAPI: { is: 'Fields of the pod.', type: 'core.v1.DownwardAPIProjection' },
      serviceAccountToken: {
        is: "A token of the pod's service account, kept fresh.",
        type: 'core.v1.ServiceAccountTokenProjection',
      },
    },
  },
  'core.v1.SecretProjection': {
    is: 'Keys of a Secret.',
    fields: {
      name: 'Name of the Secret.',
      items: { is: 'Keys to show and where; all keys when empty.', type: 'core.v1.KeyToPath' },
      optional: 'Go on without it when it is missing.',
    },
  },
  'core.v1.ConfigMapProjection': {
    is: 'Keys of a ConfigMap.',
    fields: {
      name: 'Name of the ConfigMap.',
      items: { is: 'Keys to show and where; all keys when empty.', type: 'core.v1.KeyToPath' },
      optional: 'Go on without it when it is missing.',
    },
  },
  'core.v1.DownwardAPIProjection': {
    is: 'Fields of the pod.',
    fields: {
      items: { is: 'Files to make.', type: 'core.v1.DownwardAPIVolumeFile' },
    },
  },
  'core.v1.ServiceAccountTokenProjection': {
    is: "A token of the pod's service account, kept fresh.",
    fields: {
      audience: 'Whom the token is meant for.',
      expirationSeconds: 'Lifetime asked for.',
      path: 'Relative path of the file.',
    },
  },
  'core.v1.PersistentVolumeClaimVolumeSource': {
    is: 'A claim of the same namespace.',
    fields: {
      claimName: 'Name of the claim.',
      readOnly: 'Forces read-only mounts.',
    },
  },
};
