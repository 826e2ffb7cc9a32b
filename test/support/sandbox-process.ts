// `ambit sandbox` as a person runs it, with a state directory that only one test knows, and what it leaves on the machine.
// Used by tests of its life.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../runtime/clock.ts';
import { entryPath } from '../../runtime/entry.ts';

export type Said = { readonly code: number; readonly stdout: string; readonly stderr: string };

export type Machine = {
  /** Everything of the sandboxes goes below it. */
  readonly root: string;
  run(...words: string[]): Promise<Said>;
};

// a start takes 5 s on an idle machine with two cores
const TIMEOUT_MS = 90_000;
const POLL_MS = 50;
const OWN_NETWORK = readlinkSync('/proc/self/ns/net');

/** Whatever of its sandboxes still runs when the test ends is taken down. */
export function machine(t: TestContext): Machine {
  const home = mkdtempSync(join(tmpdir(), 'ambit-life-'));
  const root = join(home, 'ambit', 'sandboxes');
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const run = async (...words: string[]): Promise<Said> => {
    const child = spawn(process.execPath, [entryPath('sandbox/main'), ...words], {
      env: { ...env, XDG_STATE_HOME: home },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    return { code: code ?? -1, stdout, stderr };
  };
  t.after(async () => {
    const names = filesBelow(root).filter((name) => !name.includes('.'));
    for (const name of names) await run('down', '--name', name);
    rmSync(home, { recursive: true, force: true });
  });
  return { root, run };
}

/** Files and directories that sandboxes left below their root. */
export function filesBelow(root: string): string[] {
  try {
    return readdirSync(root);
  } catch {
    return [];
  }
}

/** Number of the process that holds the sandbox: the one a person started, or left in the background. */
export function holderOf({ root }: Machine, name: string): number {
  return (JSON.parse(readFileSync(join(root, name, 'lock.json'), 'utf8')) as { pid: number }).pid;
}

export type Traces = { readonly processes: number; readonly namespaces: ReadonlySet<string> };

/** Processes that know the state directory, and the networks other than this process's that they are in. */
export function tracesOf({ root }: Machine): Traces {
  const home = join(root, '..', '..');
  const found = processIds().filter((pid) => knows(pid, home));
  const namespaces = found.map(networkOf).filter((network) => network !== undefined);
  return {
    processes: found.length,
    namespaces: new Set(namespaces.filter((network) => network !== OWN_NETWORK)),
  };
}

/** Waits until no process is left that knows the directory or is in one of those networks; the test's limit bounds it. */
export async function untraced(one: Machine, { namespaces }: Traces): Promise<void> {
  const isGone = (): boolean =>
    tracesOf(one).processes === 0 &&
    !processIds().some((pid) => namespaces.has(networkOf(pid) ?? ''));
  while (!isGone()) await systemClock.sleep(POLL_MS);
}

/** Mounts of this machine that have to do with its sandboxes. */
export function mountsOf({ root }: Machine): string[] {
  const home = join(root, '..', '..');
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(home));
}

function processIds(): string[] {
  return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
}

function knows(pid: string, home: string): boolean {
  return ['environ', 'cmdline'].some((file) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(home);
    } catch {
      return false;
    }
  });
}

function networkOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}
