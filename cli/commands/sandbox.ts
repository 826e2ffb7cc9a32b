// `ambit sandbox ...`: hands the words over to the sandbox's own program, which the cli does not link in: it is large,
// and a person with a cluster never needs it.

import { spawn } from 'node:child_process';
import { entryPath } from '../../runtime/entry.ts';

/** @returns the sandbox program's exit code */
export function sandbox(words: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [entryPath('sandbox/main'), ...words], {
      stdio: 'inherit',
    });
    // Ctrl-C reaches the child by itself; this process must outlive it to pass on its exit code
    const ignore = (): void => {};
    process.on('SIGINT', ignore);
    process.on('SIGTERM', () => child.kill('SIGTERM'));
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
