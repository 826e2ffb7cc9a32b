// Unary gRPC calls over a byte stream that somebody else opens: one HTTP/2 connection, made when it is needed, made anew
// when it ends, answers nothing, or has grown old. Called by external-authorization.ts. Ours, because gRPC's own library
// wants to dial for itself, and what it dials would go past the mesh.

import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { Duplex } from 'node:stream';
import { orAborted } from '../../runtime/aborted.ts';
import type { Clock } from '../../runtime/clock.ts';

export type OpenStream = (signal: AbortSignal) => Promise<Duplex>;

/** A status of gRPC that is not OK, or an answer that is none. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError';
  /** undefined: there was no gRPC in it. */
  readonly status: number | undefined;

  constructor(status: number | undefined, message: string) {
    super(message);
    this.status = status;
  }
}

/** More than headers for a request can be. */
const MAX_ANSWER_BYTES = 256 * 1024;
/** Further ones would wait behind a service that is too slow already. */
const MAX_UNDER_WAY = 1000;
/** After it the next call opens another connection: else all go to one replica for ever. */
const MAX_AGE_MS = 5 * 60_000;
const PREFIX_BYTES = 5;

type Open = { readonly session: Promise<ClientHttp2Session>; readonly since: number };

export class GrpcChannel {
  readonly #parts: { readonly clock: Clock; readonly open: OpenStream };
  readonly #authority: string;
  readonly #closing = new AbortController();
  #current: Open | undefined;
  #underWay = 0;

  constructor(parts: { readonly clock: Clock; readonly open: OpenStream }, authority: string) {
    this.#parts = parts;
    this.#authority = authority;
  }

  /** @throws GrpcError, whatever opening the stream throws, or `signal.reason` */
  async call(path: string, message: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    if (this.#underWay >= MAX_UNDER_WAY) {
      throw new GrpcError(undefined, `${MAX_UNDER_WAY} calls are waiting already`);
    }
    this.#underWay++;
    const open = this.#session();
    try {
      const session = await orAborted(open.session, signal);
      return await this.#exchange(session, path, message, signal);
    } catch (error) {
      // it may have been the service, or the way to it: the next call finds out
      if (signal.aborted) this.#retire(open);
      throw error;
    } finally {
      this.#underWay--;
    }
  }

  close(): void {
    this.#closing.abort(new Error('the channel is closed'));
    if (this.#current !== undefined) this.#retire(this.#current);
  }

  #session(): Open {
    const { clock } = this.#parts;
    const known = this.#current;
    if (known !== undefined && clock.monotonic() - known.since < MAX_AGE_MS) return known;
    const open: Open = { session: this.#connect(), since: clock.monotonic() };
    this.#current = open;
    if (known !== undefined) this.#retire(known);
    const forget = (): void => {
      if (this.#current === open) this.#current = undefined;
    };
    open.session.then((session) => {
      session.once('close', forget);
      session.once('goaway', forget);
      if (session.destroyed) forget();
    }, forget);
    return open;
  }

  async #connect(): Promise<ClientHttp2Session> {
    const bytes = await this.#parts.open(this.#closing.signal);
    const session = connect(`http://${this.#authority}`, {
      createConnection: () => bytes,
      settings: { enablePush: false },
    });
    // calls under way hear of it by their own streams
    session.on('error', () => {});
    return session;
  }

  /** Calls under way may end; new ones go elsewhere. */
  #retire(open: Open): void {
    if (this.#current === open) this.#current = undefined;
    open.session.then(
      (session) => session.close(),
      () => {},
    );
  }

  async #exchange(
    session: ClientHttp2Session,
    path: string,
    message: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      ':scheme': 'http',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const onAbort = (): void => stream.close(constants.NGHTTP2_CANCEL);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const prefix = Buffer.alloc(PREFIX_BYTES);
      prefix.writeUInt32BE(message.length, 1);
      stream.end(Buffer.concat([prefix, message]));
      return await orAborted(answerOf(stream), signal);
    } finally {
      signal.removeEventListener('abort', onAbort);
      if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL);
    }
  }
}

async function answerOf(stream: ClientHttp2Stream): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let status: string | undefined;
  let words = '';
  let http: number | undefined;
  const read = (headers: Readonly<Record<string, unknown>>): void => {
    const given = headers['grpc-status'];
    if (typeof given === 'string') status = given;
    const message = headers['grpc-message'];
    if (typeof message === 'string') words = message;
  };
  await new Promise<void>((resolve, reject) => {
    stream.on('response', (headers) => {
      http = headers[':status'];
      read(headers);
    });
    stream.on('trailers', read);
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES + PREFIX_BYTES) {
        reject(new GrpcError(undefined, `an answer of more than ${MAX_ANSWER_BYTES} bytes`));
      } else chunks.push(chunk);
    });
    stream.once('error', reject);
    stream.once('close', resolve);
  });
  if (http !== undefined && http !== 200) throw new GrpcError(undefined, `HTTP status ${http}`);
  if (status === undefined) throw new GrpcError(undefined, 'the answer broke off');
  if (status !== '0') throw new GrpcError(Number(status), `gRPC status ${status}: ${words}`);
  return messageIn(Buffer.concat(chunks));
}

function messageIn(body: Buffer): Uint8Array {
  const isWhole =
    body.length >= PREFIX_BYTES && body.length === PREFIX_BYTES + body.readUInt32BE(1);
  if (!isWhole || body[0] !== 0) throw new GrpcError(undefined, 'the answer is no single message');
  return body.subarray(PREFIX_BYTES);
}
