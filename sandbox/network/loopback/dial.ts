// Connections that the sandbox itself makes from an address of the loopback network: probes and port-forwards.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Connects with `source` as the local address. Rejects with the socket's error, or the signal's reason. */
export async function dialFrom(
  source: string,
  target: { host: string; port: number },
  signal?: AbortSignal,
): Promise<Socket> {
  signal?.throwIfAborted();
  const socket = connect({ ...target, localAddress: source, allowHalfOpen: true });
  const stop = (): void => {
    socket.destroy(signal?.reason instanceof Error ? signal.reason : new Error('Dial was stopped'));
  };
  signal?.addEventListener('abort', stop, { once: true });
  try {
    await once(socket, 'connect');
    return socket;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
