// SPDY/3 header blocks: names and values, deflated with one zlib stream a direction for the whole connection
// (SPDY protocol draft 3, section 2.6.10). Calls must not overlap and must follow the order of the frames.

import { Buffer } from 'node:buffer';
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib';
import { StreamProtocolError } from '../session.ts';
import { DICTIONARY } from './dictionary.ts';

export type Headers = ReadonlyMap<string, string>;

/** An inflated block: these protocols send five short headers, so more is an attack on our memory. */
const MAX_BLOCK_BYTES = 64 * 1024;

export class HeaderDecoder implements Disposable {
  readonly #inflate: Inflate = createInflate({ dictionary: DICTIONARY });
  #out: Buffer[] = [];
  #outBytes = 0;
  #reject: (error: Error) => void = () => {};

  constructor() {
    // zlib tells a bad block here and never calls the write's callback
    this.#inflate.on('error', (error) => this.#reject(asProtocolError(error)));
    this.#inflate.on('data', (chunk: Buffer) => {
      this.#outBytes += chunk.length;
      if (this.#outBytes > MAX_BLOCK_BYTES) {
        this.#reject(
          new StreamProtocolError(`Cannot read SPDY headers: more than ${MAX_BLOCK_BYTES} bytes`),
        );
        this.#inflate.destroy();
        return;
      }
      this.#out.push(chunk);
    });
  }

  /** @throws StreamProtocolError */
  async decode(block: Buffer): Promise<Headers> {
    this.#out = [];
    this.#outBytes = 0;
    await new Promise<void>((resolve, reject) => {
      this.#reject = reject;
      this.#inflate.write(block, () => resolve());
    });
    return parseBlock(Buffer.concat(this.#out));
  }

  [Symbol.dispose](): void {
    this.#inflate.destroy();
  }
}

export class HeaderEncoder implements Disposable {
  readonly #deflate: Deflate = createDeflate({
    dictionary: DICTIONARY,
    // each block must be readable as soon as its frame has arrived
    flush: constants.Z_SYNC_FLUSH,
  });
  #out: Buffer[] = [];

  constructor() {
    this.#deflate.on('data', (chunk: Buffer) => {
      this.#out.push(chunk);
    });
  }

  async encode(headers: Headers): Promise<Buffer> {
    this.#out = [];
    await new Promise<void>((resolve) => {
      this.#deflate.write(formatBlock(headers), () => resolve());
    });
    return Buffer.concat(this.#out);
  }

  [Symbol.dispose](): void {
    this.#deflate.destroy();
  }
}

function asProtocolError(error: Error): StreamProtocolError {
  if (error instanceof StreamProtocolError) return error;
  return new StreamProtocolError(`Cannot inflate SPDY headers: ${error.message}`, { cause: error });
}

function formatBlock(headers: Headers): Buffer {
  const parts: Buffer[] = [length(headers.size)];
  for (const [name, value] of headers) {
    const nameBytes = Buffer.from(name.toLowerCase(), 'utf8');
    const valueBytes = Buffer.from(value, 'utf8');
    parts.push(length(nameBytes.length), nameBytes, length(valueBytes.length), valueBytes);
  }
  return Buffer.concat(parts);
}

function length(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function parseBlock(bytes: Buffer): Headers {
  let offset = 0;
  const number = (): number => {
    if (offset + 4 > bytes.length) throw cutShort();
    offset += 4;
    return bytes.readUInt32BE(offset - 4);
  };
  const text = (): string => {
    const end = number() + offset;
    if (end > bytes.length) throw cutShort();
    const value = bytes.toString('utf8', offset, end);
    offset = end;
    return value;
  };
  const count = number();
  // each header takes at least its two lengths
  if (count * 8 > bytes.length) throw cutShort();
  const headers = new Map<string, string>();
  for (let index = 0; index < count; index += 1) {
    const name = text().toLowerCase();
    headers.set(name, text());
  }
  return headers;
}

function cutShort(): StreamProtocolError {
  return new StreamProtocolError('Cannot read SPDY headers: the block is cut short');
}
