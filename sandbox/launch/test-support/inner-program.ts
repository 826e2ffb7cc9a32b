// A stand-in for the sandbox's inner process: it says where it runs, serves an echo in place of the API server and leaves
// a grandchild behind. Started by launch's tests through `launch`.

import { spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { innerSandbox } from '../inner.ts';

const inner = innerSandbox(process.env);
if (inner === undefined) throw new Error('To be started by launch');

// With namespaces nothing may outlive the sandbox, whatever it is; without, pods end themselves, as this `cat` does.
const [command, stdin] =
  inner.mode === 'netns' ? (['sleep', 'ignore'] as const) : (['cat', 'pipe'] as const);
const child = spawn(command, inner.mode === 'netns' ? ['1000'] : [], {
  stdio: [stdin, 'ignore', 'ignore'],
  detached: true,
});
child.unref();
const server = createServer((socket) => socket.pipe(socket));
server.listen(inner.api.socketPath, () => {
  if (process.argv.includes('--fail')) process.exit(3);
  inner.ready({
    mode: inner.mode,
    netns: readlinkSync('/proc/self/ns/net'),
    pid: String(process.pid),
  });
  // never gives way to events again
  if (process.argv.includes('--hang'))
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
});
inner.stop.addEventListener('abort', () => {
  child.kill();
  server.close();
  inner.close();
});
