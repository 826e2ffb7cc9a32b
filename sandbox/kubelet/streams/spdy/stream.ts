// One stream of a SPDY connection as a Duplex. connection.ts makes it and feeds it; the protocols read and write it.
// The stream knows its windows; the connection knows the socket.

import type { Buffer } from 'node:buffer';
import { Duplex } from 'node:stream';
import type { Headers } from './headers.ts';

/** What a stream needs of its connection. */
export interface StreamCarrier {
  /** Sends a piece of data; calls back when the next may follow. */
  sendData(streamId: number, payload: Buffer, done: (error?: Error) => void): void;
  sendFin(streamId: number, done: (error?: Error) => void): void;
  /** The stream is over on our side; `reset` unless both ends have finished. */
  forget(streamId: number, reset: boolean): void;
}

/** Unread bytes of one stream after which the whole connection is no longer read: clients ignore our windows. */
export const MAX_UNREAD_BYTES = 256 * 1024;

export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: Headers;
  readonly #carrier: StreamCarrier;
  #remoteDone = false;
  #localDone = false;
  #roomWaiter: (() => void) | undefined;

  constructor(
    parts: { readonly carrier: StreamCarrier },
    settings: { readonly id: number; readonly headers: Headers },
  ) {
    super({ allowHalfOpen: true, readableHighWaterMark: MAX_UNREAD_BYTES });
    this.id = settings.id;
    this.headers = settings.headers;
    this.#carrier = parts.carrier;
    // a reset or a lost connection shows as 'error'; who does not listen only wants the end of it
    this.on('error', () => {});
  }

  /** Data from the peer. Resolves once there is room for more, or nobody will read it. */
  async receive(payload: Buffer): Promise<void> {
    if (this.#remoteDone || this.destroyed || payload.length === 0) return;
    if (this.push(payload)) return;
    await new Promise<void>((resolve) => {
      this.#roomWaiter = resolve;
    });
  }

  /** The peer has sent its last byte. */
  receiveEnd(): void {
    if (this.#remoteDone || this.destroyed) return;
    this.#remoteDone = true;
    this.push(null);
  }

  override _read(): void {
    this.#releaseRoom();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#carrier.sendData(this.id, chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#localDone = true;
    this.#carrier.sendFin(this.id, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#releaseRoom();
    this.#carrier.forget(this.id, !(this.#localDone && this.#remoteDone));
    done(error);
  }

  #releaseRoom(): void {
    const resume = this.#roomWaiter;
    this.#roomWaiter = undefined;
    resume?.();
  }
}
