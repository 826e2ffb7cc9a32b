// port-forward over a WebSocket in channel pairs, as @kubernetes/client-node does it: port n has data on channel 2n and
// errors on 2n+1, and each of our channels starts with the port number. One connection a port; no half-close.

import { Buffer } from 'node:buffer';
import { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { WebSocket } from 'ws';
import { type ChannelSettings, Channels } from './channels.ts';
import { forwardConnection } from './forward.ts';
import type { StreamSession } from './session.ts';

const NORMAL_CLOSURE = 1000;

export async function forwardOverWebSocket(
  parts: { readonly socket: WebSocket; readonly settings: ChannelSettings },
  ports: readonly number[],
  dial: NonNullable<StreamSession['dial']>,
  signal: AbortSignal,
): Promise<void> {
  const { socket } = parts;
  const channels = new Channels({ socket }, parts.settings);
  const gone = new AbortController();
  const closed = channels.closed.then(() => gone.abort());
  const onAbort = (): void => socket.terminate();
  signal.addEventListener('abort', onAbort, { once: true });
  const clients = ports.map((port, index) => {
    const error = channels.writable(index * 2 + 1);
    const readable = channels.readable(index * 2);
    const writable = channels.writable(index * 2);
    for (const stream of [error, readable, writable]) {
      // a client that leaves breaks its channels; forwarding ends by `gone`
      stream.on('error', () => {});
    }
    const number = Buffer.alloc(2);
    number.writeUInt16LE(port);
    writable.write(number);
    error.write(number);
    return { port, error, data: Duplex.from({ readable, writable }) };
  });
  await Promise.all(
    clients.map(({ port, error, data }) =>
      forwardConnection({ data, error, halfClose: false }, port, dial, gone.signal),
    ),
  );
  // a dial that fails at once must not close the connection before its reason is on the way
  await Promise.all(clients.map(({ error }) => finished(error).catch(() => {})));
  socket.close(NORMAL_CLOSURE);
  await closed;
  signal.removeEventListener('abort', onAbort);
}
