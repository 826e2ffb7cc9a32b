// The server's end of a SPDY/3.1 connection over any Duplex: a TLS socket, or a WebSocket that tunnels it.
// serve() reads frames one after the other until the peer is gone; a stream nobody reads stops the whole connection,
// so what is buffered is bounded by MAX_STREAMS * MAX_UNREAD_BYTES in theory and by one stream's worth in practice.

import { Buffer } from 'node:buffer';
import type { Duplex } from 'node:stream';
import { StreamProtocolError } from '../session.ts';
import { encodeFrame, type Frame, FrameReader, RESET } from './frames.ts';
import { HeaderDecoder, HeaderEncoder, type Headers } from './headers.ts';
import { SpdyStream, type StreamCarrier } from './stream.ts';
import { ReceiveWindows, SendWindows } from './windows.ts';

/** Streams open at once. A port-forward uses two a connection; beyond this the client is told to wait (REFUSED_STREAM). */
const MAX_STREAMS = 2_000;
/** One DATA frame: small enough that streams take turns. */
const MAX_DATA_BYTES = 32 * 1024;
const GOAWAY_OK = 0;
const GOAWAY_PROTOCOL_ERROR = 1;
const NO_HEADERS: Headers = new Map();

type PendingWrite = { left: Buffer; readonly done: (error?: Error) => void };

export class SpdyConnection implements StreamCarrier {
  readonly #transport: Duplex;
  readonly #onStream: (stream: SpdyStream) => void;
  readonly #streams = new Map<number, SpdyStream>();
  readonly #pending = new Map<number, PendingWrite>();
  readonly #sendWindows = new SendWindows();
  readonly #receiveWindows = new ReceiveWindows();
  #lastStreamId = 0;

  /** `onStream` is called with each stream the peer opens, after it was told that the stream is accepted. */
  constructor(parts: {
    readonly transport: Duplex;
    readonly onStream: (stream: SpdyStream) => void;
  }) {
    this.#transport = parts.transport;
    this.#onStream = parts.onStream;
  }

  /** Ends when the peer has closed the connection or `signal` aborts. @throws StreamProtocolError */
  async serve(signal: AbortSignal): Promise<void> {
    using decoder = new HeaderDecoder();
    using encoder = new HeaderEncoder();
    const reader = new FrameReader();
    const onAbort = (): void => {
      this.#transport.destroy();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const onError = (): void => {
      // the loop below sees it as well, but only while it waits for bytes
    };
    this.#transport.on('error', onError);
    try {
      if (signal.aborted) onAbort();
      for await (const chunk of this.#transport as AsyncIterable<Buffer>) {
        try {
          for (const frame of reader.push(chunk)) await this.#take(frame, decoder, encoder);
        } catch (error) {
          // leaving the loop destroys the transport, so the goodbye has to be out before
          await this.#sayGoodbye(GOAWAY_PROTOCOL_ERROR);
          throw error;
        }
      }
    } catch (error) {
      if (error instanceof StreamProtocolError) throw error;
      // the socket broke or was destroyed: the peer is gone, which is how these connections end
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#end();
    }
  }

  /** Says goodbye and closes, once everything written has left. */
  close(): void {
    void this.#sayGoodbye(GOAWAY_OK).then(() => this.#transport.end());
  }

  sendData(streamId: number, payload: Buffer, done: (error?: Error) => void): void {
    this.#pending.set(streamId, { left: payload, done });
    this.#pump(streamId);
  }

  sendFin(streamId: number, done: (error?: Error) => void): void {
    this.#write({ type: 'data', streamId, fin: true, payload: Buffer.alloc(0) }, done);
  }

  forget(streamId: number, reset: boolean): void {
    if (!this.#streams.delete(streamId)) return;
    this.#pending.delete(streamId);
    this.#sendWindows.forget(streamId);
    this.#receiveWindows.forget(streamId);
    if (reset) this.#write({ type: 'rstStream', streamId, status: RESET.cancel });
  }

  async #take(frame: Frame, decoder: HeaderDecoder, encoder: HeaderEncoder): Promise<void> {
    switch (frame.type) {
      case 'synStream': {
        const headers = await decoder.decode(frame.block);
        await this.#accept(frame, headers, encoder);
        return;
      }
      case 'headers':
      case 'synReply':
        // of no use to these protocols, but the shared zlib stream must see every block
        await decoder.decode(frame.block);
        if (frame.fin) this.#streams.get(frame.streamId)?.receiveEnd();
        return;
      case 'data':
        await this.#receive(frame);
        return;
      case 'rstStream': {
        const stream = this.#streams.get(frame.streamId);
        this.forget(frame.streamId, false);
        stream?.destroy(new Error(`The client reset stream ${frame.streamId}: ${frame.status}`));
        return;
      }
      case 'ping':
        // odd: the client's own; even ones would answer ours, and we send none
        if (frame.id % 2 === 1) this.#write(frame);
        return;
      case 'windowUpdate':
        this.#sendWindows.grant(frame.streamId, frame.delta);
        this.#pumpAll();
        return;
      case 'settings':
        this.#sendWindows.configure(frame.settings);
        this.#pumpAll();
        return;
      case 'goAway':
        return;
    }
  }

  async #accept(
    frame: Extract<Frame, { type: 'synStream' }>,
    headers: Headers,
    encoder: HeaderEncoder,
  ): Promise<void> {
    const { streamId: id } = frame;
    if (id % 2 === 0 || id <= this.#lastStreamId) {
      throw new StreamProtocolError(
        `Cannot open SPDY stream ${id}: client streams have odd numbers above ${this.#lastStreamId}`,
      );
    }
    this.#lastStreamId = id;
    if (this.#streams.size >= MAX_STREAMS) {
      this.#write({ type: 'rstStream', streamId: id, status: RESET.refusedStream });
      return;
    }
    const stream = new SpdyStream({ carrier: this }, { id, headers });
    this.#streams.set(id, stream);
    this.#sendWindows.open(id);
    // the reply goes first: clients drop data of a stream that was not yet accepted
    const block = await encoder.encode(NO_HEADERS);
    this.#write({ type: 'synReply', streamId: id, fin: false, block });
    if (frame.fin) stream.receiveEnd();
    if (frame.unidirectional) stream.end();
    this.#onStream(stream);
  }

  async #receive(frame: Extract<Frame, { type: 'data' }>): Promise<void> {
    const { streamId, payload, fin } = frame;
    const stream = this.#streams.get(streamId);
    if (stream === undefined && streamId > this.#lastStreamId) {
      throw new StreamProtocolError(`Cannot take SPDY data: stream ${streamId} was never opened`);
    }
    // what comes for a finished stream was under way when we finished it; it still counts for the connection
    await stream?.receive(payload);
    if (fin) stream?.receiveEnd();
    this.#giveCredit(0, payload.length);
    if (stream !== undefined && !fin) this.#giveCredit(streamId, payload.length);
  }

  #sayGoodbye(status: number): Promise<void> {
    return new Promise((resolve) => {
      this.#write({ type: 'goAway', lastStreamId: this.#lastStreamId, status }, () => resolve());
    });
  }

  #giveCredit(streamId: number, bytes: number): void {
    const delta = this.#receiveWindows.consumed(streamId, bytes);
    if (delta > 0) this.#write({ type: 'windowUpdate', streamId, delta });
  }

  #pumpAll(): void {
    for (const streamId of this.#pending.keys()) this.#pump(streamId);
  }

  /** Sends as much of a stream's pending write as its credit allows. */
  #pump(streamId: number): void {
    const pending = this.#pending.get(streamId);
    if (pending === undefined) return;
    while (pending.left.length > 0) {
      const wanted = Math.min(pending.left.length, MAX_DATA_BYTES);
      const granted = this.#sendWindows.take(streamId, wanted);
      if (granted === 0) return;
      const payload = pending.left.subarray(0, granted);
      pending.left = pending.left.subarray(granted);
      const last = pending.left.length === 0;
      if (last) this.#pending.delete(streamId);
      this.#write({ type: 'data', streamId, fin: false, payload }, last ? pending.done : undefined);
    }
  }

  #write(frame: Frame, done?: (error?: Error) => void): void {
    if (!this.#transport.writable) {
      done?.(new Error('Cannot write to the client: the connection is closed'));
      return;
    }
    this.#transport.write(encodeFrame(frame), (error) => done?.(error ?? undefined));
  }

  #end(): void {
    const gone = new Error('The client closed the connection');
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const { done } of this.#pending.values()) done(gone);
    this.#pending.clear();
    for (const stream of streams) stream.destroy(gone);
    this.#transport.end();
  }
}
