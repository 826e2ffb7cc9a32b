// SETTINGS.md must name every setting the components read, and none that they do not. `npm run check` runs it.

import { globSync, readFileSync } from 'node:fs';

const PAGE = 'SETTINGS.md';
/** Where components read their settings; the sandbox and the tests have words of their own. */
const READERS = '{ca,control-plane,node-agent,runtime,waypoint}/**/*.ts';
const READ = /\benv\.\w+\(\s*'(AMBIT_\w+)'|\bport\('(AMBIT_\w+)'/g;
const NAMED = /`(AMBIT_\w+)`/g;

/** A line for each setting that is on one side only. */
export function settingProblems(): string[] {
  const read = new Set<string>();
  for (const file of globSync(READERS)) {
    if (file.endsWith('.test.ts')) continue;
    for (const [, direct, port] of readFileSync(file, 'utf8').matchAll(READ)) {
      read.add(direct ?? port ?? '');
    }
  }
  const page = readFileSync(PAGE, 'utf8');
  const named = new Set([...page.matchAll(NAMED)].map(([, name = '']) => name));
  return [
    ...[...read]
      .filter((name) => !named.has(name))
      .map((name) => `${PAGE}: ${name} is read and not named`),
    ...[...named]
      .filter((name) => !read.has(name))
      .map((name) => `${PAGE}: ${name} is named and read nowhere`),
  ];
}
