// Numbered channels over one WebSocket, as Kubernetes has them: the first byte of a message names the channel.
// Used by exec-websocket.ts and forward-websocket.ts. An unread channel pauses the socket, so buffers stay bounded.

import { Buffer } from 'node:buffer';
import { Readable, Writable } from 'node:stream';
import type { RawData, WebSocket } from 'ws';

/** `v5.channel.k8s.io`: the message 255, N says that channel N has ended. */
const CLOSE_CHANNEL = 255;
/** Unread bytes of one channel after which the socket is paused. */
const MAX_UNREAD_BYTES = 256 * 1024;
const ZERO = 0x30;

export type ChannelSettings = {
  /** Text messages: an ASCII digit, then base64. */
  readonly base64: boolean;
  /** The client can end a channel by a message (v5). */
  readonly closeSignal: boolean;
};

export class Channels {
  readonly #socket: WebSocket;
  readonly #settings: ChannelSettings;
  readonly #readables = new Map<number, Readable>();
  /** Channels whose buffer is full. */
  readonly #full = new Set<number>();
  /** Resolves when the client is gone or has closed. */
  readonly closed: Promise<void>;

  constructor(parts: { readonly socket: WebSocket }, settings: ChannelSettings) {
    this.#socket = parts.socket;
    this.#settings = settings;
    this.#socket.on('message', (message, isBinary) => this.#receive(message, isBinary));
    this.#socket.on('error', () => {
      // 'close' follows, and ends every channel
    });
    this.closed = new Promise((resolve) => {
      this.#socket.once('close', () => {
        for (const channel of this.#readables.keys()) this.#endChannel(channel);
        resolve();
      });
    });
  }

  /** What the client sends on `channel`; must be asked for before the client's first message is taken. */
  readable(channel: number): Readable {
    const readable = new Readable({
      highWaterMark: MAX_UNREAD_BYTES,
      read: () => this.#release(channel),
      destroy: (error, done) => {
        this.#release(channel);
        done(error);
      },
    });
    this.#readables.set(channel, readable);
    return readable;
  }

  writable(channel: number): Writable {
    return new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (this.#socket.readyState !== this.#socket.OPEN) {
          done(new Error('Cannot write to the client: the connection is closed'));
          return;
        }
        this.#socket.send(this.#message(channel, chunk), done);
      },
    });
  }

  #message(channel: number, payload: Buffer): Buffer | string {
    return this.#settings.base64
      ? String.fromCharCode(ZERO + channel) + payload.toString('base64')
      : Buffer.concat([Buffer.from([channel]), payload]);
  }

  #receive(message: RawData, isBinary: boolean): void {
    // `ws` gives Buffers unless told otherwise
    if (!Buffer.isBuffer(message) || message.length === 0) return;
    const decoded = this.#settings.base64 && !isBinary;
    const channel = (message[0] ?? 0) - (decoded ? ZERO : 0);
    const payload = decoded
      ? Buffer.from(message.toString('latin1', 1), 'base64')
      : message.subarray(1);
    if (channel === CLOSE_CHANNEL && this.#settings.closeSignal) {
      this.#endChannel(payload[0] ?? CLOSE_CHANNEL);
      return;
    }
    const readable = this.#readables.get(channel);
    if (readable === undefined || readable.destroyed || readable.readableEnded) return;
    if (payload.length > 0 && !readable.push(payload)) {
      this.#full.add(channel);
      this.#socket.pause();
    }
  }

  #endChannel(channel: number): void {
    const readable = this.#readables.get(channel);
    this.#readables.delete(channel);
    if (readable !== undefined && !readable.destroyed) readable.push(null);
  }

  #release(channel: number): void {
    if (this.#full.delete(channel) && this.#full.size === 0) this.#socket.resume();
  }
}
