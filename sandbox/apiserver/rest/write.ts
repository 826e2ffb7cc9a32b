// POST, PUT, PATCH and DELETE of stored objects: from the HTTP request to write/, and the answer back.

import { asVersion, type Cluster, readObject } from '../cluster.ts';
import { badRequest, notFound } from '../errors.ts';
import type { KindDefinition } from '../kinds.ts';
import { isRecord, type JsonObject, type KubeObject } from '../object.ts';
import { bucketOf } from '../registry.ts';
import { createFromBody } from '../write/create.ts';
import { deleteObject, parseDeleteOptions } from '../write/delete.ts';
import { APPLY_PATCH, patchObject, patchValue } from '../write/patch.ts';
import { decodeObject } from '../write/prepare.ts';
import type { FieldValidation, WriteRequest } from '../write/request.ts';
import { scaleOf, updateScale } from '../write/scale.ts';
import { updateObject } from '../write/update.ts';
import { chooseForm, type Form } from './accept.ts';
import { decodeBody, mediaTypeOf, parseJson, parseYamlBody, readBody } from './body.ts';
import { type Exchange, send, sendList, sendObject } from './exchange.ts';
import { listObjects, selectionOf } from './read.ts';

export type Target = {
  readonly kind: KindDefinition;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly subresource: string | undefined;
};

/** The longest name of a field manager. */
const MAX_MANAGER_LENGTH = 128;

export function writeRequestOf(
  exchange: Exchange,
  target: Target,
  options?: JsonObject,
): WriteRequest {
  const query = exchange.url.searchParams;
  const dryRun = query.getAll('dryRun').concat(listOf(options?.['dryRun']));
  if (dryRun.some((value) => value !== 'All' && value !== '')) {
    throw badRequest(
      `dryRun: Unsupported value: ${JSON.stringify(dryRun)}: supported values: "All"`,
    );
  }
  const validation = query.get('fieldValidation') ?? '';
  if (!['', 'Ignore', 'Warn', 'Strict'].includes(validation)) {
    throw badRequest(
      `fieldValidation: Unsupported value: "${validation}": supported values: "Ignore", "Warn", "Strict"`,
    );
  }
  const asked = query.get('fieldManager');
  if (asked !== null && (asked.length > MAX_MANAGER_LENGTH || /[^\x20-\x7e]/.test(asked))) {
    throw badRequest(`fieldManager must be at most ${MAX_MANAGER_LENGTH} printable characters`);
  }
  const agent = (exchange.request.headers['user-agent'] ?? '').split('/')[0] ?? '';
  return {
    kind: target.kind,
    namespace: target.namespace,
    user: exchange.user,
    ...(target.subresource === undefined ? {} : { subresource: target.subresource }),
    dryRun: dryRun.includes('All'),
    fieldValidation: (validation === '' ? 'Warn' : validation) as FieldValidation,
    fieldManager: asked ?? (agent === '' ? 'unknown' : agent.slice(0, MAX_MANAGER_LENGTH)),
    force: query.get('force') === 'true',
    warn: (message) => exchange.warnings.push(message),
  };
}

export async function serveCreate(
  cluster: Cluster,
  exchange: Exchange,
  target: Target,
): Promise<void> {
  const form = formOf(exchange, target.kind);
  const body = decodeBody(await readBody(exchange.request), mediaTypeOf(exchange.request));
  const object = createFromBody(cluster, body, writeRequestOf(exchange, target));
  sendObject(exchange, 201, object, target.kind, form);
}

export async function serveUpdate(
  cluster: Cluster,
  exchange: Exchange,
  target: Target,
): Promise<void> {
  const { kind, namespace, name, subresource } = target;
  const form = formOf(exchange, kind);
  const body = decodeBody(await readBody(exchange.request), mediaTypeOf(exchange.request));
  const request = writeRequestOf(exchange, target);
  const old = readObject(cluster, kind, name, namespace);
  if (old === undefined) throw notFound(kind, name);
  if (subresource === 'scale') {
    send(exchange, 200, updateScale(cluster, old, body, request));
    return;
  }
  sendObject(
    exchange,
    200,
    updateObject(cluster, old, decodeObject(body, request), request),
    kind,
    form,
  );
}

export async function servePatch(
  cluster: Cluster,
  exchange: Exchange,
  target: Target,
): Promise<void> {
  const { kind, namespace, name, subresource } = target;
  const form = formOf(exchange, kind);
  const type = mediaTypeOf(exchange.request);
  const bytes = await readBody(exchange.request);
  const patch = { type, body: type === APPLY_PATCH ? parseYamlBody(bytes) : parseJson(bytes) };
  const given = writeRequestOf(exchange, target);
  const manager = exchange.url.searchParams.get('fieldManager');
  const request = type === APPLY_PATCH && manager === null ? { ...given, fieldManager: '' } : given;
  if (subresource === 'scale') {
    const old = readObject(cluster, kind, name, namespace);
    if (old === undefined) throw notFound(kind, name);
    const scale = patchValue(scaleOf(kind, asVersion(old, kind)), patch, request);
    send(exchange, 200, updateScale(cluster, old, scale, request));
    return;
  }
  const { object, created } = patchObject(cluster, name, patch, request);
  sendObject(exchange, created ? 201 : 200, object, kind, form);
}

export async function serveDelete(
  cluster: Cluster,
  exchange: Exchange,
  target: Target,
): Promise<void> {
  const { kind, namespace, name } = target;
  const form = formOf(exchange, kind);
  const body = decodeBody(await readBody(exchange.request), mediaTypeOf(exchange.request));
  const options = parseDeleteOptions(body, exchange.url.searchParams);
  const request = writeRequestOf(exchange, target, isRecord(body) ? body : undefined);
  const old = readObject(cluster, kind, name, namespace);
  if (old === undefined) throw notFound(kind, name);
  const { object, gone } = deleteObject(cluster, old, options, request);
  if (gone && !returnsObject(kind)) send(exchange, 200, successStatus(kind, object));
  else sendObject(exchange, 200, asVersion(object, kind), kind, form);
}

export async function serveDeleteCollection(
  cluster: Cluster,
  exchange: Exchange,
  target: Target,
): Promise<void> {
  const { kind, namespace } = target;
  const form = formOf(exchange, kind);
  const body = decodeBody(await readBody(exchange.request), mediaTypeOf(exchange.request));
  const query = exchange.url.searchParams;
  const options = parseDeleteOptions(body, query);
  const request = writeRequestOf(exchange, target, isRecord(body) ? body : undefined);
  const page = listObjects(cluster, selectionOf(kind, namespace, query), query);
  for (const { metadata } of page.items) {
    const old = cluster.store.read(bucketOf(kind), metadata.namespace, metadata.name ?? '');
    if (old !== undefined) deleteObject(cluster, old, options, request);
  }
  sendList(exchange, page.items, kind, page.meta, form);
}

/** Pods, services and the like answer with the object itself even when it is gone at once. */
function returnsObject(kind: KindDefinition): boolean {
  return kind.group === '' && ['pods', 'services', 'serviceaccounts'].includes(kind.plural);
}

function successStatus(kind: KindDefinition, object: KubeObject): JsonObject {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: {
      name: object.metadata.name,
      ...(kind.group === '' ? {} : { group: kind.group }),
      kind: kind.plural,
      uid: object.metadata.uid,
    },
  };
}

export function formOf(exchange: Exchange, kind: KindDefinition): Form {
  return chooseForm(
    exchange.request.headers.accept,
    (form) =>
      form.as !== 'APIGroupDiscoveryList' &&
      (form.encoding !== 'protobuf' || (form.as === 'object' && speaksProtobuf(kind))),
  );
}

export function speaksProtobuf(kind: KindDefinition): boolean {
  return kind.group === '' && (kind.plural === 'secrets' || kind.plural === 'configmaps');
}

function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
