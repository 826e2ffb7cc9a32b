// One client's connection of HTTP/1: its requests in their order, one at a time, and its end. Made by http1-server.ts for
// each connection. Invariants: a request begins when the one before it was answered (RFC 9112 section 9.3.2: what is no
// safe method must not overtake), and after bytes that are no request nothing more is read.

import { HttpFailure } from '../../mesh/http-failures.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Inbound } from '../inbound.ts';
import type { Exchange } from './exchange.ts';
import type { Http1Exchange } from './http1-exchange.ts';
import type { StreamSocket } from './stream-socket.ts';

/** Envoy's default. */
export const HEAD_TIMEOUT_MS = 10_000;
/** Requests that came before the one at hand was answered; what more there is waits in the tunnel. */
export const MAX_WAITING = 1000;

/** Why bytes are no request we take. */
export type Refusal = {
  /** What the client is told. */
  readonly status: number;
  /** One of few words, for metrics. */
  readonly reason: string;
  readonly why: string;
};

export type ConnectionParts = {
  readonly clock: Clock;
  /** From its first byte a head may take so long. */
  readonly headTimeoutMs: number;
  readonly onExchange: (exchange: Exchange) => void;
  readonly onBad: (inbound: Inbound, refusal: Refusal) => void;
};

export class Http1Connection {
  readonly inbound: Inbound;
  readonly #socket: StreamSocket;
  readonly #parts: ConnectionParts;
  readonly #waiting: Http1Exchange[] = [];
  #current: Http1Exchange | undefined;
  #head: Timer | undefined;
  #headBegun = false;
  /** What came after requests that are still to be answered. */
  #refusal: Refusal | undefined;
  #draining = false;
  #ending = false;

  constructor(socket: StreamSocket, inbound: Inbound, parts: ConnectionParts) {
    this.inbound = inbound;
    this.#socket = socket;
    this.#parts = parts;
    socket.once('close', () => {
      this.#ending = true;
      this.#head?.cancel();
      this.#waiting.length = 0;
    });
    this.#expectHead();
  }

  /** Some bytes are here: of a head, unless a request is being served. */
  bytes(): void {
    if (this.#ending || this.#current !== undefined) return;
    this.#headBegun = true;
    if (this.#head === undefined) this.#expectHead();
  }

  take(exchange: Http1Exchange): void {
    if (this.#ending || this.#refusal !== undefined) return;
    if (this.#current === undefined) this.#serve(exchange);
    else if (this.#waiting.length < MAX_WAITING) {
      this.#waiting.push(exchange);
      this.#socket.hold(true);
    } else {
      const why = `more than ${MAX_WAITING} requests before the first was answered`;
      this.refuse({ status: 429, reason: 'pipelined', why });
    }
  }

  /** No request can be found in what comes from here on. */
  refuse(refusal: Refusal): void {
    if (this.#ending || this.#refusal !== undefined) return;
    const { status, why } = refusal;
    const cut = [this.#current, ...this.#waiting].find((one) => one?.isComplete === false);
    if (cut !== undefined) {
      const code = status === 431 ? 'HEADERS_TOO_LARGE' : 'DOWNSTREAM_PROTOCOL';
      cut.abort(new HttpFailure(code, `The body is no HTTP/1: ${why}`, { status }));
    } else if (this.#current !== undefined) this.#refusal = refusal;
    else this.#end(refusal);
  }

  /** Ends with its next answer, which says so. */
  drain(): void {
    this.#draining = true;
    this.#current?.isLast();
  }

  closeIfResting(): void {
    if (this.#current === undefined && !this.#headBegun) this.#end();
  }

  #expectHead(): void {
    const { clock, headTimeoutMs } = this.#parts;
    this.#head = clock.timer(headTimeoutMs, () => {
      const why = `no whole head within ${headTimeoutMs} ms`;
      // whoever has said nothing has asked nothing
      if (this.#headBegun) this.#end({ status: 408, reason: 'slow_head', why });
      else this.#end();
    });
  }

  #serve(exchange: Http1Exchange): void {
    this.#head?.cancel();
    this.#head = undefined;
    this.#headBegun = false;
    this.#current = exchange;
    exchange.begin(() => this.#answered(exchange));
    if (this.#draining) exchange.isLast();
    this.#parts.onExchange(exchange);
  }

  #answered(exchange: Http1Exchange): void {
    this.#current = undefined;
    if (this.#ending) return;
    // the rest of its body would have to be read for nobody
    if (!exchange.isComplete || exchange.tookConnection) {
      this.#end();
      return;
    }
    const next = this.#waiting.shift();
    if (this.#waiting.length === 0) this.#socket.hold(false);
    if (next !== undefined) this.#serve(next);
    else if (this.#refusal !== undefined) this.#end(this.#refusal);
    else if (this.#draining) this.#end();
  }

  #end(refusal?: Refusal): void {
    this.#ending = true;
    this.#head?.cancel();
    this.#socket.hold(false);
    if (refusal !== undefined) {
      this.#parts.onBad(this.inbound, refusal);
      this.#socket.write(answerTo(refusal));
    }
    this.#socket.destroySoon();
  }
}

const TEXTS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  417: 'Expectation Failed',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
  505: 'HTTP Version Not Supported',
};

function answerTo({ status }: Refusal): string {
  const text = TEXTS[status] ?? 'Error';
  return `HTTP/1.1 ${status} ${text}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`;
}
