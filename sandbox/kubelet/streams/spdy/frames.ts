// SPDY/3.1 frames as values (SPDY protocol draft 3.1, section 2). Bytes in, frames out, no I/O; header blocks stay
// compressed here (headers.ts). A DATA frame is handed on piece by piece as it arrives, so only control frames are held.

import { Buffer } from 'node:buffer';
import { StreamProtocolError } from '../session.ts';

export type Setting = { readonly id: number; readonly value: number };

export type Frame =
  | {
      readonly type: 'synStream';
      readonly streamId: number;
      readonly fin: boolean;
      readonly unidirectional: boolean;
      readonly block: Buffer;
    }
  | {
      readonly type: 'synReply' | 'headers';
      readonly streamId: number;
      readonly fin: boolean;
      readonly block: Buffer;
    }
  | { readonly type: 'rstStream'; readonly streamId: number; readonly status: number }
  | { readonly type: 'settings'; readonly settings: readonly Setting[] }
  | { readonly type: 'ping'; readonly id: number }
  | { readonly type: 'goAway'; readonly lastStreamId: number; readonly status: number }
  | { readonly type: 'windowUpdate'; readonly streamId: number; readonly delta: number }
  | {
      readonly type: 'data';
      readonly streamId: number;
      readonly fin: boolean;
      readonly payload: Buffer;
    };

/** Reasons of RST_STREAM. */
export const RESET = { protocolError: 1, refusedStream: 3, cancel: 5, internalError: 6 } as const;
/** SETTINGS_INITIAL_WINDOW_SIZE. */
export const SETTING_INITIAL_WINDOW = 7;

/** Largest control frame taken in: header blocks of these protocols have a handful of short headers. */
const MAX_CONTROL_BYTES = 16 * 1024;
const HEADER_BYTES = 8;
const VERSION = 3;
const FLAG_FIN = 1;
const FLAG_UNIDIRECTIONAL = 2;
const CODES = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;

type Awaiting =
  | { readonly state: 'header' }
  | { readonly state: 'control'; readonly code: number; readonly flags: number; length: number }
  | { readonly state: 'data'; readonly streamId: number; readonly fin: boolean; left: number };

export class FrameReader {
  #held: Buffer = Buffer.alloc(0);
  #awaiting: Awaiting = { state: 'header' };

  /** The frames that `chunk` completes, in order. @throws StreamProtocolError */
  push(chunk: Buffer): Frame[] {
    let bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const frames: Frame[] = [];
    for (;;) {
      const awaiting = this.#awaiting;
      if (awaiting.state === 'header') {
        if (bytes.length < HEADER_BYTES) break;
        this.#awaiting = readHeader(bytes);
        bytes = bytes.subarray(HEADER_BYTES);
      } else if (awaiting.state === 'control') {
        if (bytes.length < awaiting.length) break;
        const frame = readControl(awaiting, bytes.subarray(0, awaiting.length));
        if (frame !== undefined) frames.push(frame);
        bytes = bytes.subarray(awaiting.length);
        this.#awaiting = { state: 'header' };
      } else {
        const payload = bytes.subarray(0, awaiting.left);
        bytes = bytes.subarray(payload.length);
        awaiting.left -= payload.length;
        const last = awaiting.left === 0;
        if (payload.length > 0 || last) {
          const { streamId } = awaiting;
          frames.push({ type: 'data', streamId, fin: last && awaiting.fin, payload });
        }
        if (!last) break;
        this.#awaiting = { state: 'header' };
      }
    }
    // a copy, so that a few waiting bytes do not keep a large chunk alive
    this.#held = Buffer.from(bytes);
    return frames;
  }
}

function readHeader(bytes: Buffer): Awaiting {
  const first = bytes.readUInt32BE(0);
  const flags = bytes.readUInt8(4);
  const length = bytes.readUIntBE(5, 3);
  if (first < 0x80000000) {
    if (first === 0) throw new StreamProtocolError('Cannot read SPDY frame: DATA on stream 0');
    return { state: 'data', streamId: first, fin: (flags & FLAG_FIN) !== 0, left: length };
  }
  const version = (first >>> 16) & 0x7fff;
  if (version !== VERSION) {
    throw new StreamProtocolError(`Cannot read SPDY frame: version ${version}, expected 3`);
  }
  if (length > MAX_CONTROL_BYTES) {
    throw new StreamProtocolError(
      `Cannot read SPDY frame: control frame of ${length} bytes, limit is ${MAX_CONTROL_BYTES}`,
    );
  }
  return { state: 'control', code: first & 0xffff, flags, length };
}

function readControl(
  { code, flags }: { readonly code: number; readonly flags: number },
  body: Buffer,
): Frame | undefined {
  const fin = (flags & FLAG_FIN) !== 0;
  switch (code) {
    case CODES.synStream:
      return {
        type: 'synStream',
        streamId: word(body, 0),
        fin,
        unidirectional: (flags & FLAG_UNIDIRECTIONAL) !== 0,
        block: blockFrom(body, 10),
      };
    case CODES.synReply:
      return { type: 'synReply', streamId: word(body, 0), fin, block: blockFrom(body, 4) };
    case CODES.headers:
      return { type: 'headers', streamId: word(body, 0), fin, block: blockFrom(body, 4) };
    case CODES.rstStream:
      return { type: 'rstStream', streamId: word(body, 0), status: word(body, 4) };
    case CODES.settings:
      return { type: 'settings', settings: readSettings(body) };
    case CODES.ping:
      return { type: 'ping', id: body.length < 4 ? tooShort() : body.readUInt32BE(0) };
    case CODES.goAway:
      return { type: 'goAway', lastStreamId: word(body, 0), status: word(body, 4) };
    case CODES.windowUpdate:
      return { type: 'windowUpdate', streamId: word(body, 0), delta: word(body, 4) };
    default:
      // section 2.2.1: unknown control frames are ignored
      return undefined;
  }
}

/** A 31-bit number; the top bit is reserved. */
function word(body: Buffer, offset: number): number {
  if (body.length < offset + 4) return tooShort();
  return body.readUInt32BE(offset) & 0x7fffffff;
}

function blockFrom(body: Buffer, offset: number): Buffer {
  if (body.length < offset) return tooShort();
  return Buffer.from(body.subarray(offset));
}

function readSettings(body: Buffer): Setting[] {
  const count = word(body, 0);
  if (body.length < 4 + count * 8) return tooShort();
  return Array.from({ length: count }, (_, index) => ({
    id: body.readUIntBE(5 + index * 8, 3),
    value: body.readUInt32BE(8 + index * 8),
  }));
}

function tooShort(): never {
  throw new StreamProtocolError('Cannot read SPDY frame: control frame is too short for its type');
}

/** The bytes of a frame. DATA payloads must be below 16 MiB. */
export function encodeFrame(frame: Frame): Buffer {
  switch (frame.type) {
    case 'synStream': {
      const flags = (frame.fin ? FLAG_FIN : 0) | (frame.unidirectional ? FLAG_UNIDIRECTIONAL : 0);
      // associated stream, priority and slot stay 0
      const body = Buffer.concat([words(frame.streamId, 0), Buffer.alloc(2), frame.block]);
      return control(CODES.synStream, flags, body);
    }
    case 'synReply':
    case 'headers': {
      const body = Buffer.concat([words(frame.streamId), frame.block]);
      return control(CODES[frame.type], frame.fin ? FLAG_FIN : 0, body);
    }
    case 'rstStream':
      return control(CODES.rstStream, 0, words(frame.streamId, frame.status));
    case 'settings': {
      const entries = frame.settings.flatMap(({ id, value }) => [id & 0xffffff, value]);
      return control(CODES.settings, 0, words(frame.settings.length, ...entries));
    }
    case 'ping':
      return control(CODES.ping, 0, words(frame.id));
    case 'goAway':
      return control(CODES.goAway, 0, words(frame.lastStreamId, frame.status));
    case 'windowUpdate':
      return control(CODES.windowUpdate, 0, words(frame.streamId, frame.delta));
    case 'data': {
      const header = words(frame.streamId, frame.payload.length);
      header.writeUInt8(frame.fin ? FLAG_FIN : 0, 4);
      return Buffer.concat([header, frame.payload]);
    }
  }
}

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => {
    bytes.writeUInt32BE(value, index * 4);
  });
  return bytes;
}

function control(code: number, flags: number, body: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(0x8000 | VERSION, 0);
  header.writeUInt16BE(code, 2);
  header.writeUInt8(flags, 4);
  header.writeUIntBE(body.length, 5, 3);
  return Buffer.concat([header, body]);
}
