// The heads of HTTP/2's frames, in bytes as they pass (RFC 9113 section 4.1): for whoever watches a connection that another
// codec reads. Called by the waypoint's door for HTTP/2. Pure. Invariant: no payload is kept but a reset's code, and it
// never throws: what is no HTTP/2 is for the codec to refuse.

const HEAD_BYTES = 9;
const HEADERS = 1;
const RST_STREAM = 3;
const CONTINUATION = 9;
const END_HEADERS = 4;
const CODE_BYTES = 4;

export class FrameHeads {
  readonly #onReset: (stream: number, code: number) => void;
  readonly #head = new Uint8Array(HEAD_BYTES);
  #headBytes = 0;
  #skip: number;
  /** Payload that is still to come. */
  #left = 0;
  #code = 0;
  #codeLeft = 0;
  #inBlock = false;

  /** `preface`: bytes before the first frame. */
  constructor(preface: number, onReset: (stream: number, code: number) => void = () => {}) {
    this.#skip = preface;
    this.#onReset = onReset;
  }

  /** A header block has begun and has not come whole. */
  get inHeaders(): boolean {
    return this.#inBlock;
  }

  push(bytes: Uint8Array): void {
    let at = Math.min(this.#skip, bytes.length);
    this.#skip -= at;
    while (at < bytes.length) {
      if (this.#left > 0) at = this.#payload(bytes, at);
      else {
        this.#head[this.#headBytes++] = bytes[at++] ?? 0;
        if (this.#headBytes === HEAD_BYTES) this.#begin();
      }
    }
  }

  #begin(): void {
    this.#headBytes = 0;
    this.#left = this.#number(0, 3);
    const type = this.#head[3];
    if (type === RST_STREAM) {
      this.#code = 0;
      this.#codeLeft = CODE_BYTES;
    } else if (type === HEADERS) this.#inBlock = true;
    if (this.#left === 0) this.#end();
  }

  #payload(bytes: Uint8Array, from: number): number {
    const to = Math.min(bytes.length, from + this.#left);
    for (let at = from; at < to && this.#codeLeft > 0; at++, this.#codeLeft--) {
      this.#code = this.#code * 256 + (bytes[at] ?? 0);
    }
    this.#left -= to - from;
    if (this.#left === 0) this.#end();
    return to;
  }

  #end(): void {
    const [, , , type, flags = 0] = this.#head;
    if (type === RST_STREAM) {
      if (this.#codeLeft === 0) this.#onReset(this.#number(5, 4) % 2 ** 31, this.#code);
      this.#codeLeft = 0;
    } else if (type === HEADERS || type === CONTINUATION) {
      if ((flags & END_HEADERS) !== 0) this.#inBlock = false;
    }
  }

  #number(from: number, bytes: number): number {
    let value = 0;
    for (let at = from; at < from + bytes; at++) value = value * 256 + (this.#head[at] ?? 0);
    return value;
  }
}
