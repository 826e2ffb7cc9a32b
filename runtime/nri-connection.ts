// One connection between a container runtime and an NRI plugin, either end of it: two multiplexed ttrpc connections, in one
// of which we call and in the other of which we are called. Used by node-agent/nri/ and by the sandbox's kubelet.
// Invariants: every call ends (answer, its time, or the connection's end), and no byte a peer sends can throw out of here.

import type { Socket } from 'node:net';
import { PLUGIN_SERVICE, RUNTIME_SERVICE } from '../wire/nri.ts';
import { encodePieces, MuxReader, PLUGIN_CONNECTION, RUNTIME_CONNECTION } from '../wire/nri-mux.ts';
import { DecodeError } from '../wire/protobuf.ts';
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  RPC_CODES,
  type TtrpcFrame,
  TtrpcReader,
  type TtrpcResponse,
} from '../wire/ttrpc.ts';
import type { Clock, Timer } from './clock.ts';

/** A call that did not succeed. `connection`: nothing is known of what became of it. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly kind: 'status' | 'timeout' | 'connection';
  readonly code: number;

  constructor(kind: RpcError['kind'], code: number, message: string) {
    super(message);
    this.kind = kind;
    this.code = code;
  }
}

/** Answers a call of the other end. What it throws becomes the call's status: an RpcError's own, else `unknown`. */
export type RpcHandler = (
  method: string,
  payload: Uint8Array,
  /** Aborted when the connection has ended: nobody waits for the answer any more. */
  signal: AbortSignal,
) => Promise<Uint8Array>;

// Runtimes call one at a time, a plugin hardly ever: more at once is a peer that has gone wrong.
const MAX_SERVED = 64;
// Our messages are some hundred bytes; a peer that leaves this much unread is stuck.
const MAX_UNSENT_BYTES = 8 * 1024 * 1024;
const LAST_STREAM = 0xffff_ffff;

type Waiting = {
  readonly resolve: (response: TtrpcResponse) => void;
  readonly reject: (error: RpcError) => void;
  readonly timer: Timer;
};

export class NriConnection {
  /** Resolves with the reason when the connection has ended. */
  readonly closed: Promise<string>;
  readonly #clock: Clock;
  readonly #socket: Socket;
  readonly #handler: RpcHandler;
  readonly #calls: { readonly connection: number; readonly service: string };
  readonly #serves: { readonly connection: number; readonly service: string };
  readonly #mux = new MuxReader();
  readonly #requests = new TtrpcReader();
  readonly #responses = new TtrpcReader();
  readonly #waiting = new Map<number, Waiting>();
  readonly #ended = new AbortController();
  readonly #end = Promise.withResolvers<string>();
  #nextStream = 1;
  #lastServed = 0;
  #serving = 0;

  /** `socket` is connected and nobody else reads it; it is owned from here on. */
  constructor(
    parts: { readonly clock: Clock; readonly socket: Socket; readonly handler: RpcHandler },
    settings: { readonly side: 'plugin' | 'runtime' },
  ) {
    this.#clock = parts.clock;
    this.#socket = parts.socket;
    this.#handler = parts.handler;
    this.closed = this.#end.promise;
    const plugin = { connection: PLUGIN_CONNECTION, service: PLUGIN_SERVICE };
    const runtime = { connection: RUNTIME_CONNECTION, service: RUNTIME_SERVICE };
    [this.#serves, this.#calls] =
      settings.side === 'plugin' ? [plugin, runtime] : [runtime, plugin];
    const { socket } = parts;
    socket.on('error', (error) => this.close(error.message));
    socket.on('end', () => this.close('the other end closed the connection'));
    socket.on('close', () => this.close('the connection was closed'));
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
  }

  /** @throws RpcError */
  async call(method: string, payload: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const { service, connection } = this.#calls;
    const stream = this.#nextStream;
    // the numbers of a connection are used once: 2^31 calls are more than any connection lives for
    if (stream > LAST_STREAM - 2) this.close('all stream numbers are used');
    if (this.#ended.signal.aborted) {
      const why = String(this.#ended.signal.reason);
      throw new RpcError('connection', RPC_CODES.unavailable, `Cannot call ${method}: ${why}`);
    }
    let request: Uint8Array;
    try {
      request = encodeRequest(stream, { service, method, payload, timeoutMs });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new RpcError('status', RPC_CODES.resourceExhausted, error.message);
    }
    this.#nextStream += 2;
    const { promise, resolve, reject } = Promise.withResolvers<TtrpcResponse>();
    const timer = this.#clock.timer(timeoutMs, () => {
      this.#waiting.delete(stream);
      const message = `${method} was not answered within ${timeoutMs} ms`;
      reject(new RpcError('timeout', RPC_CODES.deadlineExceeded, message));
    });
    this.#waiting.set(stream, { resolve, reject, timer });
    this.#send(connection, request);
    const response = await promise;
    if (response.ok) return response.payload;
    throw new RpcError('status', response.code, response.message);
  }

  /** Ends the connection at once; what waits fails with `reason`. */
  close(reason: string): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort(reason);
    for (const { reject, timer } of this.#waiting.values()) {
      timer.cancel();
      reject(new RpcError('connection', RPC_CODES.unavailable, reason));
    }
    this.#waiting.clear();
    const end = (): void => this.#end.resolve(reason);
    if (this.#socket.closed) end();
    else this.#socket.once('close', end);
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    try {
      for (const piece of this.#mux.take(bytes)) {
        if (piece.connection === this.#serves.connection) {
          for (const frame of this.#requests.take(piece.bytes)) this.#serve(frame);
        } else if (piece.connection === this.#calls.connection) {
          for (const frame of this.#responses.take(piece.bytes)) this.#answered(frame);
        }
      }
    } catch (error) {
      this.close(error instanceof Error ? error.message : String(error));
    }
  }

  #answered({ kind, stream, body }: TtrpcFrame): void {
    const waiting = this.#waiting.get(stream);
    // an answer that came too late, or of a call nobody made
    if (kind !== 'response' || waiting === undefined) return;
    this.#waiting.delete(stream);
    waiting.timer.cancel();
    waiting.resolve(decodeResponse(body));
  }

  #serve({ kind, stream, body }: TtrpcFrame): void {
    if (kind === 'other' || kind === 'response') return;
    const refuse = (code: number, message: string): void =>
      this.#answer(stream, { ok: false, code, message });
    if (kind === 'data') {
      refuse(RPC_CODES.invalidArgument, 'Streams of messages are not taken here');
      return;
    }
    if (stream % 2 !== 1 || stream <= this.#lastServed) {
      refuse(RPC_CODES.invalidArgument, 'Stream numbers must be odd and grow');
      return;
    }
    this.#lastServed = stream;
    if (this.#serving >= MAX_SERVED) {
      refuse(RPC_CODES.resourceExhausted, `More than ${MAX_SERVED} calls at once`);
      return;
    }
    let request: ReturnType<typeof decodeRequest>;
    try {
      request = decodeRequest(body);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      refuse(RPC_CODES.invalidArgument, error.message);
      return;
    }
    const { service, method, payload } = request;
    if (service !== this.#serves.service) {
      refuse(RPC_CODES.unimplemented, `Service "${service}" is not served here`);
      return;
    }
    this.#serving++;
    void this.#run(method, payload).then((response) => {
      this.#serving--;
      this.#answer(stream, response);
    });
  }

  async #run(method: string, payload: Uint8Array): Promise<TtrpcResponse> {
    try {
      const answer = await this.#handler(method, payload, this.#ended.signal);
      return { ok: true, payload: answer };
    } catch (error) {
      const code = error instanceof RpcError ? error.code : RPC_CODES.unknown;
      return { ok: false, code, message: error instanceof Error ? error.message : String(error) };
    }
  }

  #answer(stream: number, response: TtrpcResponse): void {
    let frame: Uint8Array;
    try {
      frame = encodeResponse(stream, response);
    } catch (error) {
      // larger than the other end takes: it hears so instead
      const message = error instanceof Error ? error.message : String(error);
      frame = encodeResponse(stream, { ok: false, code: RPC_CODES.resourceExhausted, message });
    }
    this.#send(this.#serves.connection, frame);
  }

  #send(connection: number, frame: Uint8Array): void {
    if (this.#ended.signal.aborted) return;
    this.#socket.write(encodePieces(connection, frame));
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) {
      this.close(`the other end leaves more than ${MAX_UNSENT_BYTES} bytes unread`);
    }
  }
}
