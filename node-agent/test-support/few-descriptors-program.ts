// A process with few descriptors whose listener is connected to until none is left: told as JSON on stdout. Started by
// limits.test.ts, under `ulimit -n`.

import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { listen } from '../capture/listener.ts';

/** Long enough to tell a process that waits from one that spins. */
const WATCHED_MS = 500;

const accepted: Socket[] = [];
// an address of this process only
const port = 15001;
const host = `127.77.${(process.pid >> 8) % 256}.${process.pid % 256}`;
const listener = await listen({ host, port }, (socket) => {
  accepted.push(socket);
  socket.resume();
  socket.on('data', (bytes) => socket.write(bytes));
});

async function speak(socket: Socket): Promise<number> {
  socket.write('x');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  return answer.length;
}

const first = connect(port, host);
await once(first, 'connect');
await speak(first);
// one is left for the caller's end of the next connection, none for ours
const taken: number[] = [];
try {
  for (;;) taken.push(openSync('/dev/null', 'r'));
} catch {
  // all are taken
}
closeSync(taken.pop() ?? -1);
const second = connect(port, host);
second.on('error', () => {});
second.resume();
const before = process.cpuUsage();
await once(second, 'close');
await new Promise((resolve) => {
  setTimeout(resolve, WATCHED_MS);
});
const { user, system } = process.cpuUsage(before);
const acceptedThen = accepted.length;
const served = await speak(first);
for (const fd of taken) closeSync(fd);
const third = connect(port, host);
await once(third, 'connect');
const again = await speak(third);
process.stdout.write(
  JSON.stringify({
    accepted: acceptedThen,
    served,
    again,
    cpuPart: (user + system) / 1000 / WATCHED_MS,
  }),
);
for (const socket of [first, third, ...accepted]) socket.destroy();
await listener.close();
