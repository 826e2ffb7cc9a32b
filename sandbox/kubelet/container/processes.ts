// A container's process group: start, signal, end, and the strays that left their group. Called by container-start.ts and
// exec. Invariant: after endStrays() nothing that carries the marker runs any more, not even after a crash of ours.

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';

/** Variable that every process of a pod inherits; its value is the pod's directory, unique on the machine. */
export const MARKER = 'AMBIT_SANDBOX_POD';

export type Exit = {
  /** 128 + the signal's number when a signal ended it, as shells and container runtimes say it. */
  readonly code: number;
  readonly signal?: number;
};

/** The process could not begin at all: no such program, or its view of the machine could not be made. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

export type ContainerProcess = {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** To the container's main process alone, as a container runtime does. */
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL to its whole group. */
  kill(): void;
};

/** `child` must lead its own process group. */
export function containerProcess(child: ChildProcess): ContainerProcess {
  const { pid } = child;
  if (pid === undefined) throw new StartError('Cannot start the process: it has no id');
  return {
    pid,
    exited: exitOf(child),
    signal: (signal) => {
      child.kill(signal);
    },
    kill: () => killGroup(pid),
  };
}

async function exitOf(child: ChildProcess): Promise<Exit> {
  const [code, name] =
    child.exitCode !== null || child.signalCode !== null
      ? [child.exitCode, child.signalCode]
      : ((await once(child, 'exit')) as [number | null, NodeJS.Signals | null]);
  if (name !== null) {
    const signal = constants.signals[name];
    return { code: 128 + signal, signal };
  }
  return { code: code ?? 0 };
}

/** Resolves when `child` runs. @throws StartError with the system's reason */
export async function spawned(child: ChildProcess, what: string): Promise<void> {
  try {
    if (child.pid === undefined) await once(child, 'spawn');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new StartError(`Cannot start "${what}": ${reason}`, { cause });
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // nobody is left in the group
  }
}

/**
 * Kills every process whose marker is `directory` or lies under it. Looks again until none is left, because a process
 * may start another while we look.
 */
export function endStrays(directory: string): number {
  let ended = 0;
  // each round kills all it sees; a fork bomb that outruns this many rounds is not ours to win
  for (let round = 0; round < 10; round++) {
    const strays = findStrays(directory);
    if (strays.length === 0) break;
    for (const pid of strays) {
      try {
        process.kill(pid, 'SIGKILL');
        ended += 1;
      } catch {
        // it ended by itself meanwhile
      }
    }
  }
  return ended;
}

/** Exported for tests. */
export function findStrays(directory: string): number[] {
  const wanted = `${MARKER}=${directory}`;
  const strays: number[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const value = markerOf(name);
    if (value === wanted || value?.startsWith(`${wanted}/`) === true) strays.push(Number(name));
  }
  return strays;
}

function markerOf(pid: string): string | undefined {
  try {
    // a process that ended but was not yet waited for has an empty environment: it is none
    const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return variables.find((variable) => variable.startsWith(`${MARKER}=`));
  } catch {
    // gone, or another user's
    return undefined;
  }
}

/** All of a short text, e.g. a start's failure; never more than `maxBytes`. */
export async function readText(source: Readable, maxBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of source) {
    const part = (chunk as Buffer).subarray(0, maxBytes - bytes);
    parts.push(part);
    bytes += part.length;
  }
  return Buffer.concat(parts).toString();
}
