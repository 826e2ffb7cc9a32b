// port-forward over SPDY/3.1: for each connection the client opens a pair of streams, "error" and "data", that share a
// `requestID` and name the `port`. Called by attach.ts, over a TLS socket or a WebSocket that tunnels SPDY.

import type { Duplex } from 'node:stream';
import type { Clock } from '../../../runtime/clock.ts';
import { forwardConnection } from './forward.ts';
import { messageOf } from './outcome.ts';
import { parsePort } from './request.ts';
import type { StreamSession } from './session.ts';
import { SpdyConnection } from './spdy/connection.ts';
import type { SpdyStream } from './spdy/stream.ts';

/** The two streams of a pair come in one go; half a pair is given up after this time. */
export const PAIR_TIMEOUT_MS = 30_000;

export async function forwardOverSpdy(
  parts: { readonly transport: Duplex; readonly clock: Clock },
  dial: NonNullable<StreamSession['dial']>,
  signal: AbortSignal,
): Promise<void> {
  const { transport, clock } = parts;
  const gone = new AbortController();
  const open = new Set<Promise<void>>();
  const pairs = new Pairs(clock, (error, data) => {
    const forwarded = forwardPair(error, data, dial, gone.signal).finally(() => {
      open.delete(forwarded);
    });
    open.add(forwarded);
  });
  const connection = new SpdyConnection({ transport, onStream: (stream) => pairs.add(stream) });
  try {
    await connection.serve(signal);
  } finally {
    gone.abort();
    pairs.close();
    await Promise.all(open);
  }
}

async function forwardPair(
  error: SpdyStream,
  data: SpdyStream,
  dial: NonNullable<StreamSession['dial']>,
  signal: AbortSignal,
): Promise<void> {
  // the client only ends its half of the error stream
  error.resume();
  let port: number;
  try {
    port = parsePort(data.headers.get('port') ?? '');
  } catch (cause) {
    error.end(messageOf(cause));
    data.destroy();
    return;
  }
  await forwardConnection({ data, error, halfClose: true }, port, dial, signal);
}

type Half = { readonly stream: SpdyStream; readonly cancel: () => void };

/** Streams that wait for their other half, by requestID. */
class Pairs {
  readonly #halves = new Map<string, Half>();
  readonly #clock: Clock;
  readonly #onPair: (error: SpdyStream, data: SpdyStream) => void;

  constructor(clock: Clock, onPair: (error: SpdyStream, data: SpdyStream) => void) {
    this.#clock = clock;
    this.#onPair = onPair;
  }

  add(stream: SpdyStream): void {
    const type = stream.headers.get('streamtype');
    if (type !== 'error' && type !== 'data') {
      stream.destroy();
      return;
    }
    const id = requestId(stream, type);
    const half = this.#halves.get(id);
    if (half === undefined) {
      const timer = this.#clock.timer(PAIR_TIMEOUT_MS, () => {
        this.#halves.delete(id);
        stream.destroy();
      });
      this.#halves.set(id, { stream, cancel: () => timer.cancel() });
      return;
    }
    this.#halves.delete(id);
    half.cancel();
    const other = half.stream;
    if (other.headers.get('streamtype') === type) {
      other.destroy();
      stream.destroy();
    } else if (type === 'data') {
      this.#onPair(other, stream);
    } else {
      this.#onPair(stream, other);
    }
  }

  close(): void {
    for (const { cancel } of this.#halves.values()) cancel();
    this.#halves.clear();
  }
}

/** Clients without request ids open the error stream and, next, the data stream. */
function requestId(stream: SpdyStream, type: 'error' | 'data'): string {
  const id = stream.headers.get('requestid') ?? '';
  if (id !== '') return id;
  return `stream ${type === 'error' ? stream.id : stream.id - 2}`;
}
