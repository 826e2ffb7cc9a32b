// A byte stream to a port of a pod, through the kubelet's port-forward over WebSocket (v4.channel.k8s.io).
// The server need not be in the pods' network for pods/proxy and services/proxy. Only what that protocol needs is here.

import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { StatusError } from '../errors.ts';

const PROTOCOL = 'v4.channel.k8s.io';
const DATA = 0;
const ERROR = 1;
/** The kubelet opens each channel with the port's number. */
const GREETING_BYTES = 2;
/** A kubelet's answer to the handshake is a few lines. */
const MAX_HEAD_BYTES = 16 * 1024;
/** A frame of the kubelet carries one read of a socket; more is not its protocol. */
const MAX_FRAME_BYTES = 4 * 1024 * 1024;
/** A frame sent: large enough to be cheap, small enough to pass every peer's limit. */
const MAX_PAYLOAD_BYTES = 32 * 1024;

const OPCODE = { binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const;

export async function openPodPort(
  kubelet: TLSSocket,
  target: { readonly host: string; readonly path: string },
): Promise<Duplex> {
  kubelet.write(
    [
      `GET ${target.path} HTTP/1.1`,
      `Host: ${target.host}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      `Sec-WebSocket-Protocol: ${PROTOCOL}`,
      '',
      '',
    ].join('\r\n'),
  );
  const { head, rest } = await readHead(kubelet);
  if (!head.startsWith('HTTP/1.1 101 ')) {
    kubelet.destroy();
    const status = head.split('\r\n')[0] ?? '';
    throw new StatusError(
      503,
      'ServiceUnavailable',
      `the kubelet refused to forward to the pod (${status}): ${rest.toString('utf8').slice(0, 500)}`,
    );
  }
  return new PodPort(kubelet, rest);
}

function readHead(socket: TLSSocket): Promise<{ head: string; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0);
    const done = (): void => {
      socket.off('data', onData);
      socket.off('close', onClose);
    };
    const onClose = (): void => {
      done();
      reject(new Error('the kubelet closed the connection during the handshake'));
    };
    const onData = (chunk: Buffer): void => {
      seen = Buffer.concat([seen, chunk]);
      const end = seen.indexOf('\r\n\r\n');
      if (end === -1 && seen.length < MAX_HEAD_BYTES) return;
      done();
      socket.pause();
      if (end === -1) reject(new Error('the answer of the kubelet has no end'));
      else resolve({ head: seen.toString('latin1', 0, end), rest: seen.subarray(end + 4) });
    };
    socket.on('data', onData);
    socket.once('close', onClose);
  });
}

class PodPort extends Duplex {
  readonly #kubelet: TLSSocket;
  #unread: Buffer;
  #greeted = 0;

  constructor(kubelet: TLSSocket, first: Buffer) {
    super();
    this.#kubelet = kubelet;
    this.#unread = first;
    // a failure is kept in `errored` for whoever uses the stream, also if nobody listens at that moment
    this.on('error', () => {});
    kubelet.pause();
    kubelet.on('data', (chunk: Buffer) => this.#receive(chunk));
    kubelet.once('close', () => this.push(null));
    kubelet.on('error', (error) => this.destroy(error));
  }

  override _read(): void {
    this.#receive(Buffer.alloc(0));
    if (!this.destroyed) this.#kubelet.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    let drained = true;
    for (let start = 0; start < chunk.length; start += MAX_PAYLOAD_BYTES) {
      const part = chunk.subarray(start, start + MAX_PAYLOAD_BYTES);
      const payload = Buffer.concat([Buffer.of(DATA), part]);
      drained = this.#kubelet.write(frame(OPCODE.binary, payload));
    }
    if (drained) done();
    else this.#kubelet.once('drain', () => done());
  }

  override _final(done: (error?: Error | null) => void): void {
    // the protocol has no half-close: the answer is still to come, the kubelet is told at the end
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#kubelet.destroy();
    done(error);
  }

  #receive(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    for (;;) {
      const header = readHeader(this.#unread);
      if (header === undefined) return;
      if (header.length > MAX_FRAME_BYTES) {
        this.destroy(new Error(`the kubelet sent a frame of ${header.length} bytes`));
        return;
      }
      const end = header.start + header.length;
      if (this.#unread.length < end) return;
      const payload = this.#unread.subarray(header.start, end);
      this.#unread = this.#unread.subarray(end);
      this.#message(header.opcode, payload);
    }
  }

  #message(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE.close) this.push(null);
    else if (opcode === OPCODE.ping) this.#kubelet.write(frame(OPCODE.pong, payload));
    else if (opcode <= OPCODE.binary) this.#channel(payload[0] ?? DATA, payload.subarray(1));
  }

  #channel(channel: number, data: Buffer): void {
    const bit = 1 << channel;
    if ((this.#greeted & bit) === 0 && data.length === GREETING_BYTES) {
      this.#greeted |= bit;
      return;
    }
    if (channel === ERROR && data.length > 0) {
      this.destroy(new Error(`the pod's port cannot be reached: ${data.toString('utf8')}`));
    } else if (channel === DATA && data.length > 0 && !this.push(data)) this.#kubelet.pause();
  }
}

function readHeader(bytes: Buffer): { opcode: number; start: number; length: number } | undefined {
  if (bytes.length < 2) return undefined;
  const opcode = (bytes[0] ?? 0) & 0x0f;
  const short = (bytes[1] ?? 0) & 0x7f;
  if (short < 126) return { opcode, start: 2, length: short };
  if (short === 126) {
    return bytes.length < 4 ? undefined : { opcode, start: 4, length: bytes.readUInt16BE(2) };
  }
  return bytes.length < 10
    ? undefined
    : { opcode, start: 10, length: Number(bytes.readBigUInt64BE(2)) };
}

/** A client's frames are masked (RFC 6455 section 5.3). */
function frame(opcode: number, payload: Buffer): Buffer {
  const mask = randomBytes(4);
  const short = payload.length < 126;
  const header = Buffer.alloc(short ? 2 : 4);
  header[0] = 0x80 | opcode;
  header[1] = 0x80 | (short ? payload.length : 126);
  if (!short) header.writeUInt16BE(payload.length, 2);
  const masked = Buffer.from(payload);
  for (let index = 0; index < masked.length; index += 1) {
    masked[index] = (masked[index] ?? 0) ^ (mask[index & 3] ?? 0);
  }
  return Buffer.concat([header, mask, masked]);
}
