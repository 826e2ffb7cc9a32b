// The machine's programs that the netns network needs: found, installed where that is possible, else named with the exact
// command. Called by launch.ts. Prints nothing itself; progress goes to the reporter that is passed in.

import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';

export type Reporter = (line: string) => void;
export type Environment = Readonly<Record<string, string | undefined>>;

export type Requirements =
  | { readonly state: 'met' }
  | {
      readonly state: 'missing';
      readonly programs: readonly string[];
      /** What a person has to run; undefined where we know no package manager. */
      readonly command: string | undefined;
      /** Why it was not done for them. */
      readonly reason: string;
    };

type Manager = 'apt-get' | 'dnf' | 'apk';
const MANAGERS: readonly Manager[] = ['apt-get', 'dnf', 'apk'];

type Packages = Readonly<Record<Manager, string>>;
const UTIL_LINUX: Packages = { 'apt-get': 'util-linux', dnf: 'util-linux', apk: 'util-linux-misc' };
const PROGRAMS: Readonly<Record<string, Packages>> = {
  nft: { 'apt-get': 'nftables', dnf: 'nftables', apk: 'nftables' },
  ip: { 'apt-get': 'iproute2', dnf: 'iproute', apk: 'iproute2' },
  unshare: UTIL_LINUX,
  nsenter: UTIL_LINUX,
  mount: { 'apt-get': 'mount', dnf: 'util-linux', apk: 'mount' },
};

const INSTALL: Readonly<Record<Manager, string>> = {
  'apt-get': 'apt-get install -y --no-install-recommends',
  dnf: 'dnf install -y',
  apk: 'apk add',
};

/** An ordinary user's PATH often lacks these, though what is in them works in a user namespace. */
const SYSTEM_DIRECTORIES = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];

export function withSystemPrograms(env: Environment): Record<string, string | undefined> {
  const path = (env['PATH'] ?? '').split(delimiter).filter((directory) => directory !== '');
  const missing = SYSTEM_DIRECTORIES.filter((directory) => !path.includes(directory));
  return { ...env, PATH: [...path, ...missing].join(delimiter) };
}

export function isThere(program: string, env: Environment): boolean {
  return isOnPath(program, withSystemPrograms(env)['PATH'] ?? '');
}

/** Finds the programs, or has root's apt install them. */
export async function requirePrograms(
  parts: { report: Reporter; find?: (program: string) => boolean; run?: Runner },
  settings: { uid: number; env: Environment },
): Promise<Requirements> {
  const env = withSystemPrograms(settings.env);
  const find = parts.find ?? ((program) => isOnPath(program, env['PATH'] ?? ''));
  const run = parts.run ?? runReporting;
  const missing = missingPrograms(find);
  if (missing.length === 0) return { state: 'met' };
  const manager = MANAGERS.find(find);
  const packages = manager === undefined ? [] : packagesOf(missing, manager);
  const command = manager === undefined ? undefined : `${INSTALL[manager]} ${packages.join(' ')}`;
  const lacking = (reason: string, programs: readonly string[] = missing): Requirements => ({
    state: 'missing',
    programs,
    command: command !== undefined && settings.uid !== 0 ? `sudo ${command}` : command,
    reason,
  });
  if (manager !== 'apt-get') return lacking('only apt is used without asking');
  if (settings.uid !== 0) return lacking('installing needs root');
  parts.report(`Installing ${packages.join(' ')} (${missing.join(', ')} not found)`);
  const failure = await installWithApt(packages, env, { ...parts, run });
  if (failure !== undefined) return lacking(failure);
  const still = missingPrograms(find);
  return still.length === 0
    ? { state: 'met' }
    : lacking('apt installed the packages, yet the programs are not there', still);
}

/** One line for a person: what is missing and what to do. */
export function missingMessage(missing: Requirements & { state: 'missing' }): string {
  const remedy =
    missing.command === undefined
      ? `install them with your system's package manager`
      : `run "${missing.command}"`;
  return `Cannot make the sandbox's network: ${missing.programs.join(', ')} not found (${missing.reason}); ${remedy}, or use "--network loopback"`;
}

/** Runs a program with its output reported line by line; gives its exit code and its last line. */
export type Runner = (
  command: readonly string[],
  env: Environment,
  report: Reporter,
) => Promise<{ code: number; lastLine: string }>;

async function installWithApt(
  packages: readonly string[],
  env: Environment,
  { report, run }: { report: Reporter; run: Runner },
): Promise<string | undefined> {
  const quiet = { ...env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['apt-get', 'install', '-y', '--no-install-recommends', ...packages];
  const first = await run(install, quiet, report);
  if (first.code === 0) return undefined;
  // a fresh container image has no package lists
  await run(['apt-get', 'update'], quiet, report);
  const second = await run(install, quiet, report);
  return second.code === 0 ? undefined : `apt-get failed: ${second.lastLine}`;
}

async function runReporting(
  command: readonly string[],
  env: Environment,
  report: Reporter,
): Promise<{ code: number; lastLine: string }> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let lastLine = '';
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      if (line.trim() !== '') lastLine = line.trim();
      report(line);
    });
  }
  return await new Promise((done) => {
    child.on('error', (error) => {
      done({ code: 1, lastLine: error.message });
    });
    child.on('close', (code) => {
      done({ code: code ?? 1, lastLine });
    });
  });
}

function missingPrograms(find: (program: string) => boolean): string[] {
  return Object.keys(PROGRAMS).filter((program) => !find(program));
}

function packagesOf(programs: readonly string[], manager: Manager): string[] {
  return [...new Set(programs.map((program) => PROGRAMS[program]?.[manager] ?? program))];
}

function isOnPath(program: string, path: string): boolean {
  return path.split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
