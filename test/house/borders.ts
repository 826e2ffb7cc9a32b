// The borders between folders and the importers of each package, checked against the code. `npm run check` runs it.
// The tables below are the rule; ARCHITECTURE.md shows the same package table to people, and this file compares them.

import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { sourceFiles } from './files.ts';

/** Which top-level folders a folder may import besides itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  mesh: [],
  wire: ['mesh'],
  runtime: ['mesh', 'wire'],
  tunnel: ['mesh', 'wire', 'runtime'],
  'node-agent': ['mesh', 'wire', 'runtime', 'tunnel'],
  waypoint: ['mesh', 'wire', 'runtime', 'tunnel'],
  ca: ['mesh', 'wire', 'runtime'],
  'control-plane': ['mesh', 'wire', 'runtime'],
  cli: ['mesh', 'wire', 'runtime'],
  sandbox: ['mesh', 'wire', 'runtime', 'tunnel', 'node-agent', 'ca', 'control-plane'],
  test: ['*'],
  bench: ['*'],
};

/** Node's own modules a folder may use; absent means any. */
const NODE_MODULES: Readonly<Record<string, readonly string[]>> = {
  mesh: [],
  wire: ['node:buffer'],
};

/** Path prefixes that may import a package. Every package of ours has a row; tests may import what they test with. */
export const PACKAGE_IMPORTERS: Readonly<Record<string, readonly string[]>> = readImporters();

const ROOT = process.cwd();

export function borderProblems(): string[] {
  const problems: string[] = [];
  for (const file of sourceFiles(ROOT)) {
    const isTest =
      file.endsWith('.test.ts') || file.startsWith('test/') || /(^|\/)test-[^/]+\.ts$/.test(file);
    for (const specifier of importsOf(readFileSync(join(ROOT, file), 'utf8'))) {
      const problem = specifier.startsWith('.')
        ? folderProblem(file, specifier, isTest)
        : packageProblem(file, specifier, isTest);
      if (problem !== undefined) problems.push(`${file}: ${problem}`);
    }
  }
  return problems;
}

function folderProblem(file: string, specifier: string, isTest: boolean): string | undefined {
  const target = relative(ROOT, join(ROOT, dirname(file), specifier));
  const from = topFolder(file);
  const to = topFolder(target);
  if (from === to) return undefined;
  const allowed = MAY_IMPORT[from];
  if (allowed === undefined) return `folder "${from}" has no row in the border table`;
  if (allowed.includes('*') || allowed.includes(to)) return undefined;
  // a test beside its file may stand on the shared test rig and on floors above it
  if (isTest) return undefined;
  return `imports ${target}: ${from} may import ${['itself', ...allowed].join(', ')}`;
}

function packageProblem(file: string, specifier: string, isTest: boolean): string | undefined {
  if (specifier.startsWith('node:')) {
    const allowed = NODE_MODULES[topFolder(file)];
    if (isTest || allowed === undefined || allowed.includes(specifier)) return undefined;
    return `imports ${specifier}: ${topFolder(file)} is pure`;
  }
  const name = packageName(specifier);
  if (builtinModules.includes(name)) return `imports ${specifier}: write node:${specifier}`;
  const importers = PACKAGE_IMPORTERS[name];
  if (importers === undefined)
    return `imports ${name}, which has no row in ARCHITECTURE.md's table of packages`;
  if (importers.some((prefix) => file.startsWith(prefix))) return undefined;
  if (isTest) return undefined;
  return `imports ${name}: its importers are ${importers.join(', ')}`;
}

/** Reads the rows `| \`package\` | \`importer\`, ... | why |` of ARCHITECTURE.md, so that page and rule cannot drift. */
function readImporters(): Record<string, string[]> {
  const page = readFileSync('ARCHITECTURE.md', 'utf8');
  const table = page.split('<!-- packages -->')[1] ?? '';
  const rows: Record<string, string[]> = {};
  for (const line of table.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    const name = /^`([^`]+)`$/.exec(cells[1] ?? '')?.[1];
    if (name === undefined) continue;
    rows[name] = [...(cells[2] ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
  }
  return rows;
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s(?:[^'"`;]*?\sfrom\s)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;

function importsOf(source: string): string[] {
  return [...source.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? '');
}

function topFolder(path: string): string {
  return path.split('/')[0] ?? '';
}

function packageName(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '');
}
