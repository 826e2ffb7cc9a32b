// A tunnel's stream in the shape of a socket, for Node's HTTP parsers and clients, which expect one. Made by accept.ts for
// what comes in and by upstream/dial.ts for what goes out. Invariant: the bare stream is never handed to node:http (some
// versions write memory that is not the answer's to it), and a break stays a break: it is never passed on as a clean end.

import { Duplex } from 'node:stream';
import type { IpPort } from '../../mesh/address.ts';
import { ignoreError } from '../../tunnel/socket.ts';
import type { Leg } from '../../tunnel/splice.ts';

type Done = (error?: Error | null) => void;

/** After our own end the peer gets so long for its own: a reset could overtake what it has not read yet. */
const LINGER_MS = 1000;

export class StreamSocket extends Duplex {
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Totals of both directions. */
  bytesRead = 0;
  bytesWritten = 0;
  /** Is shown what goes out. */
  watchWritten: ((chunk: Buffer) => void) | undefined;
  readonly #leg: Leg;
  #idle: NodeJS.Timeout | undefined;
  #held = false;

  constructor(leg: Leg, remote: IpPort) {
    super({ allowHalfOpen: true });
    this.#leg = leg;
    this.remoteAddress = remote.ip;
    this.remotePort = remote.port;
    // `close` follows, which is what everybody acts on
    this.on('error', ignoreError);
    const { bytes } = leg;
    bytes.on('data', (chunk: Buffer) => {
      this.#idle?.refresh();
      this.bytesRead += chunk.length;
      if (!this.push(chunk)) bytes.pause();
    });
    bytes.pause();
    bytes.on('error', ignoreError);
    bytes.once('end', () => {
      if (leg.broken === true) this.destroy(brokenStream());
      else this.push(null);
    });
    bytes.once('close', () => {
      if (!bytes.readableEnded || leg.broken === true) this.destroy(brokenStream());
      else if (bytes.writableFinished) this.destroy();
    });
  }

  /** Whether what comes is left where it is for now. */
  hold(held: boolean): void {
    if (this.#held === held) return;
    this.#held = held;
    if (held) this.#leg.bytes.pause();
    else if (!this.destroyed) this.#leg.bytes.resume();
  }

  override _read(): void {
    if (!this.#held) this.#leg.bytes.resume();
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: Done): void {
    this.#wrote(chunk);
    this.#leg.bytes.write(chunk, done);
  }

  override _writev(chunks: { readonly chunk: Buffer }[], done: Done): void {
    const { bytes } = this.#leg;
    bytes.cork();
    const last = chunks.length - 1;
    for (const [index, { chunk }] of chunks.entries()) {
      this.#wrote(chunk);
      if (index === last) bytes.write(chunk, done);
      else bytes.write(chunk);
    }
    bytes.uncork();
  }

  #wrote(chunk: Buffer): void {
    this.#idle?.refresh();
    this.bytesWritten += chunk.length;
    this.watchWritten?.(chunk);
  }

  override _final(done: Done): void {
    this.#leg.bytes.end(done);
  }

  override _destroy(error: Error | null, done: Done): void {
    clearTimeout(this.#idle);
    const { bytes } = this.#leg;
    if (error === null && this.writableFinished) linger(this.#leg);
    else if (!bytes.destroyed && !(bytes.readableEnded && bytes.writableFinished)) {
      this.#leg.reset();
    }
    done(error);
  }

  /** As net.Socket has it: at once, but not before all that was written has gone out. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** As net.Socket has it: `timeout` is told once when nothing has moved for so long; 0 ends that. */
  setTimeout(ms: number, listener?: () => void): this {
    clearTimeout(this.#idle);
    this.#idle = undefined;
    if (listener !== undefined) this.once('timeout', listener);
    if (ms > 0) this.#idle = setTimeout(() => this.emit('timeout'), ms).unref();
    return this;
  }

  // what concerns a TCP connection is done where there is one
  setKeepAlive(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

/** What still comes is read for nobody. */
function linger(leg: Leg): void {
  const { bytes } = leg;
  if (bytes.destroyed || bytes.readableEnded) return;
  const late = setTimeout(() => {
    if (!bytes.destroyed) leg.reset();
  }, LINGER_MS).unref();
  bytes.once('close', () => clearTimeout(late));
  bytes.removeAllListeners('data');
  bytes.resume();
}

function brokenStream(): NodeJS.ErrnoException {
  return Object.assign(new Error('The stream was reset'), { code: 'ECONNRESET' });
}
