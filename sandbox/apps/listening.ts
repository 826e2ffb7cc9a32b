// A server's life in an app: listens on every address of the pod, knows its sockets, and ends politely: no new
// connections, open ones finish, and what is left at the deadline is cut. Used by every app.

import type { Server, Socket } from 'node:net';

export type Listening = {
  readonly port: number;
  /** Resolves when the last connection has ended; those open after `graceMs` are cut. */
  close(graceMs: number): Promise<void>;
};

export function listenOn(server: Server, port: number): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    // a peer that resets is not this app's fault
    socket.on('error', () => {});
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port }, () => {
      server.off('error', reject);
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : port,
        close: (graceMs) =>
          new Promise((done) => {
            const cut = setTimeout(() => {
              for (const socket of sockets) socket.destroy();
            }, graceMs);
            server.close(() => {
              clearTimeout(cut);
              done();
            });
          }),
      });
    });
  });
}
