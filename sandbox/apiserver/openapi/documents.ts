// The OpenAPI documents of the API server: version 3, one a group version with a root that lists them, and version 2,
// one for everything. Made anew from the kinds served now; called by rest/ for /openapi/v3 and /openapi/v2.

import { createHash } from 'node:crypto';
import { apiVersionOf, type KindDefinition } from '../kinds.ts';
import type { JsonObject } from '../object.ts';
import type { Schema } from '../schema.ts';
import { Definitions, type Dialect, withStandardFields } from './definitions.ts';
import { groupVersionPath, gvkOf, pathsOf } from './paths.ts';
import { withWords } from './words/words.ts';

const INFO = { title: 'Kubernetes', version: 'v1' };
const OPEN: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

/** `/openapi/v3`: where each group version's document is; the hash changes when the document does. */
export function openApiV3Root(kinds: readonly KindDefinition[]): JsonObject {
  const versions = new Map(kinds.map((kind) => [groupVersionPath(kind), apiVersionOf(kind)]));
  const paths = [...versions].map(([path, apiVersion]) => {
    const document = JSON.stringify(openApiV3Group(kinds, apiVersion));
    const hash = createHash('sha256').update(document).digest('hex').toUpperCase();
    return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }];
  });
  return { paths: Object.fromEntries(paths) };
}

/** @param apiVersion `v1` or `apps/v1`; undefined when no such group version is served */
export function openApiV3Group(
  kinds: readonly KindDefinition[],
  apiVersion: string,
): JsonObject | undefined {
  const members = kinds.filter((kind) => apiVersionOf(kind) === apiVersion);
  if (members.length === 0) return undefined;
  const { paths, definitions } = describeKinds(members, 'v3');
  return { openapi: '3.0.0', info: INFO, paths, components: { schemas: definitions } };
}

export function openApiV2(kinds: readonly KindDefinition[]): JsonObject {
  const { paths, definitions } = describeKinds(kinds, 'v2');
  return { swagger: '2.0', info: INFO, paths, definitions };
}

function describeKinds(
  kinds: readonly KindDefinition[],
  dialect: Dialect,
): { readonly paths: JsonObject; readonly definitions: JsonObject } {
  const definitions = new Definitions({ dialect });
  const paths = kinds.flatMap((kind) => {
    const name = definitionName(kind);
    const schema = kind.schema ?? OPEN;
    const item = definitions.define(
      name,
      kind.custom === true
        ? withStandardFields(schema)
        : withWords(schema, name.replace('io.k8s.api.', '')),
      { 'x-kubernetes-group-version-kind': [gvkOf(kind)] },
    );
    const list = definitions.defineList(`${name}List`, name, {
      'x-kubernetes-group-version-kind': [gvkOf({ ...kind, kind: kind.listKind })],
    });
    return pathsOf(kind, { item, list }, dialect);
  });
  return { paths: Object.fromEntries(paths), definitions: definitions.all() };
}

/** `io.k8s.api.apps.v1.Deployment`, or for custom kinds the group's name backwards. */
function definitionName({ group, version, kind, custom }: KindDefinition): string {
  if (custom === true) return [...group.split('.').reverse(), version, kind].join('.');
  return `io.k8s.api.${group === '' ? 'core' : group.split('.')[0]}.${version}.${kind}`;
}
