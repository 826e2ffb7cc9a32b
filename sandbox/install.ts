// Applies the folders of manifests/ to a cluster, as `kubectl apply --server-side` would: kinds in the order in which
// they need each other, and custom objects only after their definitions are served. Called by the demo and the tests.

import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { projectPath } from '../runtime/entry.ts';
import type { KubeClient } from '../runtime/kubernetes/client.ts';
import {
  CUSTOM_RESOURCE_DEFINITIONS,
  findResource,
  type Resource,
} from '../runtime/kubernetes/resources.ts';
import type { Condition, KubeObject } from './controllers/objects.ts';
import { keyOfResource } from './controllers/resources.ts';

/** Everything the mesh itself consists of, in the order people would apply it. */
export const MESH_FOLDERS = [
  'gateway-api',
  'crds',
  'base',
  'ca',
  'control-plane',
  'node-agent',
] as const;

/** Definitions that are not ours alone: a cluster that has them, from whomever, keeps what it has. */
const SHARED_GROUP = 'gateway.networking.k8s.io';
/** What its definitions from anywhere else cannot say alike: those written here are replaced by newer ones. */
const APPROVAL = 'api-approved.kubernetes.io';

// what others refer to goes first; whatever starts pods goes last
const ORDER = [
  'Namespace',
  'CustomResourceDefinition',
  'ServiceAccount',
  'ClusterRole',
  'ClusterRoleBinding',
  'Role',
  'RoleBinding',
  'ConfigMap',
  'Secret',
  'Service',
];

// a server establishes a definition in well under a second; a minute is a server that never will
const DEFINITION_TIMEOUT_MS = 60_000;

export type Manifest = { readonly file: string; readonly object: KubeObject };

/** @param folders names below manifests/, or absolute paths */
export async function installManifests(
  client: KubeClient,
  folders: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  const manifests = (await Promise.all(folders.map(readManifests))).flat();
  const ordered = manifests.toSorted((a, b) => rank(a.object) - rank(b.object));
  const named = ordered.map((manifest) => ({ ...manifest, resource: resourceOf(manifest) }));
  const given = await givenDefinitions(client, named);
  const planned = named.filter(({ object }) => !given.has(object.metadata.name ?? ''));
  let awaitedDefinitions = false;
  for (const { file, object, resource } of planned) {
    signal?.throwIfAborted();
    if (!awaitedDefinitions && rank(object) > ORDER.indexOf('CustomResourceDefinition')) {
      await definitionsServed(client, planned, signal);
      awaitedDefinitions = true;
    }
    try {
      await client.apply(resource, object, { fieldManager: 'ambit-install', force: true });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`Cannot install ${file}: ${reason}`, { cause });
    }
  }
  if (!awaitedDefinitions) await definitionsServed(client, planned, signal);
}

/** Names of the shared definitions that the cluster has from somebody else. */
async function givenDefinitions(
  client: KubeClient,
  manifests: readonly { readonly object: KubeObject }[],
): Promise<ReadonlySet<string>> {
  const given = new Set<string>();
  for (const { object } of manifests) {
    const { name, annotations = {} } = object.metadata;
    if (object.kind !== CUSTOM_RESOURCE_DEFINITIONS.kind || !name.endsWith(`.${SHARED_GROUP}`)) {
      continue;
    }
    const present = await client.get<KubeObject>(CUSTOM_RESOURCE_DEFINITIONS, name);
    const ours = present?.metadata.annotations?.[APPROVAL] === annotations[APPROVAL];
    if (present !== undefined && !ours) given.add(name);
  }
  return given;
}

/** The objects of a folder's YAML files, in the files' order. */
export async function readManifests(folder: string): Promise<readonly Manifest[]> {
  const directory = resolve(projectPath('manifests'), folder);
  const files = (await readdir(directory)).filter((file) => file.endsWith('.yaml')).sort();
  const parsed = files.map(async (name) => {
    const file = join(directory, name);
    return parseAllDocuments(await readFile(file, 'utf8')).flatMap((document) => {
      const [error] = document.errors;
      if (error !== undefined) throw new SyntaxError(`Cannot read ${file}: ${error.message}`);
      const object = document.toJS() as KubeObject | null;
      return object === null ? [] : [{ file, object }];
    });
  });
  return (await Promise.all(parsed)).flat();
}

function rank(object: KubeObject): number {
  const place = ORDER.indexOf(object.kind ?? '');
  return place === -1 ? ORDER.length : place;
}

function resourceOf({ file, object }: Manifest): Resource {
  const { apiVersion = '', kind = '' } = object;
  const found = findResource(apiVersion, kind);
  if (found === undefined) {
    throw new Error(
      `Cannot install ${file}: ${kind} of ${apiVersion || 'no apiVersion'} is not a kind we know`,
    );
  }
  return found;
}

type Definition = KubeObject & { readonly status?: { readonly conditions?: readonly Condition[] } };

async function definitionsServed(
  client: KubeClient,
  installed: readonly { readonly resource: Resource; readonly object: KubeObject }[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const awaited = new Set(
    installed
      .filter(
        ({ resource }) => keyOfResource(resource) === keyOfResource(CUSTOM_RESOURCE_DEFINITIONS),
      )
      .map(({ object }) => object.metadata.name),
  );
  if (awaited.size === 0) return;
  const note = (definition: Definition): void => {
    const established = definition.status?.conditions?.some(
      ({ type, status }) => type === 'Established' && status === 'True',
    );
    if (established === true) awaited.delete(definition.metadata.name);
  };
  const { items, resourceVersion } = await client.list<Definition>(CUSTOM_RESOURCE_DEFINITIONS);
  for (const definition of items) note(definition);
  if (awaited.size === 0) return;
  const served = new AbortController();
  const limit = AbortSignal.timeout(DEFINITION_TIMEOUT_MS);
  const ends = AbortSignal.any([served.signal, limit, ...(signal === undefined ? [] : [signal])]);
  try {
    await client.watch<Definition>(
      CUSTOM_RESOURCE_DEFINITIONS,
      { resourceVersion },
      ({ object }) => {
        note(object);
        if (awaited.size === 0) served.abort();
      },
      ends,
    );
  } catch (cause) {
    if (served.signal.aborted) return;
    signal?.throwIfAborted();
    if (!limit.aborted) throw cause;
  }
  if (awaited.size > 0) {
    throw new Error(
      `Cannot install custom objects: ${[...awaited].join(', ')} not established by the API server`,
    );
  }
}
