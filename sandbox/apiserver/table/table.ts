// Objects as a meta.k8s.io Table: what `kubectl get` shows. Called by rest/ when a client asks for `as=Table`.

import type { KindDefinition } from '../kinds.ts';
import type { JsonObject, KubeObject, ListMeta } from '../object.ts';
import { AGE, type Column, NAME } from './columns.ts';
import { customColumns } from './custom.ts';
import { CORE_TABLES } from './kinds/core.ts';
import { GROUP_TABLES } from './kinds/groups.ts';
import { POD_COLUMNS, POD_TEMPLATE_COLUMNS } from './kinds/pods.ts';
import { WORKLOAD_TABLES } from './kinds/workloads.ts';

/** By `Kind` for the core group, by `Kind.group` for others. */
const TABLES: Readonly<Record<string, readonly Column[]>> = {
  Pod: POD_COLUMNS,
  PodTemplate: POD_TEMPLATE_COLUMNS,
  ...CORE_TABLES,
  ...WORKLOAD_TABLES,
  ...GROUP_TABLES,
};
const DEFAULT_TABLE: readonly Column[] = [NAME, AGE];

/** How much of each object goes along with its row. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

export function toTable(
  kind: KindDefinition,
  objects: readonly KubeObject[],
  listMeta: ListMeta,
  now: number,
  include: IncludeObject,
): JsonObject {
  const columns = columnsOf(kind);
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: listMeta,
    columnDefinitions: columns.map(({ name, type, format = '', description = name, wide }) => ({
      name,
      type,
      format,
      description,
      priority: wide === true ? 1 : 0,
    })),
    rows: objects.map((object) => ({
      cells: columns.map(({ cell }) => cell(object, now)),
      ...shown(object, include),
    })),
  };
}

function columnsOf(kind: KindDefinition): readonly Column[] {
  if (kind.custom === true) return customColumns(kind);
  return TABLES[kind.group === '' ? kind.kind : `${kind.kind}.${kind.group}`] ?? DEFAULT_TABLE;
}

function shown(object: KubeObject, include: IncludeObject): JsonObject {
  switch (include) {
    case 'None':
      return {};
    case 'Object':
      return { object };
    case 'Metadata':
      return {
        object: {
          kind: 'PartialObjectMetadata',
          apiVersion: 'meta.k8s.io/v1',
          metadata: object.metadata,
        },
      };
  }
}
