// Tells HTTP/2 with prior knowledge from HTTP/1 by the first bytes of a connection, so that one port speaks both. Called
// by every app that serves HTTP. Invariant: whoever takes the connection reads it from its first byte.

import { createServer, type Server, type Socket } from 'node:net';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

type Speaker = { emit(event: 'connection', socket: Socket): unknown };

/** One server in front of two. */
export function eitherVersion(http1: Speaker, http2: Speaker): Server {
  return createServer((socket) => {
    socket.on('error', () => {});
    detect(socket, (isHttp2) => (isHttp2 ? http2 : http1).emit('connection', socket));
  });
}

/** Reads until the bytes are, or can no longer become, HTTP/2's preface; puts them back. */
function detect(socket: Socket, decide: (isHttp2: boolean) => void): void {
  let seen = Buffer.alloc(0);
  const onReadable = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    seen = Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, PREFACE.length);
    const possible = seen.subarray(0, length).equals(PREFACE.subarray(0, length));
    if (possible && length < PREFACE.length) return;
    socket.off('readable', onReadable);
    socket.unshift(seen);
    decide(possible);
  };
  socket.on('readable', onReadable);
}
