// A pod's volumes as directories of the node: made before its containers start, filled again while they run (a changed
// ConfigMap, a token near its end). Called by pod.ts. A missing source is a VolumeError: the pod waits, nothing starts.

import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fieldValue, type PodFacts, resourceValue } from '../container/downward.ts';
import type { ConfigSource, Keys } from '../container/environment.ts';
import type { DownwardItem, KeyToPath, Pod, ProjectedSource, VolumeSpec } from '../pod/pod-spec.ts';
import { type FileContent, type FileSet, writeFileSet } from './atomic-files.ts';
import type { TokenSource } from './config-source.ts';

/** A volume that cannot be set up now: Event FailedMount, tried again. */
export class VolumeError extends Error {
  override readonly name = 'VolumeError';
}

export type VolumeParts = {
  readonly pod: Pod;
  readonly facts: PodFacts;
  readonly config: ConfigSource;
  readonly tokens: TokenSource;
};
export type VolumeSettings = {
  /** The pod's own directory for volumes. */
  readonly directory: string;
  /** The node's own `/run`, which stands in for the machine's. */
  readonly nodeRunDirectory: string;
};
/** Directory of each volume on this machine, by the volume's name. */
export type VolumePaths = ReadonlyMap<string, string>;

const DEFAULT_MODE = 0o644;
// the API's default; the API server writes it out, a bare manifest in a test may not
const DEFAULT_TOKEN_SECONDS = 3600;
/** Host paths under these are the node's own, not the machine's: two nodes on one machine must not share them. */
const NODE_RUN = [
  ...['ambit', 'nri', 'netns'].flatMap((name) => [
    { root: `/run/${name}`, name },
    { root: `/var/run/${name}`, name },
  ]),
  { root: '/var/lib/ambit', name: 'lib' },
];

/** Makes or refreshes all volumes. @throws VolumeError naming the volume and what it lacks */
export async function prepareVolumes(
  parts: VolumeParts,
  settings: VolumeSettings,
): Promise<VolumePaths> {
  const paths = new Map<string, string>();
  for (const volume of parts.pod.spec.volumes ?? []) {
    try {
      paths.set(volume.name, await prepare(volume, parts, settings));
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new VolumeError(`MountVolume.SetUp failed for volume "${volume.name}" : ${message}`, {
        cause,
      });
    }
  }
  return paths;
}

async function prepare(
  volume: VolumeSpec,
  parts: VolumeParts,
  settings: VolumeSettings,
): Promise<string> {
  if (volume.hostPath !== undefined) return hostPath(volume.hostPath, settings);
  const directory = join(settings.directory, volume.name);
  const files = await filesOf(volume, parts);
  if (files === undefined) await mkdir(directory, { recursive: true, mode: 0o777 });
  else await writeFileSet(directory, files);
  return directory;
}

async function hostPath(
  { path, type = '' }: { readonly path: string; readonly type?: string },
  settings: VolumeSettings,
): Promise<string> {
  for (const { root, name } of NODE_RUN) {
    if (path === root || path.startsWith(`${root}/`)) {
      const own = join(settings.nodeRunDirectory, name, path.slice(root.length));
      // made whatever the type: the node's directory starts empty, a machine's would be there
      await mkdir(own, { recursive: true });
      return own;
    }
  }
  const found = await stat(path).catch(() => undefined);
  if (found !== undefined) return path;
  throw new Error(
    `hostPath "${path}"${type === '' ? '' : ` (type ${type})`} is not on this machine; ` +
      'the sandbox makes host paths only under /run/ambit, /run/nri, /run/netns and /var/lib/ambit',
  );
}

/** undefined: an empty directory. */
async function filesOf(volume: VolumeSpec, parts: VolumeParts): Promise<FileSet | undefined> {
  const { configMap, secret, projected, downwardAPI } = volume;
  if (configMap !== undefined) {
    return filesOfSource({ configMap }, configMap.defaultMode ?? DEFAULT_MODE, parts);
  }
  if (secret !== undefined) {
    const named = { ...secret, name: secret.secretName };
    return filesOfSource({ secret: named }, secret.defaultMode ?? DEFAULT_MODE, parts);
  }
  if (downwardAPI !== undefined) {
    return filesOfSource({ downwardAPI }, downwardAPI.defaultMode ?? DEFAULT_MODE, parts);
  }
  if (projected !== undefined) {
    const files = new Map<string, FileContent>();
    for (const source of projected.sources ?? []) {
      const some = await filesOfSource(source, projected.defaultMode ?? DEFAULT_MODE, parts);
      for (const [path, file] of some) files.set(path, file);
    }
    return files;
  }
  if (volume.emptyDir !== undefined) return undefined;
  const kinds = Object.keys(volume).filter((key) => key !== 'name');
  throw new Error(`volume type ${kinds.join(', ') || 'none'} is not supported by the sandbox`);
}

async function filesOfSource(
  source: ProjectedSource,
  mode: number,
  parts: VolumeParts,
): Promise<FileSet> {
  const { configMap, secret, serviceAccountToken, downwardAPI } = source;
  if (configMap !== undefined) {
    const keys = await parts.config.configMap(configMap.name);
    return pick({ ...configMap, what: `configmap "${configMap.name}"` }, keys, mode);
  }
  if (secret !== undefined) {
    const keys = await parts.config.secret(secret.name);
    return pick({ ...secret, what: `secret "${secret.name}"` }, keys, mode);
  }
  if (serviceAccountToken !== undefined) {
    const { audience, expirationSeconds = DEFAULT_TOKEN_SECONDS, path } = serviceAccountToken;
    const token = await parts.tokens.token({
      audience: audience === '' ? undefined : audience,
      expirationSeconds,
    });
    return new Map([[checked(path), { content: Buffer.from(token), mode }]]);
  }
  const items = downwardAPI?.items ?? [];
  return new Map(
    items.map((item) => [
      checked(item.path),
      { content: Buffer.from(downward(item, parts)), mode: item.mode ?? mode },
    ]),
  );
}

type Selection = {
  readonly what: string;
  readonly optional?: boolean;
  readonly items?: readonly KeyToPath[];
};

function pick(source: Selection, keys: Keys | undefined, mode: number): FileSet {
  if (keys === undefined) {
    if (source.optional === true) return new Map();
    throw new Error(`${source.what} not found`);
  }
  if (source.items === undefined || source.items.length === 0) {
    return new Map(Object.entries(keys).map(([key, content]) => [checked(key), { content, mode }]));
  }
  const files = new Map<string, FileContent>();
  for (const item of source.items) {
    const content = Object.hasOwn(keys, item.key) ? keys[item.key] : undefined;
    if (content !== undefined) files.set(checked(item.path), { content, mode: item.mode ?? mode });
    else if (source.optional !== true) throw new Error(`${source.what} has no key "${item.key}"`);
  }
  return files;
}

function downward(item: DownwardItem, { pod, facts }: VolumeParts): string {
  if (item.fieldRef !== undefined) return fieldValue(item.fieldRef.fieldPath, pod, facts);
  const ref = item.resourceFieldRef;
  const container = pod.spec.containers.find(({ name }) => name === ref?.containerName);
  if (ref === undefined || container === undefined) {
    throw new Error(`downwardAPI item "${item.path}" names no field and no container`);
  }
  return resourceValue(ref, container, facts);
}

/** A path that leaves the volume would write over the machine's files. */
function checked(path: string): string {
  if (path === '' || path.startsWith('/') || path.split('/').includes('..')) {
    throw new Error(`path "${path}" must be relative and stay inside the volume`);
  }
  return path;
}
