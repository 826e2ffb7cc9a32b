// What Node's HTTP/2 does not tell of a client's connection: requests that were refused before they were any, header blocks
// that do not end, and frames that carry nothing. Made by http2-server.ts for each connection. Invariant: it only looks;
// what it finds ends the connection, never a request alone.

import type { ServerHttp2Stream } from 'node:http2';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { Traffic, watchOverhead } from '../../tunnel/overhead.ts';
import { FrameHeads } from '../../wire/http2-frames.ts';
import type { Refusal } from './http1-connection.ts';
import type { StreamSocket } from './stream-socket.ts';

const PREFACE_BYTES = 24;

// a client may give up many requests at once; who goes on is a rapid reset (CVE-2023-44487)
export const TAKEN_BACK_BURST = 500;
export const TAKEN_BACK_A_SECOND = 50;
/** More than can be open at once. */
const KNOWN_REQUESTS = 400;

/** Codes by which the codec says that a stream broke the protocol (RFC 9113 section 7). */
const BY_CODE: Readonly<Record<number, string>> = {
  1: 'protocol_error',
  3: 'flow_control_error',
  5: 'stream_closed',
  6: 'frame_size_error',
  9: 'compression_error',
  11: 'enhance_your_calm',
};

/** undefined: a stream that was reset so broke no rule. */
export function brokenRule(code: number | undefined): string | undefined {
  return BY_CODE[code ?? 0];
}

export type WatchParts = {
  readonly clock: Clock;
  readonly headTimeoutMs: number;
  /** A stream was refused; the connection goes on. */
  readonly onRefused: (refusal: Refusal) => void;
  /** The connection is to end. */
  readonly onBroken: (refusal: Refusal) => void;
};

export class Http2Watch {
  readonly #parts: WatchParts;
  readonly #traffic = new Traffic();
  /** Streams that became requests: what breaks them is told with them. */
  readonly #requests = new Set<number>();
  #takenBack = { left: TAKEN_BACK_BURST, at: 0 };
  readonly #incoming: FrameHeads;
  readonly #overhead: { stop(): void };
  #slow: Timer | undefined;
  #flooded = false;

  constructor(socket: StreamSocket, parts: WatchParts) {
    this.#parts = parts;
    this.#incoming = new FrameHeads(PREFACE_BYTES);
    const outgoing = new FrameHeads(0, (stream, code) => this.#reset(stream, code));
    socket.watchWritten = (chunk) => outgoing.push(chunk);
    socket.on('data', (chunk: Buffer) => this.#came(chunk));
    this.#overhead = watchOverhead(parts, socket, this.#traffic, () => {
      const why = 'more frames that carry nothing than anybody needs';
      parts.onBroken({ status: 429, reason: 'overhead', why });
    });
    socket.once('close', () => this.#stop());
  }

  add(stream: ServerHttp2Stream): void {
    const { id } = stream;
    this.#traffic.add(stream);
    if (id !== undefined) this.#requests.add(id);
    // a reset is written after its stream has closed
    const [oldest] = this.#requests;
    if (this.#requests.size > KNOWN_REQUESTS && oldest !== undefined) {
      this.#requests.delete(oldest);
    }
    stream.once('close', () => {
      if (stream.rstCode !== 0) this.#countTakenBack();
    });
  }

  /** Each has begun something at an endpoint, whoever ended it: the client, or the codec because of what the client did. */
  #countTakenBack(): void {
    const now = this.#parts.clock.monotonic();
    const { left, at } = this.#takenBack;
    const earned = ((now - at) * TAKEN_BACK_A_SECOND) / 1000;
    this.#takenBack = { left: Math.min(TAKEN_BACK_BURST, left + earned) - 1, at: now };
    if (this.#takenBack.left >= 0 || this.#flooded) return;
    this.#flooded = true;
    const why = 'it opens requests and takes them back';
    this.#parts.onBroken({ status: 429, reason: 'rapid_reset', why });
  }

  #came(chunk: Buffer): void {
    this.#incoming.push(chunk);
    if (!this.#incoming.inHeaders) {
      this.#slow?.cancel();
      this.#slow = undefined;
      return;
    }
    const { clock, headTimeoutMs, onBroken } = this.#parts;
    this.#slow ??= clock.timer(headTimeoutMs, () => {
      const why = `no whole head within ${headTimeoutMs} ms`;
      onBroken({ status: 408, reason: 'slow_head', why });
    });
  }

  #reset(stream: number, code: number): void {
    const reason = brokenRule(code);
    if (reason === undefined || this.#requests.has(stream)) return;
    this.#parts.onRefused({ status: 400, reason, why: `stream ${stream} broke the protocol` });
  }

  #stop(): void {
    this.#overhead.stop();
    this.#slow?.cancel();
  }
}
