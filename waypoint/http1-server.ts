// HTTP/1 as clients speak it to us: requests off a connection's bytes into Exchanges. Called by accept.ts with each
// connection that speaks it. The parser is Node's own (llhttp, strict). Invariants: no request is taken whose framing two
// parsers could read differently; a header that is not taken whole ends the request, it is never cut short.

import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  ServerResponse,
} from 'node:http';
import type { Duplex, Writable } from 'node:stream';
import type { HeaderList } from '../mesh/http-request.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Exchange, ResponseHead } from './exchange.ts';
import type { Inbound } from './inbound.ts';
import type { StreamSocket } from './stream-socket.ts';

/** Envoy's defaults: 60 KiB, a hundred lines. */
export const MAX_HEADER_BYTES = 60 * 1024;
export const MAX_HEADERS = 100;
/** From its first byte a head may take so long; between requests a connection may rest for {@link IDLE_MS}. */
const HEAD_TIMEOUT_MS = 10_000;
const IDLE_MS = 3_600_000;

export type Http1Parts = {
  readonly clock: Clock;
  readonly onExchange: (exchange: Exchange) => void;
  /** Bytes that are no request we take; `status` is what the client was told. */
  readonly onBad: (inbound: Inbound, status: number, why: string) => void;
};

type Connection = { readonly inbound: Inbound; head: Timer | undefined };

export class Http1Server {
  readonly #parts: Http1Parts;
  readonly #server: Server;
  readonly #connections = new Map<Duplex, Connection>();
  #draining = false;

  constructor(parts: Http1Parts) {
    this.#parts = parts;
    const options: ServerOptions & {
      shouldUpgradeCallback: (request: IncomingMessage) => boolean;
    } = {
      maxHeaderSize: MAX_HEADER_BYTES,
      // an upload may last for days; heads have our own limit
      requestTimeout: 0,
      headersTimeout: 0,
      keepAliveTimeout: IDLE_MS,
      insecureHTTPParser: false,
      // HTTP/2 in clear text is had by prior knowledge only (RFC 9113 section 3.1)
      shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() !== 'h2c',
    };
    this.#server = createServer(options);
    // Node leaves out what is beyond its limit without a word
    this.#server.maxHeadersCount = 0;
    this.#server.on('request', (request, response) => this.#take(request, response));
    this.#server.on('checkContinue', (request, response) =>
      this.#take(request, response, { expectsContinue: true }),
    );
    this.#server.on('checkExpectation', (request, response) => {
      this.#refuse(request, response, 417, 'an expectation we do not know');
    });
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (head.length > 0) socket.unshift(head);
      const response = new ServerResponse(request);
      response.assignSocket(socket as never);
      this.#take(request, response, { upgrades: true });
    });
    this.#server.on('connect', (request: IncomingMessage, socket: Duplex) => {
      this.#end(socket, 405, `CONNECT to ${String(request.url).slice(0, 100)}`);
    });
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
      if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
      else this.#end(socket, statusOf(error), error.message);
    });
  }

  get connections(): number {
    return this.#connections.size;
  }

  take(socket: StreamSocket, inbound: Inbound): void {
    const connection: Connection = { inbound, head: undefined };
    this.#connections.set(socket, connection);
    socket.once('close', () => {
      connection.head?.cancel();
      this.#connections.delete(socket);
    });
    this.#server.emit('connection', socket);
    socket.prependListener('data', () => this.#expectHead(socket, connection));
    this.#expectHead(socket, connection);
  }

  /** From now on each answer is the last one of its connection, and says so. */
  drain(): void {
    this.#draining = true;
  }

  /** Ends the connections on which no request is under way, in order: Node's own way would be a reset to the client. */
  closeResting(): void {
    for (const [socket, { head }] of this.#connections) if (head === undefined) socket.end();
  }

  close(): void {
    for (const socket of this.#connections.keys()) socket.destroy();
  }

  #expectHead(socket: Duplex, connection: Connection): void {
    connection.head ??= this.#parts.clock.timer(HEAD_TIMEOUT_MS, () => {
      this.#end(socket, 408, `no request within ${HEAD_TIMEOUT_MS / 1000} s`);
    });
  }

  #take(request: IncomingMessage, response: ServerResponse, how: How = {}): void {
    const { socket } = request;
    const connection = this.#connections.get(socket);
    if (connection === undefined) {
      socket.destroy();
      return;
    }
    connection.head?.cancel();
    // bytes that come while this one is answered are its body's or the next one's: timed again when it is over
    connection.head = IN_REQUEST;
    response.once('close', () => {
      connection.head = undefined;
    });
    response.sendDate = false;
    if (request.rawHeaders.length / 2 > MAX_HEADERS) {
      this.#refuse(request, response, 431, `more than ${MAX_HEADERS} headers`);
      return;
    }
    const isLast = (): boolean => this.#draining;
    this.#parts.onExchange(
      new Http1Exchange(request, response, connection.inbound, { ...how, isLast }),
    );
  }

  #refuse(request: IncomingMessage, response: ServerResponse, status: number, why: string): void {
    const connection = this.#connections.get(request.socket);
    if (connection !== undefined) this.#parts.onBad(connection.inbound, status, why);
    response.writeHead(status, { connection: 'close', 'content-length': 0 }).end();
  }

  /** Before there is a request to answer. */
  #end(socket: Duplex, status: number, why: string): void {
    const connection = this.#connections.get(socket);
    if (connection !== undefined) this.#parts.onBad(connection.inbound, status, why);
    socket.once('finish', () => socket.destroy());
    socket.end(
      `HTTP/1.1 ${status} ${TEXTS[status] ?? 'Error'}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`,
    );
  }
}

const IN_REQUEST: Timer = { cancel() {} };

const TEXTS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Payload Too Large',
  431: 'Request Header Fields Too Large',
};

function statusOf(error: NodeJS.ErrnoException): number {
  if (error.code === 'HPE_HEADER_OVERFLOW') return 431;
  if (error.code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return 413;
  return error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
}

type How = {
  readonly expectsContinue?: boolean;
  readonly upgrades?: boolean;
};

class Http1Exchange implements Exchange {
  readonly inbound: Inbound;
  readonly version: '1.0' | '1.1';
  readonly authority: string | undefined;
  readonly headers: HeaderList;
  readonly expectsContinue: boolean;
  readonly signal: AbortSignal;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #upgrades: boolean;
  /** Whether its connection is to end with it, known when it is answered. */
  readonly #isLast: () => boolean;
  #continued = false;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    inbound: Inbound,
    { expectsContinue = false, upgrades = false, isLast }: How & { readonly isLast: () => boolean },
  ) {
    this.#request = request;
    this.#response = response;
    this.inbound = inbound;
    this.expectsContinue = expectsContinue;
    this.#upgrades = upgrades;
    this.#isLast = isLast;
    this.version = request.httpVersion === '1.0' ? '1.0' : '1.1';
    this.authority = request.headers.host;
    this.headers = pairsOf(request.rawHeaders).filter(([name]) => name !== 'host');
    const gone = new AbortController();
    this.signal = gone.signal;
    response.once('close', () => {
      if (!response.writableFinished) gone.abort(new Error('The client has gone'));
    });
    request.on('error', () => {
      // told by `close`
    });
  }

  get method(): string {
    return this.#request.method ?? '';
  }

  get target(): string {
    return this.#request.url ?? '';
  }

  get body(): IncomingMessage {
    return this.#request;
  }

  get hasBody(): boolean {
    const { headers } = this.#request;
    return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  }

  get upgrade(): string | undefined {
    return this.#upgrades ? this.#request.headers.upgrade : undefined;
  }

  trailers(): HeaderList {
    return pairsOf(this.#request.rawTrailers);
  }

  continue(): void {
    this.#continued = true;
    if (!this.#response.headersSent) this.#response.writeContinue();
  }

  hint(headers: HeaderList): void {
    const links = headers.filter(([name]) => name === 'link').map(([, value]) => value);
    if (!this.#response.headersSent && links.length > 0) {
      this.#response.writeEarlyHints({ link: links });
    }
  }

  respond({ status, headers, empty }: ResponseHead, trailers?: () => HeaderList): Writable {
    const response = this.#response;
    // whether the body comes after all nobody can know
    const bodyUnknown = this.expectsContinue && !this.#continued;
    if (bodyUnknown || this.#isLast()) response.shouldKeepAlive = false;
    response.writeHead(status, headers.flat());
    if (!empty) response.flushHeaders();
    if (trailers !== undefined) {
      const end = response.end.bind(response);
      response.end = ((...args: Parameters<typeof end>) => {
        const last = trailers();
        if (last.length > 0)
          response.addTrailers(last.map(([name, value]): [string, string] => [name, value]));
        return end(...args);
      }) as typeof end;
    }
    return response;
  }

  switch(headers: HeaderList): Duplex {
    const { socket } = this.#request;
    this.#response.detachSocket(socket);
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines}\r\n`, 'latin1');
    return socket;
  }

  reset(): void {
    this.#request.socket.destroy();
  }
}

function pairsOf(raw: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    pairs.push([(raw[at] ?? '').toLowerCase(), raw[at + 1] ?? '']);
  }
  return pairs;
}
