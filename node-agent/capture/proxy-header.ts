// Reads the PROXY protocol v2 header a hooked program opens its connection with, and leaves what follows unread. Called by
// loopback.ts for each captured connection.

import type { Socket } from 'node:net';
import type { IpPort } from '../../mesh/address.ts';
import type { Clock } from '../../runtime/clock.ts';
import { readProxyHeader } from '../../wire/proxy-protocol.ts';

/** The header is the connection's first packet, sent by the hook itself. */
const HEADER_TIMEOUT_MS = 5000;
/** 16 bytes and two IPv6 ends are 52; the rest is for extensions nobody sends here. */
const MAX_HEADER_BYTES = 1024;

export type ProxyEnds = { readonly source: IpPort; readonly destination: IpPort };

/** The socket comes back paused. @throws Error when no header comes; the caller resets the socket */
export function takeProxyHeader(
  parts: { readonly clock: Clock },
  socket: Socket,
): Promise<ProxyEnds> {
  return new Promise((resolve, reject) => {
    let head: Buffer = Buffer.alloc(0);
    const settle = (): void => {
      timer.cancel();
      socket.off('data', onData);
      socket.off('close', onClose);
      socket.pause();
    };
    const fail = (why: string): void => {
      settle();
      reject(new Error(`Cannot take a captured connection: ${why}`));
    };
    const onClose = (): void => fail('it ended before its PROXY header');
    const timer = parts.clock.timer(HEADER_TIMEOUT_MS, () => fail('no PROXY header came'));
    const onData = (bytes: Buffer): void => {
      head = head.length === 0 ? bytes : Buffer.concat([head, bytes]);
      const read = readProxyHeader(head);
      if (read.state === 'more' && head.length < MAX_HEADER_BYTES) return;
      if (read.state !== 'done') {
        fail('its first bytes are no PROXY header');
        return;
      }
      settle();
      const rest = head.subarray(read.consumed);
      if (rest.length > 0) socket.unshift(rest);
      resolve({ source: read.header.source, destination: read.header.destination });
    };
    socket.on('data', onData);
    socket.on('close', onClose);
    socket.resume();
  });
}
