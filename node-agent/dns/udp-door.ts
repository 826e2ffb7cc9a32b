// A pod's queries as datagrams. Called by dns.ts with the socket that capture opened in the pod; capture closes it. A
// datagram is at most one answer, to where it came from, and an answer that has nowhere to go any more is dropped.

import type { RemoteInfo, Socket } from 'node:dgram';

export function serveUdp(
  socket: Socket,
  answer: (message: Uint8Array, signal: AbortSignal) => Promise<Uint8Array | undefined>,
): void {
  const closed = new AbortController();
  socket.on('close', () => closed.abort(new Error('The DNS door of the pod is closed')));
  // an error of one datagram (nobody is at its port any more) concerns only its sender
  socket.on('error', () => {});
  const send = (message: Uint8Array, { port, address }: RemoteInfo): void => {
    if (!closed.signal.aborted) socket.send(message, port, address, () => {});
  };
  socket.on('message', (message, peer) => {
    // nothing can be sent to port 0
    if (peer.port === 0) return;
    void answer(message, closed.signal).then((response) => {
      if (response !== undefined) send(response, peer);
    });
  });
}
