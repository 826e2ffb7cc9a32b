// Runs a program that is not Node.js as its child and is in its place: same output, same exit, signals passed on.
// Started in loopback mode only, where the pod's address is given to Node.js programs; the child itself has none.

import { spawn } from 'node:child_process';
import { constants } from 'node:os';

const [program = '', ...args] = process.argv.slice(2);
const child = spawn(program, args, { stdio: 'inherit' });

const PASSED_ON: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'];
for (const signal of PASSED_ON) process.on(signal, () => child.kill(signal));

child.on('error', (error) => {
  process.stderr.write(`exec: "${program}": ${error.message}\n`);
  process.exit(127);
});
child.on('exit', (code, signal) => {
  process.exit(signal === null ? (code ?? 0) : 128 + constants.signals[signal]);
});
