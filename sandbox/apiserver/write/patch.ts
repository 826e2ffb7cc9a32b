// PATCH: the four patch types on top of create and update.

import { applyConfiguration } from '../apply/managed-fields.ts';
import { asVersion, type Cluster, readObject, timestamp } from '../cluster.ts';
import { badRequest, notFound, unsupportedMediaType } from '../errors.ts';
import { hasSubresource } from '../kinds.ts';
import { isRecord, type KubeObject, recordAt, stringAt } from '../object.ts';
import { applyJsonPatch } from '../patch/json-patch.ts';
import { applyMergePatch } from '../patch/merge-patch.ts';
import { applyStrategicPatch } from '../patch/strategic.ts';
import { createObject } from './create.ts';
import { decodeObject } from './prepare.ts';
import type { WriteRequest } from './request.ts';
import { updateObject } from './update.ts';

export const JSON_PATCH = 'application/json-patch+json';
export const MERGE_PATCH = 'application/merge-patch+json';
export const STRATEGIC_PATCH = 'application/strategic-merge-patch+json';
export const APPLY_PATCH = 'application/apply-patch+yaml';
export const PATCH_TYPES = [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH];

export type Patched = { readonly object: KubeObject; readonly created: boolean };

export function patchObject(
  cluster: Cluster,
  name: string,
  patch: { readonly type: string; readonly body: unknown },
  request: WriteRequest,
): Patched {
  const old = readObject(cluster, request.kind, name, request.namespace);
  if (patch.type === APPLY_PATCH) return applyObject(cluster, name, old, patch.body, request);
  if (old === undefined) throw notFound(request.kind, name);
  const patched = patchValue(asVersion(old, request.kind), patch, request);
  const object = decodeObject(patched, request);
  return { object: updateObject(cluster, old, object, request), created: false };
}

/** `old`, in the request's version, with one of the three non-apply patches. */
export function patchValue(
  old: unknown,
  patch: { readonly type: string; readonly body: unknown },
  request: WriteRequest,
): unknown {
  const { kind } = request;
  switch (patch.type) {
    case JSON_PATCH:
      return applyJsonPatch(old, patch.body);
    case MERGE_PATCH:
      if (!isRecord(patch.body)) throw badRequest('a merge patch must be an object');
      return applyMergePatch(old, patch.body);
    case STRATEGIC_PATCH:
      if (kind.custom === true) {
        throw unsupportedMediaType(STRATEGIC_PATCH, [JSON_PATCH, MERGE_PATCH, APPLY_PATCH]);
      }
      if (!isRecord(patch.body)) throw badRequest('a strategic merge patch must be an object');
      return applyStrategicPatch(old, patch.body, kind.schema);
    default:
      throw unsupportedMediaType(patch.type, PATCH_TYPES);
  }
}

function applyObject(
  cluster: Cluster,
  name: string,
  old: KubeObject | undefined,
  body: unknown,
  request: WriteRequest,
): Patched {
  const { kind, subresource } = request;
  const config = applyConfigurationOf(body, name, request);
  // what the path cannot write is not managed through it either
  if (subresource === 'status') {
    for (const key of Object.keys(config)) {
      if (!['apiVersion', 'kind', 'metadata', 'status'].includes(key)) delete config[key];
    }
    config.metadata = pickIdentity(config);
  } else if (hasSubresource(kind, 'status')) delete config['status'];
  if (old === undefined && subresource !== undefined) throw notFound(kind, name);
  if (old === undefined && stringAt(config.metadata, 'uid') !== undefined)
    throw notFound(kind, name);
  const writer = {
    manager: request.fieldManager,
    time: timestamp(cluster.clock.now()),
    ...(subresource === undefined ? {} : { subresource }),
  };
  const live = old === undefined ? undefined : structuredClone(old);
  const applied = applyConfiguration(kind, live, config, { writer, force: request.force });
  const object = structuredClone(applied.object);
  if (old === undefined) {
    delete object.metadata.resourceVersion;
    return { object: createObject(cluster, object, request, applied.managedFields), created: true };
  }
  object.metadata.resourceVersion =
    config.metadata.resourceVersion ?? old.metadata.resourceVersion ?? '';
  if (config.metadata.uid !== undefined) object.metadata.uid = config.metadata.uid;
  return {
    object: updateObject(cluster, old, object, request, applied.managedFields),
    created: false,
  };
}

function applyConfigurationOf(body: unknown, name: string, request: WriteRequest): KubeObject {
  if (!isRecord(body)) throw badRequest('an apply configuration must be an object');
  if (stringAt(body, 'apiVersion') === undefined || stringAt(body, 'kind') === undefined) {
    throw badRequest('an apply configuration must have apiVersion and kind');
  }
  if (request.fieldManager === '') {
    throw badRequest(
      'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    );
  }
  const managed = recordAt(body, 'metadata')['managedFields'];
  if (Array.isArray(managed) && managed.length > 0) {
    throw badRequest('metadata.managedFields must be nil');
  }
  // decoded without defaults: a default is nobody's wish, so the applier must not come to own it
  const config = decodeObject(body, request);
  const given = config.metadata.name;
  if (given !== undefined && given !== name) {
    throw badRequest(
      `the name of the object (${given}) does not match the name on the URL (${name})`,
    );
  }
  config.metadata.name = name;
  if (request.kind.namespaced && request.namespace !== undefined) {
    const namespace = config.metadata.namespace;
    if (namespace !== undefined && namespace !== '' && namespace !== request.namespace) {
      throw badRequest(
        'the namespace of the provided object does not match the namespace sent on the request',
      );
    }
    config.metadata.namespace = request.namespace;
  }
  return config;
}

function pickIdentity(config: KubeObject): KubeObject['metadata'] {
  const { name, namespace, uid, resourceVersion } = config.metadata;
  return {
    ...(name === undefined ? {} : { name }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}
