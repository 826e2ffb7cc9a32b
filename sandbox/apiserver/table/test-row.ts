// One object as the row that kubectl shows, by column. Used by tests of tables.

import assert from 'node:assert/strict';
import { BUILT_IN_KINDS } from '../built-in-kinds.ts';
import type { KindDefinition } from '../kinds.ts';
import type { JsonObject, KubeObject } from '../object.ts';
import { toTable } from './table.ts';

export const NOW = Date.parse('2026-03-01T12:00:00Z');
export const created = '2026-03-01T11:55:00Z';

export function kindOf(name: string): KindDefinition {
  const kind = BUILT_IN_KINDS.find((candidate) => candidate.kind === name);
  assert.ok(kind, name);
  return kind;
}

/** The row of one object as `Name: cell`, wide columns included. */
export function row(kind: KindDefinition | string, fields: JsonObject): Record<string, unknown> {
  const definition = typeof kind === 'string' ? kindOf(kind) : kind;
  const { metadata = {}, ...rest } = fields;
  const object = {
    metadata: { name: 'it', creationTimestamp: created, ...(metadata as object) },
    ...rest,
  } as KubeObject;
  const table = toTable(definition, [object], {}, NOW, 'Metadata') as {
    columnDefinitions: { name: string }[];
    rows: { cells: unknown[] }[];
  };
  return Object.fromEntries(
    table.columnDefinitions.map(({ name }, index) => [name, table.rows[0]?.cells[index]]),
  );
}

export const running = { name: 'a', ready: true, restartCount: 0, state: { running: {} } };
export const ended = (exitCode: number, more: object = {}): object => ({
  terminated: { exitCode, ...more },
});
