// Tables of custom kinds: the columns their definition asks for, found by JSON path; just an age without any.

import type { KindDefinition, PrinterColumn } from '../kinds.ts';
import type { KubeObject } from '../object.ts';
import { formatAge } from './age.ts';
import { AGE, type Cell, type Column, NAME } from './columns.ts';
import { findAll, type JsonPath, parseJsonPath } from './json-path.ts';

export function customColumns(kind: KindDefinition): readonly Column[] {
  if (kind.printerColumns === undefined || kind.printerColumns.length === 0) return [NAME, AGE];
  return [NAME, ...kind.printerColumns.map(customColumn)];
}

function customColumn(column: PrinterColumn): Column {
  const path = pathOf(column.jsonPath);
  return {
    name: column.name,
    type: column.type,
    ...(column.format === undefined ? {} : { format: column.format }),
    ...(column.description === undefined ? {} : { description: column.description }),
    wide: (column.priority ?? 0) > 0,
    cell: (object: KubeObject, now) => {
      const [value] = path === undefined ? [] : findAll(object, path);
      return cellOf(value, column.type, now);
    },
  };
}

/** A path that cannot be read shows nothing: it must not hide the objects. */
function pathOf(text: string): JsonPath | undefined {
  try {
    return parseJsonPath(text);
  } catch {
    return undefined;
  }
}

function cellOf(value: unknown, type: PrinterColumn['type'], now: number): Cell {
  if (value === undefined || value === null) return null;
  switch (type) {
    case 'integer':
      return typeof value === 'number' ? Math.trunc(value) : null;
    case 'number':
      return typeof value === 'number' ? value : null;
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    case 'date':
      return typeof value === 'string' ? formatAge(value, now) : null;
    case 'string':
      return typeof value === 'object' ? JSON.stringify(value) : String(value as string | number);
  }
}
