// exec, attach and port-forward of one pod as streams/ wants them: free of any wire protocol. Called by server.ts.
// A terminal is made by `script` of util-linux where that is installed, with the size the client had at first; without
// it the command runs without a terminal and says so on stderr.

import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../../runtime/clock.ts';
import type { Container } from '../container/container.ts';
import { type ExecTarget, spawnInContainer } from '../container/container-exec.ts';
import { quote } from '../container/mount-view.ts';
import { containerProcess, spawned } from '../container/processes.ts';
import { readLog } from '../logs/log-reader.ts';
import type { PodOnNode } from '../pod/pod.ts';
import type { ExecIo, ExecOutcome, StreamSession, TerminalSize } from '../streams/session.ts';
import { findProgram } from '../tools.ts';

// A command's own children may hold its pipes for ever; after its exit their last words get this long.
const LAST_OUTPUT_MS = 500;

export function execSession(
  container: Container,
  command: readonly string[],
  clock: Clock,
): StreamSession {
  return {
    async exec(io) {
      const run = container.current;
      if (run === undefined) return notRunning(container);
      if (command.length === 0) return { error: 'you must specify at least one command' };
      return execute(run.target.exec, command, io, clock);
    },
  };
}

async function execute(
  target: ExecTarget,
  command: readonly string[],
  io: ExecIo,
  clock: Clock,
): Promise<ExecOutcome> {
  const { words, variables } = io.tty
    ? withTerminal(command, io)
    : { words: command, variables: {} };
  const child = spawnInContainer(target, words, { stdio: ['pipe', 'pipe', 'pipe'], variables });
  child.on('error', () => {});
  // a command that does not read its input breaks the pipe: no fault
  child.stdin?.on('error', () => {});
  await spawned(child, command[0] ?? '');
  const process = containerProcess(child);
  const kill = (): void => process.kill();
  if (io.signal.aborted) kill();
  io.signal.addEventListener('abort', kill, { once: true });
  if (io.stdin === undefined) child.stdin?.end();
  else if (child.stdin !== null) io.stdin.pipe(child.stdin);
  const closed = once(child, 'close');
  if (io.stdout === undefined) child.stdout?.resume();
  else child.stdout?.pipe(io.stdout, { end: false });
  const errors = io.stderr ?? io.stdout;
  if (errors === undefined) child.stderr?.resume();
  else child.stderr?.pipe(errors, { end: false });
  try {
    const { code } = await process.exited;
    const patience = new AbortController();
    await Promise.race([closed, clock.sleep(LAST_OUTPUT_MS, patience.signal).catch(() => {})]);
    patience.abort();
    return { exitCode: code };
  } finally {
    io.signal.removeEventListener('abort', kill);
    io.stdin?.unpipe();
    child.stdout?.destroy();
    child.stderr?.destroy();
  }
}

function withTerminal(
  command: readonly string[],
  io: ExecIo,
): { words: readonly string[]; variables: Record<string, string> } {
  const variables = { TERM: 'xterm-256color' };
  const script = findProgram('script');
  if (script === undefined) {
    io.stdout?.write('No terminal: "script" is not installed (apt-get install bsdutils)\r\n');
    return { words: command, variables };
  }
  let size: TerminalSize = { width: 80, height: 24 };
  io.resize((next) => {
    size = next;
  });
  const resized = `stty cols ${size.width} rows ${size.height} 2>/dev/null; exec`;
  const line = `${resized} ${command.map(quote).join(' ')}`;
  return {
    words: [script, '--quiet', '--flush', '--return', '--command', line, '/dev/null'],
    variables,
  };
}

/** The output from now on; a container here has no stdin to write to. */
export function attachSession(container: Container): StreamSession {
  return {
    async exec(io) {
      const log = container.log(false);
      if (container.current === undefined || log === undefined) return notRunning(container);
      const options = { follow: true, timestamps: false, tailLines: 0 };
      for await (const chunk of readLog(log, options, io.signal)) {
        if (io.stdout?.write(chunk) === false)
          await once(io.stdout, 'drain', { signal: io.signal });
      }
      return { exitCode: 0 };
    },
  };
}

export function forwardSession(pod: PodOnNode): StreamSession {
  return {
    async dial(port): Promise<Duplex> {
      const { network } = pod;
      const { namespace, name } = pod.ref;
      if (network === undefined) {
        throw new Error(`Cannot forward port ${port}: pod "${namespace}/${name}" does not run`);
      }
      return network.dial(port);
    },
  };
}

function notRunning(container: Container): ExecOutcome {
  const { state } = container.record.life;
  return { error: `container "${container.spec.name}" is not running: it is ${state}` };
}
