// Where a named sandbox keeps its files, and whose it is. Called by launch.ts and by `down`. Invariant: one live process
// at a time holds a sandbox's directory; one left behind by a process that died is told apart by that process's start time.

import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../runtime/clock.ts';
import type { Environment } from './requirements.ts';

export interface StateDirectory {
  readonly name: string;
  readonly path: string;
  /** Removes it with all that is in it. */
  close(): void;
}

/** Of the process that holds a sandbox: a number alone may by now be another process's. */
type Holder = { readonly pid: number; readonly startTime: string };

const LOCK = 'lock.json';
/** A name becomes a directory's and part of a socket's path, which the kernel limits. */
const NAME = /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/;
/** sun_path of struct sockaddr_un holds 108 bytes with the final zero. */
const MAX_SOCKET_PATH = 107;
const LONGEST_SOCKET_NAME = '/link.sock';

/** A graceful end drains connections and ends pods; longer than their default grace of 30 s. */
const STOP_TIMEOUT_MS = 45_000;
const STOP_POLL_MS = 50;

/** Root: /var/lib. Others: $XDG_STATE_HOME, ~/.local/state, or a directory of their own in the temporary one. */
export function stateRoot(person: { uid: number; env: Environment }): string {
  const { XDG_STATE_HOME: state, HOME: home } = person.env;
  if (state !== undefined && state.startsWith('/')) return join(state, 'ambit', 'sandboxes');
  const candidates =
    person.uid === 0
      ? ['/var/lib/ambit/sandboxes']
      : home !== undefined && home.startsWith('/') && home !== '/'
        ? [join(home, '.local', 'state', 'ambit', 'sandboxes')]
        : [];
  return candidates.find(canMake) ?? join(tmpdir(), `ambit-${person.uid}`, 'sandboxes');
}

/** @throws Error when the name is bad, its path too long, or a live process holds it */
export function takeStateDirectory(root: string, name: string): StateDirectory {
  const path = directoryOf(root, name);
  const holder = holderOf(path);
  if (holder !== undefined && isAlive(holder)) {
    throw new Error(
      `Sandbox "${name}" is already running (process ${holder.pid}); take it down with "ambit sandbox down --name ${name}", or give another --name`,
    );
  }
  clear(path);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  try {
    writeFileSync(join(path, LOCK), JSON.stringify(self()), { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new Error(`Sandbox "${name}" is just being started by another process`, { cause: error });
  }
  return {
    name,
    path,
    close: () => {
      clear(path);
    },
  };
}

export type TakenDown = 'stopped' | 'killed' | 'cleaned' | 'not-found';

/** Ends the sandbox of that name, or cleans up after one that died. */
export async function takeDown(
  parts: { clock: Clock },
  root: string,
  name: string,
): Promise<TakenDown> {
  const path = directoryOf(root, name);
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return 'not-found';
  const holder = holderOf(path);
  if (holder === undefined || !isAlive(holder)) {
    clear(path);
    return 'cleaned';
  }
  process.kill(holder.pid, 'SIGTERM');
  const deadline = parts.clock.monotonic() + STOP_TIMEOUT_MS;
  while (isAlive(holder) && parts.clock.monotonic() < deadline)
    await parts.clock.sleep(STOP_POLL_MS);
  const killed = isAlive(holder);
  if (killed) process.kill(holder.pid, 'SIGKILL');
  clear(path);
  return killed ? 'killed' : 'stopped';
}

export type KnownSandbox = {
  readonly name: string;
  readonly path: string;
  readonly running: boolean;
};

export function listSandboxes(root: string): KnownSandbox[] {
  if (statSync(root, { throwIfNoEntry: false }) === undefined) return [];
  return readdirSync(root)
    .filter((name) => NAME.test(name))
    .map((name) => {
      const path = join(root, name);
      const holder = holderOf(path);
      return { name, path, running: holder !== undefined && isAlive(holder) };
    });
}

export function isSandboxName(text: string): boolean {
  return NAME.test(text);
}

function directoryOf(root: string, name: string): string {
  if (!NAME.test(name)) {
    throw new Error(
      `Cannot name a sandbox "${name.slice(0, 100)}": use at most 40 of a-z, 0-9 and "-", beginning and ending with a letter or digit`,
    );
  }
  const path = join(root, name);
  if (Buffer.byteLength(path) + LONGEST_SOCKET_NAME.length > MAX_SOCKET_PATH) {
    throw new Error(
      `Cannot keep a sandbox in ${path}: the path is too long for a socket; set XDG_STATE_HOME to a shorter one`,
    );
  }
  return path;
}

function canMake(path: string): boolean {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return true;
  } catch {
    return false;
  }
}

/** Renamed first: a process that starts meanwhile finds nothing, not half of it. */
function clear(path: string): void {
  const grave = `${path}.${process.pid}.gone`;
  try {
    renameSync(path, grave);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  rmSync(grave, { recursive: true, force: true });
}

function self(): Holder {
  const startTime = startTimeOf(process.pid);
  if (startTime === undefined) throw new Error('Cannot read /proc/self/stat: is /proc mounted?');
  return { pid: process.pid, startTime };
}

function holderOf(path: string): Holder | undefined {
  try {
    const read = JSON.parse(readFileSync(join(path, LOCK), 'utf8')) as Partial<Holder>;
    const { pid, startTime } = read;
    return typeof pid === 'number' && typeof startTime === 'string'
      ? { pid, startTime }
      : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(holder: Holder): boolean {
  return startTimeOf(holder.pid) === holder.startTime;
}

/** Boot and start time of a process; undefined when it is gone or only waits to be reaped. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // the command, in brackets, may hold anything; proc(5): field 3 is the state, field 22 the start time
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z') return undefined;
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot} ${fields[19]}`;
  } catch {
    return undefined;
  }
}
