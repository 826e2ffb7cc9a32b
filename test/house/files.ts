// Lists the project's own TypeScript files. Used by the checks and by the test runner.

import { globSync } from 'node:fs';

const TOP =
  '{mesh,wire,runtime,tunnel,node-agent,waypoint,ca,control-plane,cli,sandbox,test,bench}';

/** Paths relative to `root`, sorted. */
export function sourceFiles(root: string): string[] {
  return globSync(`${TOP}/**/*.ts`, { cwd: root }).sort();
}
