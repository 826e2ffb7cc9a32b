// What a kind's table is made of, and short builders for it. The tables are in kinds/.

import {
  isRecord,
  type JsonObject,
  type KubeObject,
  listAt,
  recordAt,
  stringAt,
} from '../object.ts';
import { formatAge } from './age.ts';

export type Cell = string | number | boolean | null;

export type Column = {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  readonly format?: string;
  readonly description?: string;
  /** Only shown with `-o wide`. */
  readonly wide?: boolean;
  readonly cell: (object: KubeObject, now: number) => Cell;
};

type CellOf = Column['cell'];

export const text = (name: string, cell: CellOf): Column => ({ name, type: 'string', cell });
export const count = (name: string, cell: CellOf): Column => ({ name, type: 'integer', cell });
export const wide = (name: string, cell: CellOf): Column => ({ ...text(name, cell), wide: true });

export const NAME: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name of the object.',
  cell: ({ metadata }) => metadata.name ?? '',
};
export const AGE: Column = {
  name: 'Age',
  type: 'string',
  description: 'Time since it was created.',
  cell: ({ metadata }, now) => formatAge(metadata.creationTimestamp, now),
};
export const CREATED_AT: Column = {
  name: 'Created At',
  type: 'date',
  description: 'When it was created.',
  cell: ({ metadata }) => metadata.creationTimestamp ?? '<unknown>',
};

export const NONE = '<none>';

export const spec = (object: KubeObject): JsonObject => recordAt(object, 'spec');
export const status = (object: KubeObject): JsonObject => recordAt(object, 'status');

export function numberAt(value: unknown, key: string, fallback = 0): number {
  const member = isRecord(value) ? value[key] : undefined;
  return typeof member === 'number' ? member : fallback;
}

/** The members of a list that are objects. */
export function recordsAt(value: unknown, key: string): JsonObject[] {
  return listAt(value, key).filter(isRecord);
}

export function orNone(value: string | undefined): string {
  return value === undefined || value === '' ? NONE : value;
}

export function joined(values: readonly string[]): string {
  return orNone(values.join(','));
}

/** At most `limit` of `values`, and how many more there are. */
export function firstOf(values: readonly string[], limit: number): string {
  if (values.length <= limit) return joined(values);
  return `${values.slice(0, limit).join(',')} + ${values.length - limit} more...`;
}

/** A label selector in its short form: `app=web,tier in (a,b)`. */
export function formatSelector(selector: unknown): string {
  const labels = Object.entries(recordAt(selector, 'matchLabels')).map(
    ([key, value]) => `${key}=${String(value)}`,
  );
  const expressions = recordsAt(selector, 'matchExpressions').map((expression) => {
    const key = stringAt(expression, 'key') ?? '';
    const values = listAt(expression, 'values').map(String).sort().join(',');
    switch (expression['operator']) {
      case 'In':
        return `${key} in (${values})`;
      case 'NotIn':
        return `${key} notin (${values})`;
      case 'DoesNotExist':
        return `!${key}`;
      default:
        return key;
    }
  });
  return joined([...labels, ...expressions].sort());
}

/** Columns about a pod template: names and images of its containers. */
export function templateColumns(): readonly Column[] {
  const containers = (object: KubeObject): JsonObject[] =>
    recordsAt(recordAt(recordAt(spec(object), 'template'), 'spec'), 'containers');
  return [
    wide('Containers', (object) =>
      joined(containers(object).map((c) => stringAt(c, 'name') ?? '')),
    ),
    wide('Images', (object) => joined(containers(object).map((c) => stringAt(c, 'image') ?? ''))),
  ];
}

export const SELECTOR: Column = wide('Selector', (object) =>
  formatSelector(spec(object)['selector']),
);
