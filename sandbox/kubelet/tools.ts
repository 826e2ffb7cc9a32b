// The machine's own programs that netns mode needs, found once when the kubelet starts. A missing one is named with the
// package that has it, before any pod fails for the lack of it.

import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';

export const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export type Tools = {
  readonly unshare: string;
  readonly nsenter: string;
  readonly sh: string;
  /** Optional: without it, the containers of a sandbox that was killed run on until the next start cleans up. */
  readonly setpriv: string | undefined;
};

const PACKAGES = {
  unshare: 'util-linux',
  nsenter: 'util-linux',
  mount: 'mount',
  umount: 'mount',
  pivot_root: 'util-linux',
  sh: 'dash',
} as const;

/** @throws Error naming all that is missing and how to get it */
export function findTools(find: (name: string) => string | undefined = findProgram): Tools {
  const missing = Object.entries(PACKAGES).filter(([name]) => find(name) === undefined);
  if (missing.length > 0) {
    const names = missing.map(([name]) => name).join(', ');
    const packages = [...new Set(missing.map(([, pack]) => pack))].join(' ');
    throw new Error(
      `Cannot run pods: ${names} not found; install them: apt-get install ${packages}`,
    );
  }
  return {
    unshare: find('unshare') ?? '',
    nsenter: find('nsenter') ?? '',
    sh: find('sh') ?? '',
    setpriv: find('setpriv'),
  };
}

/** The executable's absolute path, as a shell would find it; undefined when there is none. */
export function findProgram(name: string, searchPath: string = SEARCH_PATH): string | undefined {
  const candidates = name.includes('/')
    ? isAbsolute(name)
      ? [name]
      : []
    : searchPath.split(':').map((directory) => join(directory, name));
  return candidates.find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
