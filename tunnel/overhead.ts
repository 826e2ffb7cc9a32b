// What a peer may spend on frames that carry nothing: WINDOW_UPDATE, PING, PRIORITY, empty or padded DATA, header blocks
// that go nowhere. nghttp2 counts most kinds itself, but not all, and none of them by their bytes; this counts every byte
// that was read and was neither payload nor its fair wrapping. Called by both ends of a tunnel, once a second.

import type { Http2Stream } from 'node:http2';
import type { Clock, Timer } from '../runtime/clock.ts';
import { CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES } from './windows.ts';

const LOOK_EVERY_MS = 1000;
/** 160,000 window updates, each in a TLS record, or twice that in large ones: 0.1 s of one core. */
export const OVERHEAD_BURST_BYTES = 4 * 1024 * 1024;
/** One percent of a core; enough for a peer that answers each of 4,000 small messages a second with two window updates. */
export const OVERHEAD_BYTES_PER_SECOND = 256 * 1024;
/** A TLS record (22) and a frame header (9) around each chunk, and padding of the same size. */
const BYTES_A_CHUNK = 64;
/** A request's header block as large as anybody sends, or the answer's, and the stream's end. */
const BYTES_A_STREAM = 8 * 1024;
/** Credit for what we sent: two window updates (2 x 35 bytes) for each 4 KiB would be generous. */
const SENT_BYTES_A_BYTE = 64;

// What a stream's peer may have sent before it heard that nobody reads any more: its window, for all streams together the
// connection's. It may arrive a second later.
const BYTES_AN_UNREAD_STREAM = STREAM_WINDOW_BYTES;
const MOST_UNREAD_BYTES = CONNECTION_WINDOW_BYTES;

/** Running totals of one tunnel, counted where the bytes pass. */
export class Traffic {
  /** DATA as it was handed to readers. */
  bytes = 0;
  chunks = 0;
  streams = 0;
  /** Streams that were over before their peer had ended. */
  unread = 0;

  /** Counts a stream and all it is going to read. */
  add(stream: Http2Stream): void {
    this.streams++;
    stream.once('close', () => {
      if (!stream.readableEnded) this.unread++;
    });
    const push = stream.push.bind(stream);
    // Node hands each piece of DATA to push() as it is read, whether anybody listens yet or not
    stream.push = (chunk: Buffer | null, encoding?: BufferEncoding): boolean => {
      if (chunk !== null) {
        this.chunks++;
        this.bytes += chunk.length;
      }
      return push(chunk, encoding);
    };
  }
}

/** Totals so far: of the connection's bytes, encryption included, and of what was carried in them. */
export type Sample = {
  readonly read: number;
  readonly written: number;
  readonly bytes: number;
  readonly chunks: number;
  readonly streams: number;
  readonly unread: number;
};

const NOTHING: Sample = { read: 0, written: 0, bytes: 0, chunks: 0, streams: 0, unread: 0 };

/** A pure account: samples in, verdict out. */
export class OverheadBudget {
  #left = OVERHEAD_BURST_BYTES;
  #last = NOTHING;
  #lastUnread = 0;

  /** Takes what was spent since the last sample; false when it was more than there was. */
  spend(sample: Sample, elapsedMs: number): boolean {
    const last = this.#last;
    this.#last = sample;
    const unread = sample.unread - last.unread;
    const late = Math.min(MOST_UNREAD_BYTES, (unread + this.#lastUnread) * BYTES_AN_UNREAD_STREAM);
    this.#lastUnread = unread;
    const carried =
      late +
      sample.bytes -
      last.bytes +
      (sample.chunks - last.chunks) * BYTES_A_CHUNK +
      (sample.streams - last.streams) * BYTES_A_STREAM +
      (sample.written - last.written) / SENT_BYTES_A_BYTE;
    // bytes that carried less than they might have are no credit for later ones
    const spent = Math.max(0, sample.read - last.read - carried);
    const earned = (elapsedMs * OVERHEAD_BYTES_PER_SECOND) / 1000;
    this.#left = Math.min(OVERHEAD_BURST_BYTES, this.#left + earned) - spent;
    return this.#left >= 0;
  }
}

/** Looks once a second, and calls `spent` once when the peer has spent too much. */
export function watchOverhead(
  parts: { readonly clock: Clock },
  socket: { readonly bytesRead: number; readonly bytesWritten: number },
  traffic: Traffic,
  spent: () => void,
): { stop(): void } {
  const budget = new OverheadBudget();
  let timer: Timer;
  const look = (): void => {
    const { bytesRead: read, bytesWritten: written } = socket;
    const { bytes, chunks, streams, unread } = traffic;
    if (!budget.spend({ read, written, bytes, chunks, streams, unread }, LOOK_EVERY_MS)) {
      spent();
      return;
    }
    timer = parts.clock.timer(LOOK_EVERY_MS, look);
  };
  timer = parts.clock.timer(LOOK_EVERY_MS, look);
  return { stop: () => timer.cancel() };
}
