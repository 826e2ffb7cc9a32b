// A way between the machine's network and a sandbox's: connections made at one end are passed on, byte for byte, to the
// other. One of the ends is a unix socket, for a path crosses network namespaces where an address does not. Called by
// launch.ts on the machine's side, and by given-api.ts on the sandbox's.

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP address or the path of a unix socket. */
export type PassageEnd =
  | { readonly host: string; readonly port: number }
  | { readonly path: string };

export interface Passage {
  /** The bound one, when it begins at a TCP address. */
  readonly port: number;
  close(): Promise<void>;
}

/** kubectl, informers and pods hold a handful each; above this something has gone wild. */
const MAX_CONNECTIONS = 2_000;

/** Listens at `from`; port 0 stands for any. */
export async function openPassage(from: PassageEnd, to: PassageEnd): Promise<Passage> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ ...to, allowHalfOpen: true });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    }
    join(near, far);
    join(far, near);
  });
  server.maxConnections = MAX_CONNECTIONS;
  const listening = once(server, 'listening');
  server.listen({ ...from });
  await listening;
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
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
