// The version of this build, from package.json beside the sources (or copied into dist/ by the build).

import { readFileSync } from 'node:fs';

/** Semantic version, e.g. `0.1.0`. */
export const VERSION: string = readVersion();

function readVersion(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** Older ones lack what the programs and their libraries use (type stripping, zstd, `using`). */
const OLDEST_NODE = 24;

/** Why this Node cannot run the program, or undefined when it can. */
export function nodeTooOld(version: string = process.versions.node): string | undefined {
  if (Number.parseInt(version, 10) >= OLDEST_NODE) return undefined;
  return `Cannot run on Node.js ${version}: version ${OLDEST_NODE} or newer is needed. In a checkout, npm ci brings it for "npm start" and ./ambit`;
}
