// Where a pod's network namespace is: in the directory a node's runtime keeps (one folder a pod UID), else found by
// scanning /proc for a process in one of the pod's control groups. Called by netns.ts.

import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

export type NetnsSource = {
  /** The path of the pod's namespace. */
  find(podUid: string): Promise<string | undefined>;
  /** The UIDs of all pods it can see. */
  list(): Promise<readonly string[]>;
};

/** What may name a folder; Kubernetes promises no more of a UID than that it is unique. */
const FOLDER = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const UID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** `<directory>/<podUid>/netns`, as the sandbox's kubelet makes it. */
export function directorySource(directory: string): NetnsSource {
  return {
    async find(podUid) {
      const path = join(directory, podUid, 'netns');
      return FOLDER.test(podUid) && (await inodeOf(path)) !== undefined ? path : undefined;
    },
    async list() {
      const names = await readdir(directory).catch(() => []);
      return names.filter((name) => FOLDER.test(name));
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
      if (!UID.test(podUid)) return undefined;
      const own = await inodeOf(join(proc, 'self/ns/net'));
      for (const { pid, pods } of await processes(proc)) {
        if (!pods.includes(podUid)) continue;
        const path = join(proc, pid, 'ns/net');
        const found = await inodeOf(path);
        // the node's own namespace: a host-network pod, or a shim that serves the pod from outside
        if (found !== undefined && found !== own) return path;
      }
      return undefined;
    },
    async list() {
      return [...new Set((await processes(proc)).flatMap(({ pods }) => pods))];
    },
  };
}

/** Oldest first, as far as numbers tell. */
async function processes(proc: string): Promise<{ pid: string; pods: string[] }[]> {
  const pids = (await readdir(proc).catch(() => [])).filter((name) => /^\d+$/.test(name));
  const found: { pid: string; pods: string[] }[] = [];
  for (const pid of pids.sort((a, b) => Number(a) - Number(b))) {
    const groups = await readFile(join(proc, pid, 'cgroup'), 'utf8').catch(() => '');
    const pods = [...groups.matchAll(/pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})/g)];
    if (pods.length === 0) continue;
    found.push({ pid, pods: pods.map(([, uid = '']) => uid.replaceAll('_', '-')) });
  }
  return found;
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

/** A namespace's number, the same for all its paths; undefined when the path leads nowhere. */
export async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch {
    return undefined;
  }
}
