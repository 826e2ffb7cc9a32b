// PUT of an object or its status: optimistic concurrency, immutable metadata, generations, finalizers.

import { trackUpdate } from '../apply/managed-fields.ts';
import { asStored, asVersion, type Cluster, timestamp } from '../cluster.ts';
import { deepEqual } from '../equal.ts';
import { badRequest, conflict, invalid, modifiedMeanwhile } from '../errors.ts';
import { hasSubresource } from '../kinds.ts';
import { isRecord, type KubeObject, listAt, type ManagedFieldsEntry } from '../object.ts';
import { bucketOf } from '../registry.ts';
import { completeObject, countsGenerations, desiredStateChanged } from './prepare.ts';
import type { WriteRequest } from './request.ts';

/** Replaces `old` by `proposed`, a private copy; answers the stored object (`old` itself if nothing changed). */
export function updateObject(
  cluster: Cluster,
  old: KubeObject,
  proposed: KubeObject,
  request: WriteRequest,
  managedFields?: ManagedFieldsEntry[],
): KubeObject {
  const { kind } = request;
  checkIdentity(old, proposed, request);
  const object = partWritten(old, proposed, request);
  keepServerMetadata(old, object);
  completeObject(cluster, object, old, request);
  if (countsGenerations(kind) && desiredStateChanged(kind, object, old)) {
    object.metadata.generation = (old.metadata.generation ?? 0) + 1;
  }
  const writer = {
    manager: request.fieldManager,
    time: timestamp(cluster.clock.now()),
    ...(request.subresource === undefined ? {} : { subresource: request.subresource }),
  };
  object.metadata.managedFields = managedFields ?? trackUpdate(kind, old, object, writer);
  if (object.metadata.managedFields.length === 0) delete object.metadata.managedFields;
  if (request.dryRun) return object;
  const stored = asStored(object, kind);
  if (unchanged(old, stored)) return asVersion(old, kind);
  if (isFinished(object)) return cluster.store.remove(bucketOf(kind), old, stored);
  return asVersion(cluster.store.replace(bucketOf(kind), old, stored), kind);
}

function checkIdentity(old: KubeObject, proposed: KubeObject, request: WriteRequest): void {
  const { kind } = request;
  const name = old.metadata.name ?? '';
  const { metadata } = proposed;
  if (metadata.name !== undefined && metadata.name !== name) {
    throw badRequest(
      `the name of the object (${metadata.name}) does not match the name on the URL (${name})`,
    );
  }
  const namespace = metadata.namespace;
  if (
    kind.namespaced &&
    namespace !== undefined &&
    namespace !== '' &&
    namespace !== old.metadata.namespace
  ) {
    throw badRequest(
      'the namespace of the provided object does not match the namespace sent on the request',
    );
  }
  if (metadata.uid !== undefined && metadata.uid !== '' && metadata.uid !== old.metadata.uid) {
    throw conflict(
      kind,
      name,
      `Precondition failed: UID in precondition: ${metadata.uid}, UID in object meta: ${old.metadata.uid}`,
    );
  }
  const version = metadata.resourceVersion;
  if (version !== undefined && version !== '' && version !== old.metadata.resourceVersion) {
    if (!/^\d+$/.test(version)) {
      throw invalid(kind, name, [
        {
          field: 'metadata.resourceVersion',
          reason: 'FieldValueInvalid',
          message: `Invalid value: ${JSON.stringify(version)}: must be an unsigned integer`,
        },
      ]);
    }
    throw modifiedMeanwhile(kind, name);
  }
}

/** Writes to `/status` change the status only, writes to the object all but the status. */
function partWritten(old: KubeObject, proposed: KubeObject, request: WriteRequest): KubeObject {
  const { kind, subresource } = request;
  if (subresource === 'status') {
    const object = structuredClone(old);
    // these two are reported by their node, which also labels and annotates them on the way
    const metadataToo = kind.group === '' && (kind.kind === 'Pod' || kind.kind === 'Node');
    if (metadataToo) object.metadata = { ...proposed.metadata };
    else if (proposed.metadata.managedFields !== undefined) {
      object.metadata.managedFields = proposed.metadata.managedFields;
    }
    if (proposed['status'] === undefined) delete object['status'];
    else object['status'] = proposed['status'];
    return object;
  }
  if (subresource === 'finalize') {
    const object = structuredClone(old);
    const spec = proposed['spec'];
    object['spec'] = {
      ...(isRecord(object['spec']) ? object['spec'] : {}),
      finalizers: listAt(spec, 'finalizers'),
    };
    return object;
  }
  if (hasSubresource(kind, 'status')) {
    if (old['status'] === undefined) delete proposed['status'];
    else proposed['status'] = structuredClone(old['status']);
  }
  return proposed;
}

function keepServerMetadata(old: KubeObject, object: KubeObject): void {
  const { metadata } = object;
  for (const field of [
    'name',
    'namespace',
    'uid',
    'generateName',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generation',
    'resourceVersion',
  ] as const) {
    const value = old.metadata[field];
    if (value === undefined) delete metadata[field];
    else Object.assign(metadata, { [field]: value });
  }
  delete metadata.selfLink;
  if (!Array.isArray(metadata.managedFields) && old.metadata.managedFields !== undefined) {
    metadata.managedFields = old.metadata.managedFields;
  }
  for (const field of ['labels', 'annotations'] as const) {
    if (metadata[field] !== undefined && Object.keys(metadata[field]).length === 0)
      delete metadata[field];
  }
  if (metadata.finalizers?.length === 0) delete metadata.finalizers;
  if (metadata.ownerReferences?.length === 0) delete metadata.ownerReferences;
}

/** Times of managers alone are no change: a repeated apply stores nothing. */
function unchanged(old: KubeObject, object: KubeObject): boolean {
  const strip = (entries: ManagedFieldsEntry[] | undefined): unknown =>
    (entries ?? []).map(({ time: _time, ...rest }) => rest);
  const { managedFields: before, ...oldMetadata } = old.metadata;
  const { managedFields: after, ...newMetadata } = object.metadata;
  return (
    deepEqual({ ...old, metadata: oldMetadata }, { ...object, metadata: newMetadata }) &&
    deepEqual(strip(before), strip(after))
  );
}

/** Nothing holds an object that is being deleted any more. */
export function isFinished(object: KubeObject): boolean {
  const { metadata } = object;
  return (
    metadata.deletionTimestamp !== undefined &&
    (metadata.finalizers ?? []).length === 0 &&
    (metadata.deletionGracePeriodSeconds ?? 0) === 0 &&
    !(
      object.kind === 'Namespace' &&
      object.apiVersion === 'v1' &&
      listAt(object['spec'], 'finalizers').length > 0
    )
  );
}
