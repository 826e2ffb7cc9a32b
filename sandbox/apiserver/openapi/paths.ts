// The paths of one group version: which operations a kind has, with the query parameters kubectl looks for
// (`fieldValidation` and `dryRun` on PATCH tell it that the server validates). Shared by both OpenAPI versions.

import type { KindDefinition } from '../kinds.ts';
import type { JsonObject } from '../object.ts';
import type { Dialect } from './definitions.ts';

const PATCH_TYPES = [
  'application/apply-patch+yaml',
  'application/json-patch+json',
  'application/merge-patch+json',
];
/** Only for built-in kinds; kubectl looks here to choose the kind of patch it sends. */
const STRATEGIC_PATCH = 'application/strategic-merge-patch+json';
const JSON_TYPE = 'application/json';

type Parameter = { readonly name: string; readonly type: 'string' | 'boolean' | 'integer' };
const text = (name: string): Parameter => ({ name, type: 'string' });
const PRETTY = text('pretty');
const WRITE = [PRETTY, text('dryRun'), text('fieldManager'), text('fieldValidation')];
const LIST: readonly Parameter[] = [
  PRETTY,
  { name: 'allowWatchBookmarks', type: 'boolean' },
  text('continue'),
  text('fieldSelector'),
  text('labelSelector'),
  { name: 'limit', type: 'integer' },
  text('resourceVersion'),
  text('resourceVersionMatch'),
  { name: 'timeoutSeconds', type: 'integer' },
  { name: 'watch', type: 'boolean' },
];

type Operation = {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  readonly action: string;
  readonly query: readonly Parameter[];
};
const COLLECTION: readonly Operation[] = [
  { method: 'get', action: 'list', query: LIST },
  { method: 'post', action: 'post', query: WRITE },
  { method: 'delete', action: 'deletecollection', query: LIST },
];
const ITEM: readonly Operation[] = [
  { method: 'get', action: 'get', query: [PRETTY] },
  { method: 'put', action: 'put', query: WRITE },
  { method: 'patch', action: 'patch', query: [...WRITE, { name: 'force', type: 'boolean' }] },
  { method: 'delete', action: 'delete', query: [PRETTY, text('dryRun')] },
];

export type Gvk = { readonly group: string; readonly version: string; readonly kind: string };

export function gvkOf({ group, version, kind }: Gvk): Gvk {
  return { group, version, kind };
}

/** `api/v1` or `apis/apps/v1`. */
export function groupVersionPath(kind: {
  readonly group: string;
  readonly version: string;
}): string {
  return kind.group === '' ? `api/${kind.version}` : `apis/${kind.group}/${kind.version}`;
}

export type References = { readonly item: JsonObject; readonly list: JsonObject };

export function pathsOf(
  kind: KindDefinition,
  references: References,
  dialect: Dialect,
): [string, JsonObject][] {
  const root = `/${groupVersionPath(kind)}`;
  const scope = kind.namespaced ? `${root}/namespaces/{namespace}` : root;
  const collection = `${scope}/${kind.plural}`;
  const create = COLLECTION.filter(({ action }) => action === 'post');
  const list = COLLECTION.filter(({ action }) => action === 'list');
  const render = (operations: readonly Operation[], path: string): [string, JsonObject] => [
    path,
    {
      ...Object.fromEntries(
        operations.map((operation) => [
          operation.method,
          operationObject(operation, kind, references, dialect),
        ]),
      ),
      parameters: pathParameters(path, dialect),
    },
  ];
  if (kind.virtual === true) return [render(create, collection)];
  return [
    render(COLLECTION, collection),
    ...(kind.namespaced ? [render(list, `${root}/${kind.plural}`)] : []),
    render(ITEM, `${collection}/{name}`),
    ...kind.subresources
      .filter(({ name }) => name === 'status')
      .map(({ name }) =>
        render(
          ITEM.filter(({ method }) => method !== 'delete'),
          `${collection}/{name}/${name}`,
        ),
      ),
  ];
}

function operationObject(
  { method, action, query }: Operation,
  kind: KindDefinition,
  references: References,
  dialect: Dialect,
): JsonObject {
  const schema = action === 'list' ? references.list : references.item;
  const sends = ['post', 'put', 'patch'].includes(method);
  const patchTypes = kind.custom === true ? PATCH_TYPES : [...PATCH_TYPES, STRATEGIC_PATCH];
  const types = method === 'patch' ? patchTypes : [JSON_TYPE];
  const sent = method === 'patch' ? { type: 'object' } : references.item;
  const body = sends ? bodyOf(types, sent, dialect) : {};
  const answer =
    dialect === 'v3'
      ? { description: 'OK', content: { [JSON_TYPE]: { schema } } }
      : { description: 'OK', schema };
  const { parameters, ...rest } = body as { parameters?: JsonObject[] };
  return {
    tags: [`${kind.group === '' ? 'core' : kind.group}_${kind.version}`],
    description: `${action} ${kind.kind}`,
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvkOf(kind),
    parameters: [
      ...(parameters ?? []),
      ...query.map((parameter) => queryParameter(parameter, dialect)),
    ],
    ...rest,
    responses: { 200: answer },
  };
}

function bodyOf(types: readonly string[], schema: JsonObject, dialect: Dialect): JsonObject {
  if (dialect === 'v2') {
    return { consumes: types, parameters: [{ name: 'body', in: 'body', required: true, schema }] };
  }
  return {
    requestBody: {
      required: true,
      content: Object.fromEntries(types.map((type) => [type, { schema }])),
    },
  };
}

function queryParameter({ name, type }: Parameter, dialect: Dialect): JsonObject {
  return { name, in: 'query', ...typed(type, dialect) };
}

function pathParameters(path: string, dialect: Dialect): JsonObject[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    ...typed('string', dialect),
  }));
}

function typed(type: Parameter['type'], dialect: Dialect): JsonObject {
  return dialect === 'v3' ? { schema: { type } } : { type };
}
