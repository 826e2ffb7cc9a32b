// Starts one run of a container: its words, variables and mounts become a process in the pod's network. Called by
// container.ts. Netns mode: a mount and host-name namespace of its own (mount-view.ts), gone with its last process.
// Loopback mode: no namespaces and so no mounts; variables and arguments that begin with a mount path are rewritten to
// the real directory, AMBIT_KUBECONFIG leads to a kubeconfig of the pod, and a command that is not Node.js is started
// by a small Node.js program, because only that has the pod's address. Of securityContext only runAsUser/runAsGroup
// of host commands are honoured, and only where we are the machine's root; capabilities, privileged, seccomp,
// readOnlyRootFilesystem and all else are ignored: containers are the sandbox's own trusted processes.

import type { ChildProcess } from 'node:child_process';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';
import { entryPath } from '../../../runtime/entry.ts';
import type { PodNetwork } from '../../network/network.ts';
import type { ContainerLog } from '../logs/container-log.ts';
import type { Tools } from '../tools.ts';
import type { Environment } from './command.ts';
import { rewriter } from './loopback-view.ts';
import { type Bind, planView, STARTED, viewScript } from './mount-view.ts';
import {
  type ContainerProcess,
  containerProcess,
  MARKER,
  readText,
  StartError,
  spawned,
} from './processes.ts';

export type Isolation =
  | { readonly mode: 'netns'; readonly tools: Tools; readonly isRoot: boolean }
  | { readonly mode: 'loopback'; readonly execPath: string };

export type StartParts = {
  readonly network: PodNetwork;
  readonly isolation: Isolation;
  readonly log: ContainerLog;
};
export type StartSettings = {
  readonly command: readonly string[];
  readonly variables: Environment;
  readonly binds: readonly Bind[];
  readonly workingDir: string;
  readonly hostname: string;
  /** The pod's directory: a place for the stage, and the marker of its processes. */
  readonly podDirectory: string;
  readonly user?: { readonly uid: number; readonly gid: number };
};

// a start's failure is one line; more is a program gone wild
const MAX_REASON_BYTES = 4096;

/** Resolves once the container's own program is about to run. @throws StartError, RangeError for a bad mount path */
export async function startContainer(
  parts: StartParts,
  settings: StartSettings,
): Promise<ContainerProcess> {
  const { isolation } = parts;
  if (settings.command.length === 0) throw new StartError('no command specified');
  const child =
    isolation.mode === 'netns'
      ? spawnInView(parts.network, isolation, settings)
      : spawnOnLoopback(parts.network, isolation, settings);
  // 'error' after the start (a signal that could not be sent) has nobody else to hear it
  child.on('error', () => {});
  parts.log.open();
  const output = Promise.all([
    copyOf(parts.log, 'stdout', child.stdout),
    copyOf(parts.log, 'stderr', child.stderr),
  ]);
  try {
    await spawned(child, settings.command[0] ?? '');
    if (isolation.mode === 'netns') await viewReady(child);
  } catch (error) {
    child.kill('SIGKILL');
    void output.then(() => parts.log.close());
    throw error;
  }
  const process = containerProcess(child);
  void process.exited.then(async () => {
    // what the main process left behind would hold the pipes, and in Kubernetes would not outlive it either
    process.kill();
    await output;
    parts.log.close();
  });
  return process;
}

function spawnInView(
  network: PodNetwork,
  isolation: Extract<Isolation, { mode: 'netns' }>,
  settings: StartSettings,
): ChildProcess {
  const { tools } = isolation;
  const script = viewScript(planView(settings.binds), {
    stage: join(settings.podDirectory, 'root'),
    hostname: settings.hostname,
    workingDir: settings.workingDir,
    launcher: launcherOf(isolation, settings),
  });
  const unshare = [tools.unshare, '--mount', '--uts', '--propagation', 'private', '--'];
  return network.spawn([...unshare, tools.sh, '-c', script, 'sh', ...settings.command], {
    env: marked(settings),
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    detached: true,
  });
}

function launcherOf(
  { tools, isRoot }: Extract<Isolation, { mode: 'netns' }>,
  { user }: StartSettings,
): string[] {
  if (tools.setpriv === undefined) return [];
  const identity =
    user !== undefined && isRoot
      ? [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups']
      : [];
  // the kernel ends the container with us, even when we are killed
  return [tools.setpriv, ...identity, '--pdeathsig', 'KILL', '--'];
}

async function viewReady(child: ChildProcess): Promise<void> {
  const pipe = child.stdio[3] as Readable;
  const text = await readText(pipe, MAX_REASON_BYTES);
  const lines = text.trim().split('\n');
  if (lines.at(-1) !== STARTED) {
    throw new StartError(`Cannot start the container: ${lines.join('; ') || 'it ended at once'}`);
  }
}

function spawnOnLoopback(
  network: PodNetwork,
  isolation: Extract<Isolation, { mode: 'loopback' }>,
  settings: StartSettings,
): ChildProcess {
  const rewrite = rewriter(settings.binds);
  const variables = marked(settings);
  const env = Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, rewrite(value)]),
  );
  const command = settings.command.map(rewrite);
  return network.spawn(nodeCommand(command, isolation.execPath), {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    cwd: rewrite(settings.workingDir),
  });
}

/** The command itself when it is Node.js, else our program that runs it as its child. */
export function nodeCommand(command: readonly string[], execPath: string): readonly string[] {
  const [program = ''] = command;
  if (program === execPath) return command;
  if (basename(program) === 'node') return [execPath, ...command.slice(1)];
  return [execPath, entryPath('sandbox/kubelet/container/run-program'), ...command];
}

function marked({ variables, podDirectory }: StartSettings): Record<string, string> {
  return { ...Object.fromEntries(variables), [MARKER]: podDirectory };
}

async function copyOf(
  log: ContainerLog,
  stream: 'stdout' | 'stderr',
  source: Readable | null,
): Promise<void> {
  if (source !== null) await log.copy(stream, source);
}
