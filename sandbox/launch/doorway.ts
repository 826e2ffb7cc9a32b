// The machine's way into a sandbox: connections to a port of 127.0.0.1 are passed on, byte for byte, to a unix socket that
// the sandbox's API server listens on (a path crosses network namespaces, an address does not). Called by launch.ts.

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface Doorway {
  readonly address: { readonly host: string; readonly port: number };
  close(): Promise<void>;
}

/** kubectl and informers hold a handful each; above this something has gone wild. */
const MAX_CONNECTIONS = 2_000;

export async function openDoorway(settings: {
  port: number;
  socketPath: string;
}): Promise<Doorway> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ path: settings.socketPath, allowHalfOpen: true });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    }
    join(near, far);
    join(far, near);
  });
  server.maxConnections = MAX_CONNECTIONS;
  const listening = once(server, 'listening');
  server.listen({ host: '127.0.0.1', port: settings.port });
  await listening;
  const address = server.address();
  if (typeof address !== 'object' || address === null)
    throw new Error('The doorway has no address');
  return {
    address: { host: '127.0.0.1', port: address.port },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** What comes from one goes to the other; an end is passed on, a failure ends both. */
function join(from: Socket, to: Socket): void {
  from.pipe(to);
  from.on('error', () => to.destroy());
  from.on('close', () => to.destroySoon());
}
