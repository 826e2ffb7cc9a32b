// A listening socket of ours in a pod, by address or by descriptor. Called by the capture drivers. It owns the sockets
// it listens on, never the connections it accepted.

import { createServer, type Server, type Socket } from 'node:net';
import { ignoreError } from '../../tunnel/socket.ts';

/** Connections the kernel keeps for us between two turns of the event loop; a burst of a busy pod fits in. */
const BACKLOG = 1024;

export type Listener = {
  /** The descriptor it was given. */
  readonly fd: number | undefined;
  close(): Promise<void>;
};

export async function listen(
  where: { readonly fd: number } | { readonly host: string; readonly port: number },
  onConnection: (socket: Socket) => void,
): Promise<Listener> {
  // paused: nothing is read before the connection's way is clear
  const server = createServer(
    { allowHalfOpen: true, pauseOnConnect: true, noDelay: true },
    (socket) => {
      socket.on('error', ignoreError);
      onConnection(socket);
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // a new agent takes over while the old one drains; a descriptor comes with its own options
    const reusePort = 'port' in where;
    server.listen({ ...where, backlog: BACKLOG, exclusive: true, reusePort }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  // an accept that fails (no descriptors left) costs that connection only
  server.on('error', () => {});
  return { fd: 'fd' in where ? where.fd : undefined, close: () => stop(server) };
}

/** Resolves when the socket is closed; accepted connections go on. */
function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) {
      resolve();
      return;
    }
    // the callback waits for the accepted connections too, but close() itself shuts the listening socket at once
    server.close();
    setImmediate(resolve);
  });
}
