// Starts a sandbox: takes its state directory, finds out what isolation there is, starts the inner process in it and
// opens passages between its network and the machine's: to its API server, or from it to a given one. Called by
// sandbox/main.ts. Invariant: nothing is changed in the
// machine's own namespaces, so that however this process ends, at most the state directory is left.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Clock } from '../../runtime/clock.ts';
import type { NetworkMode } from '../network/network.ts';
import { checkReachable, type GivenServer } from './given-server.ts';
import {
  INNER_VARIABLE,
  type InnerMessage,
  type InnerSettings,
  type OuterMessage,
} from './inner.ts';
import { type Isolation, probeIsolation, probeNamespaces } from './isolation.ts';
import { openPassage, type Passage } from './passage.ts';
import {
  type Environment,
  isThere,
  missingMessage,
  type Reporter,
  requirePrograms,
  withSystemPrograms,
} from './requirements.ts';
import { type StateDirectory, stateRoot, takeStateDirectory } from './state-directory.ts';

export type LaunchSettings = {
  readonly name: string;
  /** auto: namespaces if they can be had, else loopback, said through `report`. */
  readonly network: 'auto' | NetworkMode;
  /** What the inner process runs: a file for Node.js and its arguments. */
  readonly program: readonly string[];
  readonly uid: number;
  readonly env: Environment;
  /** Port on 127.0.0.1 for the API server; 0: any. */
  readonly port?: number;
  /** An API server to use instead of one of the sandbox's own. */
  readonly given?: GivenServer;
  /** How many nodes a given API server will have to reach. */
  readonly nodes?: number;
};

export interface Launched {
  readonly mode: NetworkMode;
  readonly directory: string;
  /** On the machine itself. */
  readonly apiServer: { readonly host: string; readonly port: number };
  /** Resolves when the sandbox is up, with what it said of itself. @throws Error when it ended before */
  readonly ready: Promise<Readonly<Record<string, string>>>;
  /** Resolves when the inner process has ended, with its exit code. */
  readonly exited: Promise<number>;
  /** Ends the sandbox and removes its files. */
  close(): Promise<void>;
}

/** The sandbox ends its pods and drains; above that it is killed. Longer than a pod's default grace of 30 s. */
const STOP_GRACE_MS = 40_000;

/**
 * The first process of a process-number namespace inherits every orphan; Node.js would leave them as zombies, and the
 * kernel would keep signals from it. A shell that waits is a good first process. It also watches descriptor 4, whose other
 * end is ours: when we are killed, it ends the sandbox, even one that hangs.
 */
const FIRST_PROCESS: readonly string[] = [
  'sh',
  '-c',
  `"$@" 4<&- & sandbox=$!
exec 2> /dev/null
{ cat 3<&- <&4 > /dev/null; kill -KILL "$sandbox"; } & wait "$sandbox"`,
  'sh',
];

/** @throws Error that names what is missing and what to do; nothing is left behind then */
export async function launch(
  parts: { clock: Clock; report: Reporter; progress?: (what: string) => void },
  settings: LaunchSettings,
): Promise<Launched> {
  const state = takeStateDirectory(stateRoot(settings), settings.name);
  try {
    const isolation = await chooseIsolation(parts, settings);
    if (isolation.mode === 'loopback') {
      parts.report(
        `${isolation.reason}: using loopback mode, pods live on addresses of 127.0.0.0/8`,
      );
    }
    const opened =
      settings.given === undefined
        ? await openDoorway(state.path, settings.port ?? 0)
        : await openOutlets(state.path, settings.given, settings.nodes ?? 0);
    const inner: InnerSettings = {
      name: settings.name,
      mode: isolation.mode,
      directory: state.path,
      api: opened.api,
    };
    return new Sandbox(
      { ...parts, ...opened, state, child: start(isolation, inner, settings) },
      inner,
    );
  } catch (error) {
    state.close();
    throw error;
  }
}

type Opened = {
  readonly api: InnerSettings['api'];
  readonly apiServer: Launched['apiServer'];
  readonly passages: readonly Passage[];
};

/** From the machine's 127.0.0.1 to the sandbox's own API server. */
async function openDoorway(directory: string, port: number): Promise<Opened> {
  const socketPath = join(directory, 'api.sock');
  const doorway = await openPassage({ host: '127.0.0.1', port }, { path: socketPath });
  const apiServer = { host: '127.0.0.1', port: doorway.port };
  return { api: { kind: 'own', socketPath, port: doorway.port }, apiServer, passages: [doorway] };
}

/** From the sandbox to a given API server, and from the machine's 127.0.0.1 to each kubelet, which it must reach. */
async function openOutlets(directory: string, given: GivenServer, nodes: number): Promise<Opened> {
  await checkReachable(given);
  const { host, port, kubeconfig } = given;
  const kubeconfigPath = join(directory, 'apiserver', 'kubeconfig');
  mkdirSync(dirname(kubeconfigPath), { mode: 0o700 });
  writeFileSync(kubeconfigPath, kubeconfig, { mode: 0o600 });
  const socketPath = join(directory, 'out.sock');
  const passages = [await openPassage({ path: socketPath }, { host, port })];
  const kubelets: { readonly socketPath: string; readonly port: number }[] = [];
  for (let node = 1; node <= nodes; node++) {
    const path = join(directory, `n${node}.sock`);
    const passage = await openPassage({ host: '127.0.0.1', port: 0 }, { path });
    passages.push(passage);
    kubelets.push({ socketPath: path, port: passage.port });
  }
  const api = { kind: 'given', kubeconfigPath, socketPath, kubelets } as const;
  return { api, apiServer: { host, port }, passages };
}

async function chooseIsolation(
  parts: { report: Reporter },
  settings: LaunchSettings,
): Promise<Isolation> {
  if (settings.network === 'loopback') return { mode: 'loopback', reason: 'As asked' };
  if (settings.network === 'auto' && isThere('unshare', settings.env)) {
    // where the kernel makes no namespaces, the programs that would fill them are not worth installing
    const namespaces = await probeNamespaces(settings);
    if (namespaces.mode === 'loopback') return namespaces;
  }
  const requirements = await requirePrograms(parts, settings);
  if (requirements.state === 'missing') throw new Error(missingMessage(requirements));
  const isolation = await probeIsolation(settings);
  if (isolation.mode === 'loopback' && settings.network === 'netns') {
    throw new Error(
      `Cannot make the sandbox's network: ${isolation.reason}; use "--network loopback"`,
    );
  }
  return isolation;
}

function start(isolation: Isolation, inner: InnerSettings, settings: LaunchSettings): ChildProcess {
  const prefix =
    isolation.mode === 'netns'
      ? [...isolation.prefix, ...(isolation.ownProcesses ? FIRST_PROCESS : [])]
      : [];
  const [program = '', ...args] = [...prefix, process.execPath, ...settings.program];
  const child = spawn(program, args, {
    env: { ...withSystemPrograms(settings.env), [INNER_VARIABLE]: JSON.stringify(inner) },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'],
    // a group of its own: Ctrl-C is for this process, which then ends the sandbox in order
    detached: true,
  });
  child.stdio[4]?.on('error', () => {});
  return child;
}

type SandboxParts = {
  readonly clock: Clock;
  readonly state: StateDirectory;
  readonly apiServer: Launched['apiServer'];
  readonly passages: readonly Passage[];
  readonly child: ChildProcess;
  readonly progress?: (what: string) => void;
};

class Sandbox implements Launched {
  readonly mode: NetworkMode;
  readonly directory: string;
  readonly apiServer: Launched['apiServer'];
  readonly ready: Launched['ready'];
  readonly exited: Promise<number>;
  readonly #parts: SandboxParts;
  #closing: Promise<void> | undefined;

  constructor(parts: SandboxParts, inner: InnerSettings) {
    this.#parts = parts;
    this.mode = inner.mode;
    this.directory = inner.directory;
    this.apiServer = parts.apiServer;
    this.exited = exitOf(parts.child);
    this.ready = readinessOf(parts, this.exited);
    // whoever does not wait for readiness learns of the end by `exited`
    this.ready.catch(() => {});
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { clock, state, passages, child } = this.#parts;
    const stop: OuterMessage = { type: 'stop' };
    // it may have ended by itself: then there is nobody to tell
    if (child.connected) child.send(stop, () => {});
    // unshare passes our SIGKILL on to the sandbox, and the kernel to all in it
    const timer = clock.timer(STOP_GRACE_MS, () => child.kill('SIGKILL'));
    await this.exited;
    timer.cancel();
    for (const passage of passages) await passage.close();
    state.close();
  }
}

function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((done) => {
    child.on('error', () => {
      done(1);
    });
    child.on('exit', (code) => {
      done(code ?? 1);
    });
  });
}

function readinessOf(
  { child, progress }: SandboxParts,
  exited: Promise<number>,
): Promise<Readonly<Record<string, string>>> {
  return new Promise((resolve, reject) => {
    child.on('message', (message: InnerMessage) => {
      if (message.type === 'ready') resolve(message.details);
      else progress?.(message.what);
    });
    void exited.then((code) => {
      reject(
        new Error(
          `The sandbox ended with code ${code} before it was up; its messages above say why`,
        ),
      );
    });
  });
}
