// A SPDY client for tests: frames by hand over any Duplex, so that a test decides what is sent and when.

import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { encodeFrame, type Frame, FrameReader } from './frames.ts';
import { HeaderEncoder } from './headers.ts';

export class TestSpdyClient {
  readonly frames: Frame[] = [];
  readonly #transport: Duplex;
  readonly #encoder = new HeaderEncoder();
  readonly #arrivals = new EventTarget();
  #nextId = 1;
  #ended = false;

  constructor(transport: Duplex, settings: { readonly paused?: boolean } = {}) {
    this.#transport = transport;
    transport.on('error', () => {});
    transport.on('close', () => this.#end());
    transport.on('end', () => this.#end());
    if (settings.paused !== true) this.listen();
  }

  listen(): void {
    const reader = new FrameReader();
    this.#transport.on('data', (chunk: Buffer) => {
      this.frames.push(...reader.push(chunk));
      this.#arrivals.dispatchEvent(new Event('arrival'));
    });
  }

  send(frame: Frame): void {
    this.#transport.write(encodeFrame(frame));
  }

  async open(headers: Readonly<Record<string, string>>, fin = false): Promise<number> {
    const streamId = this.#nextId;
    this.#nextId += 2;
    const block = await this.#encoder.encode(new Map(Object.entries(headers)));
    this.send({ type: 'synStream', streamId, fin, unidirectional: false, block });
    return streamId;
  }

  data(streamId: number, payload: string | Buffer, fin = false): void {
    this.send({ type: 'data', streamId, fin, payload: Buffer.from(payload) });
  }

  /** Waits until `found` is true of what has arrived; fails when the connection ends first. */
  async until(found: (frames: readonly Frame[]) => boolean): Promise<void> {
    while (!found(this.frames)) {
      if (this.#ended) throw new Error(`The connection ended after ${this.#summary()}`);
      await once(this.#arrivals, 'arrival');
    }
  }

  /** All data of a stream, once it has ended. */
  async read(streamId: number): Promise<string> {
    const mine = (frame: Frame): boolean => frame.type === 'data' && frame.streamId === streamId;
    await this.until((frames) =>
      frames.some((frame) => mine(frame) && 'fin' in frame && frame.fin),
    );
    return this.received(streamId).toString();
  }

  received(streamId: number): Buffer {
    return Buffer.concat(
      this.frames.flatMap((frame) =>
        frame.type === 'data' && frame.streamId === streamId ? [frame.payload] : [],
      ),
    );
  }

  async ended(): Promise<void> {
    while (!this.#ended) await once(this.#arrivals, 'arrival');
  }

  close(): void {
    this.#transport.destroy();
    this.#encoder[Symbol.dispose]();
  }

  #end(): void {
    this.#ended = true;
    this.#arrivals.dispatchEvent(new Event('arrival'));
  }

  #summary(): string {
    return this.frames.map((frame) => frame.type).join(', ');
  }
}
