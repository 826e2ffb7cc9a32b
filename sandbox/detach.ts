// `up --detach`: starts the same program in the background, waits until its sandbox is up, and leaves. What the program
// says goes to a log beside the sandbox's directory, and to the terminal when it fails.

import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The line by which the background program says that it is up; its rest is for the person. */
const UP = /The sandbox is up/;

export function detach(root: string, words: readonly string[], name: string): Promise<number> {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const logPath = join(root, `${name}.out`);
  const log = openSync(logPath, 'w', 0o600);
  const program = process.argv[1] ?? '';
  const child = spawn(process.execPath, [program, ...words.filter((word) => word !== '--detach')], {
    stdio: ['ignore', log, log],
    detached: true,
  });
  return new Promise((resolve, reject) => {
    const look = setInterval(() => {
      if (!UP.test(readFileSync(logPath, 'utf8'))) return;
      done(0);
    }, 100);
    const done = (code: number): void => {
      clearInterval(look);
      process.stdout.write(readFileSync(logPath, 'utf8'));
      child.unref();
      resolve(code);
    };
    child.on('error', reject);
    child.on('exit', (code) => done(code === 0 ? 1 : (code ?? 1)));
  });
}
