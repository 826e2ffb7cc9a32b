// One value on stdout in the form that was asked for: a table for people, JSON or YAML for programs.

import { stringify } from 'yaml';
import { renderTable } from './table.ts';

export type OutputFormat = 'text' | 'json' | 'yaml';

/** `table` is only made when it is wanted; an empty one prints its header alone. */
export function printRows(
  rows: readonly unknown[],
  format: OutputFormat,
  table: () => { header: readonly string[]; cells: readonly (readonly string[])[] },
): void {
  if (format === 'text') {
    const { header, cells } = table();
    process.stdout.write(`${renderTable(header, cells)}\n`);
  } else process.stdout.write(renderValue(rows, format));
}

export function renderValue(value: unknown, format: 'json' | 'yaml'): string {
  if (format === 'json') return `${JSON.stringify(value, null, 2)}\n`;
  // through JSON first: fields that are undefined are none
  return stringify(JSON.parse(JSON.stringify(value)));
}
