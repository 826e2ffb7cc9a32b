// Runs `nft` and `ip` inside a pod's network namespace without blocking the agent. Called by netns.ts: the child is
// forked while this thread is inside, so it stays there; no further program is needed to enter.

import { spawn } from 'node:child_process';
import { inNetns, type Netns } from './syscalls.ts';

/** These programs answer in milliseconds; one that hangs must not hold an enrolment for ever. */
const COMMAND_TIMEOUT_MS = 10_000;
const MAX_OUTPUT_BYTES = 64 * 1024;

/** A program that could not be run or did not succeed; the message names it and what it said. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  /** The program is not installed. */
  readonly missing: boolean;

  constructor(message: string, missing: boolean, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.missing = missing;
  }
}

/** Where distributions keep them; an ordinary user's PATH often ends before. */
const FOLDERS = ['', '/usr/sbin/', '/sbin/'];

/** Resolves with what it printed. @throws CommandError */
export async function runInside(
  netns: Netns,
  program: 'nft' | 'ip',
  args: readonly string[],
  input = '',
): Promise<string> {
  for (const folder of FOLDERS) {
    const outcome = await attempt(netns, `${folder}${program}`, args, input);
    if (outcome.kind === 'done') return outcome.out;
  }
  throw new CommandError(`Cannot run ${program}: it is not installed`, true);
}

type Outcome = { readonly kind: 'missing' } | { readonly kind: 'done'; readonly out: string };

function attempt(
  netns: Netns,
  program: string,
  args: readonly string[],
  input: string,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = inNetns(netns, () =>
      spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: COMMAND_TIMEOUT_MS }),
    );
    let out = '';
    let problems = '';
    child.stdout.on('data', (chunk: Buffer) => {
      if (out.length < MAX_OUTPUT_BYTES) out += String(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      if (problems.length < MAX_OUTPUT_BYTES) problems += String(chunk);
    });
    child.on('error', (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') resolve({ kind: 'missing' });
      else reject(new CommandError(`Cannot run ${program}: ${cause.message}`, false, { cause }));
    });
    child.on('close', (code, signal) => {
      if (code === 0) {
        resolve({ kind: 'done', out });
        return;
      }
      const said = problems.trim().split('\n').slice(0, 3).join('; ');
      const how = signal === null ? `exit code ${code}` : `ended by ${signal}`;
      reject(new CommandError(`${program} ${args.join(' ')} failed: ${said || how}`, false));
    });
    // a program that ends early closes its input; its exit code says the rest
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
