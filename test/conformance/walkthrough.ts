// A page that walks its reader through something: its commands as they would be typed, and what it says they print, which
// stands behind them as a comment. Called by examples.test.ts. Invariant: a page is run as it is, nothing is left out.

import { spawn } from 'node:child_process';
import { projectPath } from '../../runtime/entry.ts';

export type Step = {
  readonly command: string;
  /** undefined: the page does not say what it prints. */
  readonly promised: string | undefined;
};

const SHELL_BLOCK = /^```sh\n([^]*?)^```$/gm;
/** Two spaces before a comment tell it from a `#` of the command. */
const LINE = /^(.*?)(?: {2,}# (.*))?$/;

/** What is in its `sh` blocks, line by line; a line that ends in `\` goes on. */
export function stepsOf(page: string): Step[] {
  return [...page.matchAll(SHELL_BLOCK)]
    .flatMap(([, block = '']) => block.replaceAll('\\\n', '').split('\n'))
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [, command = '', promised] = LINE.exec(line) ?? [];
      return { command: command.trimEnd(), promised };
    });
}

/**
 * Lines are told apart by ", ". `…` stands for anything, `about 90 a, 10 b` for counts of what is drawn at random: four
 * standard deviations from those are kept by all but one run of ten thousand.
 */
export function keepsPromise(promised: string, printed: string): boolean {
  const said = normal(printed);
  const [, shares] = /^about (.*)$/.exec(promised) ?? [];
  if (shares !== undefined) return sharesMatch(countsOf(shares), countsOf(said));
  const parts = promised.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(said);
}

function normal(printed: string): string {
  return printed
    .split('\n')
    .map((line) => line.trim().replaceAll(/\s+/g, ' '))
    .filter((line) => line !== '')
    .join(', ');
}

/** `180 web-v1, 20 web-v2`, as `uniq -c` has it. */
function countsOf(text: string): ReadonlyMap<string, number> {
  return new Map(
    text.split(', ').map((part) => {
      const [count = '', name = ''] = part.split(' ');
      return [name, Number(count)];
    }),
  );
}

function sharesMatch(
  promised: ReadonlyMap<string, number>,
  said: ReadonlyMap<string, number>,
): boolean {
  const sum = (counts: ReadonlyMap<string, number>): number =>
    [...counts.values()].reduce((all, one) => all + one, 0);
  const total = sum(promised);
  if (sum(said) !== total) return false;
  return [...promised].every(([name, count]) => {
    const deviation = Math.sqrt((count * (total - count)) / total);
    return Math.abs((said.get(name) ?? 0) - count) <= 4 * deviation;
  });
}

export type Shell = { readonly kubeconfig: string };

// a command that hangs names itself
const COMMAND_MS = 120_000;
/** What an `apply` changes takes a moment to reach the waypoints; a reader who is that fast asks again. */
const CONVERGENCE_MS = 30_000;

/** Runs the steps one after the other. @throws Error naming the first whose page does not tell the truth */
export async function walk(shell: Shell, steps: readonly Step[]): Promise<void> {
  for (const { command, promised } of steps) {
    if (promised === undefined) await typed(shell, command);
    else await untilKept(shell, command, promised);
  }
}

async function untilKept(shell: Shell, command: string, promised: string): Promise<void> {
  const end = performance.now() + CONVERGENCE_MS;
  for (;;) {
    const printed = await typed(shell, command).catch(String);
    if (keepsPromise(promised, printed)) return;
    if (performance.now() > end) {
      throw new Error(`${command}\n  was to print: ${promised}\n  and printed: ${printed}`);
    }
  }
}

/** In the project's folder. @throws Error unless it exits with 0 */
async function typed({ kubeconfig }: Shell, command: string): Promise<string> {
  const child = spawn('bash', ['-o', 'pipefail', '-c', command], {
    cwd: projectPath('.'),
    env: { ...process.env, KUBECONFIG: kubeconfig, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: COMMAND_MS,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (code !== 0) throw new Error(`${command}\n  exited with ${code}: ${stderr || stdout}`);
  return stdout;
}
