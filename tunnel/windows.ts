// How much a peer may send before we have read it. The reference peers' values: a window covers 4 MiB in flight a stream
// (10 Gbit/s at 3 ms), 16 MiB a connection. Read by session.ts, which announces them, overhead.ts, which bears them, and
// whoever dials for a tunnel.
//
// Invariant: the asking end lets its peer send no more than its own socket holds unread. An HTTP/2 session of Node reads
// nothing while one of its writes waits for the peer; two such ends, with more on its way to each than their sockets hold,
// would wait for each other for ever. One end whose peer can always finish writing is enough, and keeps the other reading.

import type { Duplex } from 'node:stream';
import { RoomySocket } from './socket.ts';

export const STREAM_WINDOW_BYTES = 4 * 1024 * 1024;
export const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
/** HTTP/2's own (RFC 9113 section 6.9.2), below which no end can start; every socket's buffer holds as much. */
const LEAST_WINDOW_BYTES = 65_535;

// TLS records and frame headers around what a window counts: an eighth is what chunks of 250 bytes need
const WRAPPING = 9 / 8;

/** The room to ask for when dialling for a tunnel. */
export const TUNNEL_ROOM_BYTES = CONNECTION_WINDOW_BYTES * WRAPPING;

/** The connection window that the asking end of a tunnel announces on `socket`. */
export function askingWindow(socket: Duplex): number {
  if (!(socket instanceof RoomySocket)) return LEAST_WINDOW_BYTES;
  const held = Math.floor(socket.roomBytes / WRAPPING);
  return Math.min(CONNECTION_WINDOW_BYTES, Math.max(LEAST_WINDOW_BYTES, held));
}
