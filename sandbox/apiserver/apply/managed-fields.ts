// Who manages which fields: read from and written to metadata.managedFields.
// The write path calls trackUpdate for plain writes and applyConfiguration for server-side apply.

import { deepEqual } from '../equal.ts';
import { applyConflict, type FieldError } from '../errors.ts';
import { apiVersionOf, type KindDefinition } from '../kinds.ts';
import { isRecord, type JsonObject, type KubeObject, type ManagedFieldsEntry } from '../object.ts';
import { compare, fieldsOf } from './compare.ts';
import {
  difference,
  EMPTY,
  type FieldSet,
  formatFieldsV1,
  formatPaths,
  intersection,
  isEmpty,
  parseFieldsV1,
  union,
} from './field-set.ts';
import { mergeApplied, removeFields } from './merge.ts';

export type Writer = {
  readonly manager: string;
  readonly subresource?: string;
  /** RFC 3339, whole seconds. */
  readonly time: string;
};

type Managed = { readonly entry: ManagedFieldsEntry; readonly set: FieldSet };

/** Entries an object keeps; the oldest Update entries beyond it are merged into one. */
const MAX_UPDATE_ENTRIES = 10;

/** Metadata that belongs to the server: nobody manages it. */
const SERVER_METADATA = [
  'name',
  'namespace',
  'generateName',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'managedFields',
  'selfLink',
];

/** The managedFields of `object` after `writer` changed it from `old` by create, update or patch. */
export function trackUpdate(
  kind: KindDefinition,
  old: KubeObject | undefined,
  object: KubeObject,
  writer: Writer,
): ManagedFieldsEntry[] {
  const before = readManagers(object.metadata.managedFields ?? old?.metadata.managedFields);
  const changes = compare(
    old === undefined ? {} : manageable(old),
    manageable(object),
    kind.schema,
  );
  const taken = union(changes.added, changes.modified);
  if (isEmpty(taken) && isEmpty(changes.removed)) return before.map(({ entry }) => entry);
  const lost = union(changes.modified, changes.removed);
  const mine = identityOf(kind, writer, 'Update');
  const managers: Managed[] = [];
  let own: FieldSet = EMPTY;
  for (const managed of before) {
    if (sameManager(managed.entry, mine)) own = union(own, managed.set);
    else managers.push({ entry: managed.entry, set: difference(managed.set, lost) });
  }
  own = union(difference(own, changes.removed), taken);
  managers.push({ entry: { ...mine, time: writer.time }, set: own });
  return formatManagers(managers);
}

export type Applied = { readonly object: KubeObject; readonly managedFields: ManagedFieldsEntry[] };

/**
 * `config` applied to `live` (undefined: it does not exist yet) by `writer`.
 * @throws StatusError 409 naming the other managers, unless `force`
 */
export function applyConfiguration(
  kind: KindDefinition,
  live: KubeObject | undefined,
  config: KubeObject,
  options: { readonly writer: Writer; readonly force: boolean },
): Applied {
  const { writer, force } = options;
  const schema = kind.schema;
  const mine = identityOf(kind, writer, 'Apply');
  const wanted = fieldsOf(manageable(config), schema);
  const before = readManagers(live?.metadata.managedFields);
  const base: JsonObject = live === undefined ? {} : manageable(live);
  const merged = mergeApplied(base, manageable(config), schema);
  const changes = compare(base, merged, schema);
  const touched = union(changes.added, changes.modified);

  const previous = before.find(({ entry }) => sameManager(entry, mine));
  let others = before.filter(({ entry }) => !sameManager(entry, mine));
  const conflicts = others
    .map(({ entry, set }) => ({ entry, set: intersection(intersection(set, touched), wanted) }))
    .filter(({ set }) => !isEmpty(set));
  if (conflicts.length > 0) {
    if (!force) throw conflictError(conflicts);
    others = others.map(({ entry, set }) => ({
      entry,
      set: difference(set, intersection(touched, wanted)),
    }));
  }
  const kept = others.reduce((all, { set }) => union(all, set), wanted);
  const gone = previous === undefined ? EMPTY : difference(previous.set, kept);
  const pruned = removeFields(merged, schema, gone, kept);
  const result = isRecord(pruned) ? pruned : {};
  const unchanged =
    previous !== undefined &&
    deepEqual(formatFieldsV1(previous.set), formatFieldsV1(wanted)) &&
    deepEqual(result, base);
  const time = unchanged ? (previous.entry.time ?? writer.time) : writer.time;
  return {
    object: {
      ...result,
      apiVersion: config.apiVersion ?? '',
      kind: config.kind ?? '',
      metadata: {
        ...(live === undefined ? serverMetadata(config) : serverMetadata(live)),
        ...(isRecord(result['metadata']) ? result['metadata'] : {}),
      },
    },
    managedFields: formatManagers([...others, { entry: { ...mine, time }, set: wanted }]),
  };
}

function conflictError(conflicts: readonly Managed[]): Error {
  const causes: FieldError[] = conflicts.flatMap(({ entry, set }) =>
    formatPaths(set).map((field) => ({
      field,
      reason: 'FieldManagerConflict' as const,
      message: `conflict with ${describeManager(entry)}`,
    })),
  );
  const parts = conflicts.map(({ entry, set }) => {
    const paths = formatPaths(set);
    return paths.length === 1
      ? `conflict with ${describeManager(entry)}: ${paths[0]}`
      : `conflicts with ${describeManager(entry)}:\n${paths.map((path) => `- ${path}`).join('\n')}`;
  });
  const count = causes.length === 1 ? '1 conflict' : `${causes.length} conflicts`;
  return applyConflict(`Apply failed with ${count}: ${parts.join('\n')}`, causes);
}

function describeManager(entry: ManagedFieldsEntry): string {
  const name = JSON.stringify(entry.manager ?? '');
  const below = entry.subresource === undefined ? '' : ` with subresource "${entry.subresource}"`;
  return entry.operation === 'Update' ? `${name}${below} using ${entry.apiVersion}` : name + below;
}

function identityOf(
  kind: KindDefinition,
  writer: Writer,
  operation: 'Apply' | 'Update',
): ManagedFieldsEntry {
  return {
    manager: writer.manager,
    operation,
    apiVersion: apiVersionOf(kind),
    ...(writer.subresource === undefined ? {} : { subresource: writer.subresource }),
  };
}

function sameManager(a: ManagedFieldsEntry, b: ManagedFieldsEntry): boolean {
  return (
    a.manager === b.manager &&
    a.operation === b.operation &&
    (a.subresource ?? '') === (b.subresource ?? '') &&
    // one applier may move to another version of the API and still own its fields
    (a.operation === 'Apply' || a.apiVersion === b.apiVersion)
  );
}

function readManagers(entries: readonly ManagedFieldsEntry[] | undefined): Managed[] {
  return (entries ?? [])
    .filter((entry) => isRecord(entry) && entry.operation !== undefined)
    .map((entry) => ({ entry, set: parseFieldsV1(entry.fieldsV1) }));
}

function formatManagers(managers: readonly Managed[]): ManagedFieldsEntry[] {
  const alive = managers.filter(({ set }) => !isEmpty(set));
  const applies = alive.filter(({ entry }) => entry.operation === 'Apply');
  const updates = alive
    .filter(({ entry }) => entry.operation !== 'Apply')
    .sort((a, b) => ((a.entry.time ?? '') < (b.entry.time ?? '') ? -1 : 1));
  while (updates.length > MAX_UPDATE_ENTRIES) {
    const [first, second] = updates.splice(0, 2);
    if (first === undefined || second === undefined) break;
    const entry = { ...second.entry, manager: 'ancient-changes' };
    updates.unshift({ entry, set: union(first.set, second.set) });
  }
  return [...applies, ...updates].map(({ entry, set }) => ({
    ...entry,
    fieldsType: 'FieldsV1',
    fieldsV1: formatFieldsV1(set),
  }));
}

/** The object without what the server owns. */
function manageable(object: KubeObject): JsonObject {
  const { apiVersion: _apiVersion, kind: _kind, metadata, ...rest } = object;
  const own = Object.fromEntries(
    Object.entries(metadata).filter(
      ([key, value]) => !SERVER_METADATA.includes(key) && value !== undefined,
    ),
  );
  return Object.keys(own).length === 0 ? rest : { ...rest, metadata: own };
}

function serverMetadata(object: KubeObject): JsonObject {
  return Object.fromEntries(
    Object.entries(object.metadata).filter(
      ([key, value]) => SERVER_METADATA.includes(key) && value !== undefined,
    ),
  );
}
