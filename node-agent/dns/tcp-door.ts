// A pod's queries over one TCP connection (RFC 7766): several at once, answered as they are done. Called by dns.ts, which
// owns the connection until it is closed. Invariant: what a connection can make us hold and do is bounded, and one on
// which nothing whole arrives is ended.

import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { MAX_QUERY_BYTES } from '../../wire/dns-query.ts';

/** Between whole queries; a client that keeps its connection asks again within that or makes a new one. */
export const TCP_IDLE_MS = 10_000;
/** Beyond it nothing more is read until one is answered. */
export const MAX_PIPELINED = 16;
/** Then the client has to come anew: no connection lives for ever without the door being asked again. */
const MAX_QUERIES = 10_000;

export type TcpDoorParts = {
  readonly clock: Clock;
  readonly answer: (message: Uint8Array, signal: AbortSignal) => Promise<Uint8Array | undefined>;
  /** Told of each connection that was cut, with a word for the metric. */
  readonly cut: (reason: 'oversized' | 'idle') => void;
};

/** Takes a paused socket; resolves when it is closed. */
export function serveTcp(parts: TcpDoorParts, socket: Socket): Promise<void> {
  return new Conversation(parts, socket).closed;
}

class Conversation {
  readonly closed: Promise<void>;
  readonly #parts: TcpDoorParts;
  readonly #socket: Socket;
  readonly #stop = new AbortController();
  #waiting: Buffer = Buffer.alloc(0);
  #inFlight = 0;
  #queries = 0;
  #ended = false;
  #draining = false;
  #idle: Timer;

  constructor(parts: TcpDoorParts, socket: Socket) {
    this.#parts = parts;
    this.#socket = socket;
    this.#idle = this.#armIdle();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#idle.cancel();
      this.#stop.abort(new Error('The DNS connection is closed'));
      resolve();
    });
    socket.on('data', (chunk: Buffer) => {
      this.#waiting = this.#waiting.length === 0 ? chunk : Buffer.concat([this.#waiting, chunk]);
      this.#work();
    });
    socket.on('drain', () => {
      this.#draining = false;
      this.#work();
    });
    socket.on('end', () => {
      this.#ended = true;
      this.#work();
    });
    socket.resume();
  }

  /** Starts what has arrived whole, as far as the limits let it, and reads on or not accordingly. */
  #work(): void {
    while (this.#mayStart()) {
      if (this.#waiting.length < 2) break;
      const length = this.#waiting.readUInt16BE(0);
      if (length > MAX_QUERY_BYTES) {
        this.#parts.cut('oversized');
        this.#socket.resetAndDestroy();
        return;
      }
      if (this.#waiting.length < 2 + length) break;
      const message = this.#waiting.subarray(2, 2 + length);
      this.#waiting = this.#waiting.subarray(2 + length);
      this.#start(message);
    }
    if (this.#mayStart()) this.#socket.resume();
    else this.#socket.pause();
    const over = this.#ended || this.#queries >= MAX_QUERIES;
    if (over && this.#inFlight === 0 && !this.#hasWhole()) this.#socket.end();
  }

  #mayStart(): boolean {
    return this.#inFlight < MAX_PIPELINED && this.#queries < MAX_QUERIES && !this.#draining;
  }

  #hasWhole(): boolean {
    if (this.#queries >= MAX_QUERIES || this.#waiting.length < 2) return false;
    return this.#waiting.length >= 2 + this.#waiting.readUInt16BE(0);
  }

  #start(message: Uint8Array): void {
    this.#inFlight++;
    this.#queries++;
    this.#idle.cancel();
    void this.#parts.answer(message, this.#stop.signal).then((response) => {
      this.#inFlight--;
      if (this.#socket.destroyed) return;
      if (this.#inFlight === 0) this.#idle = this.#armIdle();
      if (response !== undefined) {
        const length = Buffer.of(response.length >> 8, response.length & 0xff);
        this.#draining = !this.#socket.write(Buffer.concat([length, response]));
      }
      this.#work();
    });
  }

  #armIdle(): Timer {
    return this.#parts.clock.timer(TCP_IDLE_MS, () => {
      this.#parts.cut('idle');
      this.#socket.destroy();
    });
  }
}
