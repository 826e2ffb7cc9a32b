// The steps every written object passes: decode against the schema, defaults, admission, validation.
// create, update and patch call them in this order; each works on the caller's private copy.

import { RULES_NOT_CHECKED, validateRules } from '../cel/evaluate.ts';
import type { Cluster } from '../cluster.ts';
import { deepEqual } from '../equal.ts';
import { badRequest, type FieldError, invalid } from '../errors.ts';
import { apiVersionOf, hasSubresource, type KindDefinition } from '../kinds.ts';
import { isRecord, type JsonObject, type KubeObject } from '../object.ts';
import { strategyOf } from '../strategy/table.ts';
import { validateMetadata, validateMetadataChange } from '../validate/metadata.ts';
import { typeErrors, validateSchema } from '../validate/schema.ts';
import { dropNulls, fillDefaults, pruneUnknown } from '../validate/structure.ts';
import type { WriteRequest } from './request.ts';

/** `body` as an object of the request's kind: apiVersion and kind checked, unknown fields dropped or refused. */
export function decodeObject(body: unknown, request: WriteRequest): KubeObject {
  const { kind } = request;
  if (!isRecord(body)) throw badRequest(`the body must be a ${kind.kind} object`);
  const object: JsonObject = structuredClone(body);
  const apiVersion = apiVersionOf(kind);
  object['apiVersion'] ??= apiVersion;
  object['kind'] ??= kind.kind;
  if (object['apiVersion'] !== apiVersion || object['kind'] !== kind.kind) {
    throw badRequest(
      `the API version in the data (${String(object['apiVersion'])}, Kind=${String(object['kind'])}) does not match the expected API version (${apiVersion}, Kind=${kind.kind})`,
    );
  }
  object['metadata'] ??= {};
  if (!isRecord(object['metadata'])) throw badRequest('metadata must be an object');
  const unknown = kind.schema === undefined ? [] : pruneUnknown(object, kind.schema);
  if (unknown.length > 0 && request.fieldValidation === 'Strict') {
    const list = unknown.map((field) => `unknown field "${field}"`).join(', ');
    throw badRequest(
      `${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: strict decoding error: ${list}`,
    );
  }
  if (request.fieldValidation === 'Warn') {
    for (const field of unknown) request.warn(`unknown field "${field}"`);
  }
  if (kind.schema !== undefined) refuseWrongTypes(object, kind);
  return object as KubeObject;
}

/** A typed decoder refuses wrong types of built-in kinds before anything else; custom kinds are answered as invalid. */
function refuseWrongTypes(object: JsonObject, kind: KindDefinition): void {
  if (kind.schema === undefined) return;
  if (kind.custom === true) {
    const { metadata } = object;
    const errors = typeErrors({ metadata }, kind.schema);
    if (errors[0] === undefined) return;
    throw badRequest(
      `${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: ${errors[0].field}: ${errors[0].message}`,
    );
  }
  dropNulls(object, kind.schema);
  const first = typeErrors(object, kind.schema)[0];
  if (first !== undefined) {
    throw badRequest(
      `${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: ${first.field}: ${first.message}`,
    );
  }
}

/** Defaults, admission and validation; throws Invalid or what admission refuses with. */
export function completeObject(
  cluster: Cluster,
  object: KubeObject,
  old: KubeObject | undefined,
  request: WriteRequest,
): void {
  const { kind, user, warn } = request;
  const strategy = strategyOf(kind);
  if (kind.schema !== undefined) fillDefaults(object, kind.schema);
  if (request.subresource === undefined) {
    strategy.defaults?.(object, old);
    strategy.admit?.(object, old, { cluster, kind, user, warn });
  }
  const wrong = kind.schema === undefined ? [] : validateSchema(object, kind.schema);
  const errors = [
    ...validateMetadata(kind, object),
    ...(old === undefined ? [] : validateMetadataChange(object, old)),
    ...wrong,
    ...brokenRules(cluster, kind, object, old, wrong.length === 0),
    ...(request.subresource === undefined ? (strategy.validate?.(object, old) ?? []) : []),
  ];
  if (errors.length > 0) throw invalid(kind, object.metadata.name ?? '', errors);
}

function brokenRules(
  { clock }: Cluster,
  { rules }: KindDefinition,
  object: KubeObject,
  old: KubeObject | undefined,
  schemaHolds: boolean,
): FieldError[] {
  if (rules === undefined) return [];
  if (!schemaHolds) return [RULES_NOT_CHECKED];
  return validateRules(rules, object, old, () => clock.monotonic());
}

/** Groups whose built-in kinds count changes of their desired state. */
const COUNTED_GROUPS = [
  'apps',
  'batch',
  'policy',
  'networking.k8s.io',
  'apiextensions.k8s.io',
  'admissionregistration.k8s.io',
  'discovery.k8s.io',
];

export function countsGenerations(kind: KindDefinition): boolean {
  return kind.custom === true || COUNTED_GROUPS.includes(kind.group);
}

/** Whether the desired state differs: all but metadata, and but status where status is a subresource. */
export function desiredStateChanged(
  kind: KindDefinition,
  object: KubeObject,
  old: KubeObject,
): boolean {
  const hasStatus = hasSubresource(kind, 'status');
  const keys = new Set([...Object.keys(object), ...Object.keys(old)]);
  for (const key of keys) {
    if (key === 'metadata' || key === 'apiVersion' || key === 'kind') continue;
    if (key === 'status' && hasStatus) continue;
    if (!deepEqual(object[key], old[key])) return true;
  }
  return false;
}
