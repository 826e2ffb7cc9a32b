// The version of this build, from package.json beside the sources (or copied into dist/ by the build).

import { readFileSync } from 'node:fs';

/** Semantic version, e.g. `0.1.0`. */
export const VERSION: string = readVersion();

function readVersion(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
