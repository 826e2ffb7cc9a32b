// Where a pod's network namespace is: in the directory a node's runtime keeps (one folder a pod UID), else found by
// scanning /proc for a process in one of the pod's control groups. Called by netns.ts at each enrolment.

import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

export type NetnsSource = { find(podUid: string): Promise<string | undefined> };

/** `<directory>/<podUid>/netns`, as the sandbox's kubelet makes it. */
export function directorySource(directory: string): NetnsSource {
  return {
    async find(podUid) {
      const path = join(directory, podUid, 'netns');
      return (await exists(path)) ? path : undefined;
    },
  };
}

/**
 * The oldest process whose control group names the pod: the pause container, which lives as long as the pod. Runtimes
 * write the UID with dashes (cgroupfs) or underscores (systemd).
 */
export function procSource(proc = '/proc'): NetnsSource {
  return {
    async find(podUid) {
      if (!/^[0-9a-f-]{36}$/i.test(podUid)) return undefined;
      const names = [`pod${podUid}`, `pod${podUid.replaceAll('-', '_')}`];
      const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name)).map(Number);
      const own = await inode(join(proc, 'self/ns/net'));
      for (const pid of pids.sort((a, b) => a - b)) {
        const groups = await readFile(join(proc, String(pid), 'cgroup'), 'utf8').catch(() => '');
        if (!names.some((name) => groups.includes(name))) continue;
        const path = join(proc, String(pid), 'ns/net');
        const found = await inode(path);
        // the node's own namespace: a host-network pod, or a shim that serves the pod from outside
        if (found !== undefined && found !== own) return path;
      }
      return undefined;
    },
  };
}

export async function findNetns(
  sources: readonly NetnsSource[],
  podUid: string,
): Promise<string | undefined> {
  for (const source of sources) {
    const path = await source.find(podUid);
    if (path !== undefined) return path;
  }
  return undefined;
}

async function exists(path: string): Promise<boolean> {
  return (await inode(path)) !== undefined;
}

async function inode(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch {
    return undefined;
  }
}
