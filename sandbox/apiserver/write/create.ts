// POST of an object, and the creating half of server-side apply.

import { randomInt, randomUUID } from 'node:crypto';
import { trackUpdate } from '../apply/managed-fields.ts';
import {
  asStored,
  asVersion,
  type Cluster,
  namespacePhase,
  readObject,
  timestamp,
} from '../cluster.ts';
import { alreadyExists, badRequest, forbidden, notFound, StatusError } from '../errors.ts';
import { hasSubresource, type KindDefinition } from '../kinds.ts';
import type { KubeObject, ManagedFieldsEntry } from '../object.ts';
import { bucketOf } from '../registry.ts';
import { completeObject, countsGenerations, decodeObject } from './prepare.ts';
import type { WriteRequest } from './request.ts';

/** Letters a generated suffix is made of: no vowels, so that no words come out. */
const SUFFIX_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;
/** A generated name is cut so that the suffix fits a DNS label. */
const MAX_GENERATED_BASE = 63 - SUFFIX_LENGTH;
/** Tries to find a free generated name; 27^5 suffixes make a second try rare already. */
const MAX_NAME_TRIES = 8;

export function createFromBody(cluster: Cluster, body: unknown, request: WriteRequest): KubeObject {
  const object = decodeObject(body, request);
  return createObject(cluster, object, request);
}

/** Stores `object`, a private copy. `managedFields` are given by apply; else the writer is recorded. */
export function createObject(
  cluster: Cluster,
  object: KubeObject,
  request: WriteRequest,
  managedFields?: ManagedFieldsEntry[],
): KubeObject {
  const { kind } = request;
  placeInNamespace(cluster, object, request);
  refuseWhileTerminating(cluster, kind);
  if (object.metadata.resourceVersion !== undefined && object.metadata.resourceVersion !== '') {
    throw badRequest('resourceVersion should not be set on objects to be created');
  }
  startMetadata(cluster, object, kind);
  if (hasSubresource(kind, 'status') && !keepsStatusAtCreation(kind)) delete object['status'];
  chooseName(cluster, object, kind);
  completeObject(cluster, object, undefined, request);
  const name = object.metadata.name ?? '';
  if (readObject(cluster, kind, name, object.metadata.namespace) !== undefined) {
    throw alreadyExists(kind, name);
  }
  const writer = { manager: request.fieldManager, time: timestamp(cluster.clock.now()) };
  object.metadata.managedFields = managedFields ?? trackUpdate(kind, undefined, object, writer);
  if (request.dryRun) return object;
  return asVersion(cluster.store.create(bucketOf(kind), asStored(object, kind)), kind);
}

function placeInNamespace(cluster: Cluster, object: KubeObject, request: WriteRequest): void {
  const { kind, namespace } = request;
  if (!kind.namespaced) {
    delete object.metadata.namespace;
    return;
  }
  const given = object.metadata.namespace;
  if (given !== undefined && given !== '' && given !== namespace) {
    throw badRequest(
      `the namespace of the provided object does not match the namespace sent on the request`,
    );
  }
  if (namespace === undefined) {
    throw badRequest('an empty namespace may not be set during creation');
  }
  object.metadata.namespace = namespace;
  const phase = namespacePhase(cluster, namespace);
  if (phase === undefined) {
    throw notFound({ group: '', plural: 'namespaces' }, namespace);
  }
  if (phase === 'Terminating') {
    throw forbidden(
      kind,
      object.metadata.name ?? '',
      `unable to create new content in namespace ${namespace} because it is being terminated`,
    );
  }
}

/** A kind that is being deleted gets no new objects. */
function refuseWhileTerminating(cluster: Cluster, kind: KindDefinition): void {
  if (kind.custom !== true) return;
  const definitions = { group: 'apiextensions.k8s.io', plural: 'customresourcedefinitions' };
  const definition = readObject(cluster, definitions, `${kind.plural}.${kind.group}`);
  if (definition?.metadata.deletionTimestamp === undefined) return;
  throw new StatusError(
    405,
    'MethodNotAllowed',
    'create not allowed while custom resource definition is terminating',
  );
}

function startMetadata(cluster: Cluster, object: KubeObject, kind: KindDefinition): void {
  const { metadata } = object;
  delete metadata.deletionTimestamp;
  delete metadata.deletionGracePeriodSeconds;
  delete metadata.selfLink;
  delete metadata.resourceVersion;
  delete metadata.managedFields;
  delete metadata.generation;
  metadata.uid = randomUUID();
  metadata.creationTimestamp = timestamp(cluster.clock.now());
  if (countsGenerations(kind)) metadata.generation = 1;
}

/** Nodes register with their status; kinds without a controller of their own would lose it. */
function keepsStatusAtCreation(kind: KindDefinition): boolean {
  return kind.group === '' && kind.kind === 'Node';
}

function chooseName(cluster: Cluster, object: KubeObject, kind: KindDefinition): void {
  const { metadata } = object;
  if (metadata.name !== undefined && metadata.name !== '') return;
  const prefix = metadata.generateName;
  if (prefix === undefined || prefix === '') return;
  for (let tries = 0; tries < MAX_NAME_TRIES; tries += 1) {
    metadata.name = prefix.slice(0, MAX_GENERATED_BASE) + suffix();
    if (readObject(cluster, kind, metadata.name, metadata.namespace) === undefined) return;
  }
  throw new StatusError(
    409,
    'AlreadyExists',
    `No free name starting with "${prefix}" after ${MAX_NAME_TRIES} tries: try again`,
  );
}

function suffix(): string {
  let text = '';
  for (let length = 0; length < SUFFIX_LENGTH; length += 1) {
    text += SUFFIX_LETTERS.charAt(randomInt(SUFFIX_LETTERS.length));
  }
  return text;
}
