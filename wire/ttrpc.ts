// ttrpc: containerd's RPC for two processes of one machine. A frame is ten bytes of header (length, stream, type, flags)
// and a message; a call is one Request answered by one Response under the same stream number. Called by
// runtime/nri-connection.ts. Pure. Source: PROTOCOL.md of containerd/ttrpc, version 1.2; streams are not needed here.

import { TTRPC_PROTO } from './proto/nri.ts';
import { DecodeError, loadProto, messageType } from './protobuf.ts';

/** The protocol's own limit for one message. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
const HEADER_BYTES = 10;
const REQUEST = 1;
const RESPONSE = 2;
const DATA = 3;

/** Codes of google.rpc.Status, which both ends answer with. */
export const RPC_CODES = {
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
  unavailable: 14,
} as const;

export type TtrpcFrame = {
  /** `other`: a type of a later version, to be skipped. */
  readonly kind: 'request' | 'response' | 'data' | 'other';
  /** Odd: a call of whoever opened the connection. */
  readonly stream: number;
  readonly body: Uint8Array;
};

export type TtrpcRequest = {
  readonly service: string;
  readonly method: string;
  readonly payload: Uint8Array;
  /** How long the caller waits; 0: it does not say. */
  readonly timeoutMs: number;
};

export type TtrpcResponse =
  | { readonly ok: true; readonly payload: Uint8Array }
  | { readonly ok: false; readonly code: number; readonly message: string };

type Int64 = number | { toNumber(): number };
type StatusMessage = { code: number; message: string };

const root = loadProto(TTRPC_PROTO);
const REQUEST_TYPE = messageType<{
  service: string;
  method: string;
  payload: Uint8Array;
  timeoutNano: Int64;
}>(root, 'ambit.ttrpc.Request');
const RESPONSE_TYPE = messageType<{ status?: StatusMessage | null; payload: Uint8Array }>(
  root,
  'ambit.ttrpc.Response',
);
const NANOSECONDS_A_MILLISECOND = 1e6;

export function encodeRequest(stream: number, request: TtrpcRequest): Uint8Array {
  const { service, method, payload, timeoutMs } = request;
  const timeoutNano = Math.round(timeoutMs * NANOSECONDS_A_MILLISECOND);
  return frame(stream, REQUEST, REQUEST_TYPE.encode({ service, method, payload, timeoutNano }));
}

export function encodeResponse(stream: number, response: TtrpcResponse): Uint8Array {
  const { ok } = response;
  const message = ok
    ? { status: null, payload: response.payload }
    : { status: { code: response.code, message: response.message }, payload: new Uint8Array() };
  return frame(stream, RESPONSE, RESPONSE_TYPE.encode(message));
}

/** @throws DecodeError */
export function decodeRequest(body: Uint8Array): TtrpcRequest {
  const { service, method, payload, timeoutNano } = REQUEST_TYPE.decode(body);
  return { service, method, payload, timeoutMs: numberOf(timeoutNano) / NANOSECONDS_A_MILLISECOND };
}

/** @throws DecodeError */
export function decodeResponse(body: Uint8Array): TtrpcResponse {
  const { status, payload } = RESPONSE_TYPE.decode(body);
  if (status && status.code !== 0) return { ok: false, ...status };
  return { ok: true, payload };
}

/** protobufjs gives 64-bit numbers as objects where the optional package for them is installed. */
export function numberOf(value: Int64): number {
  return typeof value === 'number' ? value : value.toNumber();
}

/** Cuts a stream of bytes into frames. One a connection; after an error it is of no more use. */
export class TtrpcReader {
  #parts: Uint8Array[] = [];
  #held = 0;
  /** Bytes of the whole next frame, once its header has been seen. */
  #wanted = HEADER_BYTES;

  /** The frames that are whole now, in order. @throws DecodeError when a message is larger than the protocol allows */
  take(bytes: Uint8Array): TtrpcFrame[] {
    const frames: TtrpcFrame[] = [];
    this.#parts.push(bytes);
    this.#held += bytes.length;
    while (this.#held >= this.#wanted) {
      const all = this.#parts.length === 1 ? (this.#parts[0] as Uint8Array) : join(this.#parts);
      const view = new DataView(all.buffer, all.byteOffset, all.byteLength);
      const length = view.getUint32(0);
      if (length > MAX_MESSAGE_BYTES) {
        const size = `${length} bytes, more than the ${MAX_MESSAGE_BYTES} allowed`;
        throw new DecodeError(`Cannot read a ttrpc frame: its message has ${size}`);
      }
      this.#wanted = HEADER_BYTES + length;
      this.#parts = [all];
      if (all.length < this.#wanted) break;
      const body = all.subarray(HEADER_BYTES, this.#wanted);
      frames.push({ kind: kindOf(view.getUint8(8)), stream: view.getUint32(4), body });
      this.#parts = [all.subarray(this.#wanted)];
      this.#held = all.length - this.#wanted;
      this.#wanted = HEADER_BYTES;
    }
    return frames;
  }
}

function kindOf(type: number): TtrpcFrame['kind'] {
  if (type === REQUEST) return 'request';
  if (type === RESPONSE) return 'response';
  return type === DATA ? 'data' : 'other';
}

/** @throws RangeError for a message that the other end would refuse */
function frame(stream: number, type: number, message: Uint8Array): Uint8Array {
  if (message.length > MAX_MESSAGE_BYTES) {
    throw new RangeError(`Cannot send a ttrpc message of ${message.length} bytes: too large`);
  }
  const bytes = new Uint8Array(HEADER_BYTES + message.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, message.length);
  view.setUint32(4, stream);
  view.setUint8(8, type);
  bytes.set(message, HEADER_BYTES);
  return bytes;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
