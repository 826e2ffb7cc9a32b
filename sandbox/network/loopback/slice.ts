// Takes a slice of 127.0.0.0/8 for one sandbox. Called by cluster.ts. The lock is a listening socket on an address of the
// slice: the kernel gives it to one process at a time, of whatever user, and takes it back when that process is gone.

import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { LIFELINE_PORT, lifelineAddress, SLICE_BASES, type Slice } from './plan.ts';

export interface TakenSlice extends Slice {
  /** Programs below 1024 are not for us: ports there are moved. */
  readonly lowPortsShifted: boolean;
  /** Gives the slice back; processes that hold on to its lifeline end. */
  close(): Promise<void>;
}

/** @throws Error when every slice is taken */
export async function takeSlice(bases: readonly number[] = SLICE_BASES): Promise<TakenSlice> {
  for (const base of bases) {
    const lock = await tryListen(lifelineAddress({ base }), LIFELINE_PORT);
    if (lock === undefined) continue;
    const low = await tryListen(lifelineAddress({ base }), 1, 'EACCES');
    await low?.close();
    return { base, lowPortsShifted: low === undefined, close: () => lock.close() };
  }
  throw new Error(
    `Cannot start another sandbox in loopback mode: all ${bases.length} ranges of 127.0.0.0/8 are in use; take one down with "ambit sandbox down"`,
  );
}

/** undefined when the address is in use, or `alsoNone` is why it cannot be had. */
async function tryListen(
  host: string,
  port: number,
  alsoNone = '',
): Promise<{ close(): Promise<void> } | undefined> {
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => connections.delete(socket));
    socket.resume();
  });
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE' || code === alsoNone) return undefined;
    throw new Error(`Cannot listen on ${host}:${port} for the sandbox's loopback network`, {
      cause: error,
    });
  }
  return {
    close: async () => {
      for (const connection of connections) connection.destroy();
      await closed(server);
    },
  };
}

async function closed(server: Server): Promise<void> {
  const done = once(server, 'close');
  server.close();
  await done;
}
