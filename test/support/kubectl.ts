// kubectl as a person runs it: the program of this machine, a kubeconfig, arguments. Used by end-to-end tests.

import { spawn, spawnSync } from 'node:child_process';

// far above any command here; a kubectl that hangs names itself
const TIMEOUT_MS = 60_000;

export type Answer = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Runs `kubectl ARGS`; resolves with its standard output. @throws Error with what it printed unless it exits 0 */
export type Kubectl = {
  (args: readonly string[], input?: string): Promise<string>;
  /** The same, whatever the exit code. */
  tried(args: readonly string[], input?: string): Promise<Answer>;
};

/** Why there is no kubectl here; undefined if there is one. */
export function kubectlMissing(): string | undefined {
  const { error, status } = spawnSync('kubectl', ['version', '--client'], { stdio: 'ignore' });
  return error === undefined && status === 0 ? undefined : 'kubectl is not on this machine';
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
  return Object.assign(run, { tried });
}
