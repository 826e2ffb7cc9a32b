// A directory of files that changes as one: readers see all of the old files or all of the new ones, never a mixture.
// Called by volumes.ts. The layout is the kubelet's: `name -> ..data/name`, `..data -> ..N/`, moved by one rename.

import {
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';

export type FileContent = { readonly content: Buffer; readonly mode: number };
/** By path relative to the directory, e.g. `token` or `certs/ca.crt`. */
export type FileSet = ReadonlyMap<string, FileContent>;

const CURRENT = '..data';

/** @returns whether anything had to be written */
export async function writeFileSet(directory: string, files: FileSet): Promise<boolean> {
  await mkdir(directory, { recursive: true });
  const old = await readlink(join(directory, CURRENT)).catch(() => undefined);
  if (old !== undefined && (await holds(join(directory, old), files))) return false;

  const next = `..${old === undefined ? 1 : Number(old.slice(2)) + 1}`;
  const nextPath = join(directory, next);
  await rm(nextPath, { recursive: true, force: true });
  await mkdir(nextPath);
  for (const [path, file] of files) {
    const target = join(nextPath, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, file.content, { mode: file.mode });
  }
  const moving = join(directory, `${CURRENT}_next`);
  await rm(moving, { force: true });
  await symlink(next, moving);
  await rename(moving, join(directory, CURRENT));
  await linkNames(directory, files);
  if (old !== undefined) await rm(join(directory, old), { recursive: true, force: true });
  return true;
}

async function holds(directory: string, files: FileSet): Promise<boolean> {
  const present = await readdir(directory, { recursive: true, withFileTypes: true }).catch(
    () => [],
  );
  if (present.filter((entry) => entry.isFile()).length !== files.size) return false;
  for (const [path, file] of files) {
    const now = await readFile(join(directory, path)).catch(() => undefined);
    if (now === undefined || !now.equals(file.content)) return false;
  }
  return true;
}

/** The names users see are links through `..data`; those that lead nowhere any more go last. */
async function linkNames(directory: string, files: FileSet): Promise<void> {
  const wanted = new Set([...files.keys()].map((path) => path.split('/')[0] ?? path));
  const present = (await readdir(directory)).filter((name) => !name.startsWith('..'));
  for (const name of wanted) {
    if (!present.includes(name)) await symlink(join(CURRENT, name), join(directory, name));
  }
  for (const name of present) {
    if (!wanted.has(name)) await rm(join(directory, name), { recursive: true, force: true });
  }
}
