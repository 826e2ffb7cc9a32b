// Which server a TLS client asks for, read off its first bytes, which stay in the socket. Called by accept-connection.ts
// before anything answers, since that says who answers. Bounded by whoever waits; by size in wire/client-hello.ts.

import type { Socket } from 'node:net';
import { readClientHello } from '../../wire/client-hello.ts';

/** `name` is empty when it asks for none. */
export type ClientName =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'none'; readonly why: string };

/** Never rejects; a socket that ends before gives `none`. */
export function readClientName(socket: Socket): Promise<ClientName> {
  return new Promise((resolve) => {
    let seen: Buffer = Buffer.alloc(0);
    const settle = (found: ClientName): void => {
      socket.off('readable', read);
      socket.off('end', ended);
      socket.off('close', ended);
      if (seen.length > 0 && !socket.destroyed && !socket.readableEnded) socket.unshift(seen);
      resolve(found);
    };
    const ended = (): void => settle({ kind: 'none', why: 'it ended before its first message' });
    const read = (): void => {
      for (let chunk = next(); chunk !== null; chunk = next()) {
        seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
        const result = readClientHello(seen);
        if (result.state === 'more') continue;
        settle(
          result.state === 'done'
            ? { kind: 'name', name: result.hello.serverName ?? '' }
            : { kind: 'none', why: `its first message is no TLS: ${result.reason}` },
        );
        return;
      }
    };
    const next = (): Buffer | null => socket.read() as Buffer | null;
    socket.on('readable', read);
    socket.once('end', ended);
    socket.once('close', ended);
    read();
  });
}
