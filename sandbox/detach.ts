// `up --detach`: starts the same program in the background, waits until its sandbox is up, and leaves. What the program
// says until then is passed on; afterwards its sandbox has a log of its own. Invariant: it ends with the sandbox up, or
// with nothing left of it.

import { spawn } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** The line by which the background program says that it is up; what follows is for the person. */
const UP = /The sandbox is up/;
/** A person does not notice; a pipe instead of a file would end the program when we leave. */
const LOOK_MS = 100;

/** @returns the exit code: 0 when the sandbox is up */
export async function detach(root: string, words: readonly string[]): Promise<number> {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  // by our own number: the log of a running sandbox of that name, say, is not ours to overwrite
  const path = join(root, `starting.${process.pid}.out`);
  const file = openSync(path, 'w+', 0o600);
  try {
    return await start(words, file);
  } finally {
    closeSync(file);
    rmSync(path, { force: true });
  }
}

function start(words: readonly string[], file: number): Promise<number> {
  const program = process.argv[1] ?? '';
  const child = spawn(
    process.execPath,
    [program, ...words.map((word) => (word === '--detach' ? '--background' : word))],
    { stdio: ['ignore', file, file], detached: true },
  );
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const look = setInterval(() => {
    if (UP.test(textOf(file))) resolve(0);
  }, LOOK_MS);
  child.on('error', reject);
  child.on('exit', (code) => resolve(code === 0 ? 1 : (code ?? 1)));
  // in a group of its own it hears no Ctrl-C; told to end, it takes down what it has, then exits
  const stop = (): void => void child.kill('SIGTERM');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  return promise.finally(() => {
    clearInterval(look);
    process.stdout.write(textOf(file));
    child.unref();
  });
}

/** All that was written to a file so far, by whoever. */
function textOf(file: number): string {
  const buffer = Buffer.alloc(fstatSync(file).size);
  return buffer.toString('utf8', 0, readSync(file, buffer, 0, buffer.length, 0));
}
