// Two logical connections in one, as NRI has them: the runtime calls the plugin in one and the plugin the runtime in the
// other. Every piece has a header of eight bytes (connection, length). Called by runtime/nri-connection.ts. Pure.
// Source: pkg/net/multiplex of containerd/nri.

import { DecodeError } from './protobuf.ts';
import { MAX_MESSAGE_BYTES } from './ttrpc.ts';

/** In which the runtime calls the plugin. */
export const PLUGIN_CONNECTION = 1;
/** In which the plugin calls the runtime. */
export const RUNTIME_CONNECTION = 2;

const HEADER_BYTES = 8;
/** A whole ttrpc frame: nobody sends larger pieces. */
const MAX_PIECE_BYTES = MAX_MESSAGE_BYTES + 10;
/** What goes out is cut to this size: the other end reads a piece at once into a buffer of 4 KiB, and fails on a larger one. */
const SENT_PIECE_BYTES = 4096;

export type Piece = { readonly connection: number; readonly bytes: Uint8Array };

export function encodePieces(connection: number, bytes: Uint8Array): Uint8Array {
  const pieces = Math.ceil(bytes.length / SENT_PIECE_BYTES);
  const whole = new Uint8Array(pieces * HEADER_BYTES + bytes.length);
  const view = new DataView(whole.buffer);
  let at = 0;
  for (let from = 0; from < bytes.length; from += SENT_PIECE_BYTES) {
    const piece = bytes.subarray(from, from + SENT_PIECE_BYTES);
    view.setUint32(at, connection);
    view.setUint32(at + 4, piece.length);
    whole.set(piece, at + HEADER_BYTES);
    at += HEADER_BYTES + piece.length;
  }
  return whole;
}

/** Takes the pieces apart as they come; holds back nothing but half a header. */
export class MuxReader {
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerLength = 0;
  #connection = 0;
  #rest = 0;

  /** @throws DecodeError for a piece larger than any peer sends: then the two ends have lost each other */
  take(bytes: Uint8Array): Piece[] {
    const pieces: Piece[] = [];
    let at = 0;
    while (at < bytes.length) {
      if (this.#rest > 0) {
        const part = bytes.subarray(at, at + this.#rest);
        pieces.push({ connection: this.#connection, bytes: part });
        at += part.length;
        this.#rest -= part.length;
        continue;
      }
      const part = bytes.subarray(at, at + HEADER_BYTES - this.#headerLength);
      this.#header.set(part, this.#headerLength);
      this.#headerLength += part.length;
      at += part.length;
      if (this.#headerLength === HEADER_BYTES) this.#begin();
    }
    return pieces;
  }

  #begin(): void {
    const view = new DataView(this.#header.buffer);
    this.#connection = view.getUint32(0);
    this.#rest = view.getUint32(4);
    this.#headerLength = 0;
    if (this.#rest <= MAX_PIECE_BYTES) return;
    const size = `${this.#rest} bytes, more than the ${MAX_PIECE_BYTES} allowed`;
    throw new DecodeError(`Cannot read from the container runtime: a piece of ${size}`);
  }
}
