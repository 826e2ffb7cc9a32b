// How much a peer may send before we have read it. The reference peers' values: a window covers 4 MiB in flight a stream
// (10 Gbit/s at 3 ms), 16 MiB a connection. Read by session.ts, which announces them, and overhead.ts, which bears them.

export const STREAM_WINDOW_BYTES = 4 * 1024 * 1024;
export const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
