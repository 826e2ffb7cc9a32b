// Runs a command inside a running container: in its mount and host-name namespace and its pod's network, with its
// variables. Called by probes, hooks and the exec server. Invariant: the process belongs to the pod (it carries the
// marker) and leads its own group, so that it never outlives the pod.

import type { ChildProcess, StdioOptions } from 'node:child_process';
import type { Clock } from '../../../runtime/clock.ts';
import type { PodNetwork } from '../../network/network.ts';
import type { Environment } from './command.ts';
import { type Isolation, nodeCommand } from './container-start.ts';
import { rewriter } from './loopback-view.ts';
import type { Bind } from './mount-view.ts';
import { containerProcess, MARKER, readText, spawned } from './processes.ts';

/** A running container, as far as a command inside it needs it. */
export type ExecTarget = {
  readonly network: PodNetwork;
  readonly isolation: Isolation;
  readonly pid: number;
  readonly variables: Environment;
  readonly binds: readonly Bind[];
  readonly workingDir: string;
  readonly podDirectory: string;
};

export type ExecOptions = {
  readonly stdio: StdioOptions;
  /** Set on top of the container's own, e.g. TERM. */
  readonly variables?: Readonly<Record<string, string>>;
};

/** `sh` changes the directory, because nsenter is started outside of the container. */
const ENTER = 'cd "$1" && shift && exec "$@"';

export function spawnInContainer(
  target: ExecTarget,
  command: readonly string[],
  options: ExecOptions,
): ChildProcess {
  const { isolation } = target;
  const env = {
    ...Object.fromEntries(target.variables),
    ...options.variables,
    [MARKER]: target.podDirectory,
  };
  if (isolation.mode === 'netns') {
    const { nsenter, sh } = isolation.tools;
    const enter = [nsenter, '--target', String(target.pid), '--mount', '--uts', '--'];
    return target.network.spawn([...enter, sh, '-c', ENTER, 'sh', target.workingDir, ...command], {
      env,
      stdio: options.stdio,
      detached: true,
    });
  }
  const rewrite = rewriter(target.binds);
  const rewritten = Object.fromEntries(
    Object.entries(env).map(([name, value]) => [name, rewrite(value)]),
  );
  return target.network.spawn(nodeCommand(command.map(rewrite), isolation.execPath), {
    env: rewritten,
    stdio: options.stdio,
    detached: true,
    cwd: rewrite(target.workingDir),
  });
}

export type CommandResult = { readonly code: number; readonly output: string };

// Kubernetes keeps 10 KiB of a probe's output
const MAX_OUTPUT_BYTES = 10 * 1024;

/** Runs `command` to its end. When `signal` aborts first, its group is killed and the result is code 124. */
export async function runInContainer(
  target: ExecTarget,
  command: readonly string[],
  signal: AbortSignal,
): Promise<CommandResult> {
  if (signal.aborted) return { code: 124, output: '' };
  const child = spawnInContainer(target, command, { stdio: ['ignore', 'pipe', 'pipe'] });
  child.on('error', () => {});
  await spawned(child, command[0] ?? '');
  const process = containerProcess(child);
  const onAbort = (): void => process.kill();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const texts = [child.stdout, child.stderr].map(async (source) =>
      source === null ? '' : readText(source, MAX_OUTPUT_BYTES),
    );
    const exit = await process.exited;
    process.kill();
    const output = (await Promise.all(texts)).join('').trim();
    return { code: signal.aborted ? 124 : exit.code, output };
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** A signal that aborts after `ms` of `clock`, or with `outer`. The caller ends it. */
export function deadline(
  clock: Clock,
  ms: number,
  outer: AbortSignal,
): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  const onOuter = (): void => controller.abort(outer.reason);
  if (outer.aborted) onOuter();
  outer.addEventListener('abort', onOuter, { once: true });
  const timer = clock.timer(ms, () => controller.abort(new Error(`timeout after ${ms} ms`)));
  return {
    signal: controller.signal,
    end() {
      timer.cancel();
      outer.removeEventListener('abort', onOuter);
    },
  };
}
