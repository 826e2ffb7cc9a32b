// Where a program of ours lies, for whoever starts it as a process: `main.ts` in a checkout, `main.js` in dist/.

import { fileURLToPath } from 'node:url';

const extension = import.meta.filename.endsWith('.ts') ? '.ts' : '.js';

/** Absolute path of a source file named without its extension from the project's root, e.g. `ca/main`. */
export function entryPath(nameFromRoot: string): string {
  return fileURLToPath(new URL(`../${nameFromRoot}${extension}`, import.meta.url));
}

/** Absolute path of anything else from the project's root, e.g. `manifests/base`. */
export function projectPath(nameFromRoot: string): string {
  return fileURLToPath(new URL(`../${nameFromRoot}`, import.meta.url));
}
