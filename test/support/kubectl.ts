// kubectl as a person runs it: the program of this machine, a kubeconfig, arguments. Used by end-to-end tests.

import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';

// far above any command here; a kubectl that hangs names itself
const TIMEOUT_MS = 60_000;

export type Answer = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Runs `kubectl ARGS`; resolves with its standard output. @throws Error with what it printed unless it exits 0 */
export type Kubectl = {
  (args: readonly string[], input?: string): Promise<string>;
  /** The same, whatever the exit code. */
  tried(args: readonly string[], input?: string): Promise<Answer>;
  /** Starts one that goes on until it is closed: `logs -f`, `port-forward`. */
  started(args: readonly string[]): Running;
};

export interface Running extends AsyncDisposable {
  /** The first match in all it has printed. @throws Error with what it printed if there never is one */
  printed(pattern: RegExp): Promise<RegExpExecArray>;
  close(): Promise<void>;
}

/** The programs to test with: `AMBIT_TEST_KUBECTL` names several as in PATH, else it is `kubectl`. */
export function kubectlPrograms(): readonly string[] {
  const named = (process.env['AMBIT_TEST_KUBECTL'] ?? '').split(':').filter((one) => one !== '');
  return named.length > 0 ? named : ['kubectl'];
}

/** Why there is no kubectl here; undefined if there is one. */
export function kubectlMissing(program = 'kubectl'): string | undefined {
  const { error, status } = spawnSync(program, ['version', '--client'], { stdio: 'ignore' });
  if (error === undefined && status === 0) return undefined;
  return `${program} is not on this machine; install it (https://kubernetes.io/docs/tasks/tools/) to run these tests`;
}

export function kubectlFor(kubeconfig: string, program = 'kubectl'): Kubectl {
  const tried = (args: readonly string[], input?: string): Promise<Answer> => {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const child = spawn(program, args, {
      env: { ...process.env, KUBECONFIG: kubeconfig },
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
    // it may end without reading
    child.stdin.on('error', () => {});
    child.stdin.end(input ?? '');
    return promise;
  };
  const run = async (args: readonly string[], input?: string): Promise<string> => {
    const { code, stdout, stderr } = await tried(args, input);
    if (code !== 0) {
      throw new Error(`kubectl ${args.join(' ')} exited with ${code}: ${stderr || stdout}`);
    }
    return stdout;
  };
  const started = (args: readonly string[]): Running =>
    running(spawn(program, args, { env: { ...process.env, KUBECONFIG: kubeconfig } }), args);
  return Object.assign(run, { tried, started });
}

function running(child: ChildProcessWithoutNullStreams, args: readonly string[]): Running {
  let text = '';
  const heard = new EventEmitter();
  const hear = (chunk: string): void => {
    text += chunk;
    heard.emit('more');
  };
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  const ended = new Promise<void>((resolve) => {
    child.on('close', () => resolve());
    child.on('error', (error) => {
      text += error.message;
      resolve();
    });
  });
  const close = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
  };
  return {
    async printed(pattern) {
      const giveUp = AbortSignal.timeout(TIMEOUT_MS);
      const over = ended.then(() => 'ended');
      const late = once(giveUp, 'abort').then(() => `printed it not within ${TIMEOUT_MS} ms`);
      for (;;) {
        const match = pattern.exec(text);
        if (match !== null) return match;
        const more = once(heard, 'more').then(() => undefined);
        const fate = await Promise.race([more, over, late]);
        if (fate !== undefined && pattern.exec(text) === null) {
          throw new Error(`kubectl ${args.join(' ')} ${fate}; ${pattern} is not in: ${text}`);
        }
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
