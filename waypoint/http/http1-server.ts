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
import type { Duplex } from 'node:stream';
import type { Inbound } from '../inbound.ts';
import { type ConnectionParts, Http1Connection, type Refusal } from './http1-connection.ts';
import { type How, Http1Exchange } from './http1-exchange.ts';
import { framingProblem } from './http1-framing.ts';
import type { StreamSocket } from './stream-socket.ts';

/** Envoy's defaults: 60 KiB, a hundred lines. */
export const MAX_HEADER_BYTES = 60 * 1024;
export const MAX_HEADERS = 100;
/** Between requests a connection may rest for so long. */
const IDLE_MS = 3_600_000;

export class Http1Server {
  readonly #parts: ConnectionParts;
  readonly #server: Server;
  readonly #connections = new Map<Duplex, Http1Connection>();
  #draining = false;

  constructor(parts: ConnectionParts) {
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
      // refused by ourselves, so that it is told of
      requireHostHeader: false,
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
    this.#server.on('checkExpectation', ({ socket, headers }) => {
      const why = `expect: ${String(headers.expect).slice(0, 50)}`;
      this.#connections.get(socket)?.refuse({ status: 417, reason: 'expectation', why });
    });
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (head.length > 0) socket.unshift(head);
      this.#take(request, new ServerResponse(request), { upgrades: true });
    });
    this.#server.on('connect', ({ url }: IncomingMessage, socket: Duplex) => {
      const why = `CONNECT to ${String(url).slice(0, 100)}`;
      this.#connections.get(socket)?.refuse({ status: 405, reason: 'connect', why });
    });
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
      if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
      else this.#connections.get(socket)?.refuse(refusalOf(error));
    });
  }

  get connections(): number {
    return this.#connections.size;
  }

  take(socket: StreamSocket, inbound: Inbound): void {
    const connection = new Http1Connection(socket, inbound, this.#parts);
    this.#connections.set(socket, connection);
    socket.once('close', () => this.#connections.delete(socket));
    if (this.#draining) connection.drain();
    this.#server.emit('connection', socket);
    socket.prependListener('data', () => connection.bytes());
  }

  /** From now on each answer is the last one of its connection, and says so. */
  drain(): void {
    this.#draining = true;
    for (const connection of this.#connections.values()) connection.drain();
  }

  /** Ends the connections on which no request is under way. */
  closeResting(): void {
    for (const connection of this.#connections.values()) connection.closeIfResting();
  }

  close(): void {
    for (const socket of this.#connections.keys()) socket.destroy();
  }

  #take(request: IncomingMessage, response: ServerResponse, how: How = {}): void {
    const connection = this.#connections.get(request.socket);
    if (connection === undefined) {
      request.socket.destroy();
      return;
    }
    response.sendDate = false;
    const { method = '', httpVersion, rawHeaders } = request;
    const upgrades = how.upgrades === true;
    const problem = framingProblem({ method, httpVersion, rawHeaders, upgrades });
    if (problem !== undefined) connection.refuse({ ...problem, reason: 'framing' });
    else if (rawHeaders.length / 2 > MAX_HEADERS) {
      const why = `more than ${MAX_HEADERS} headers`;
      connection.refuse({ status: 431, reason: 'too_many_headers', why });
    } else connection.take(new Http1Exchange(request, response, connection.inbound, how));
  }
}

/** Its codes are llhttp's own, some thirty. */
function refusalOf({ code = 'UNKNOWN', message }: NodeJS.ErrnoException): Refusal {
  const reason = code.replace(/^HPE_/, '').toLowerCase();
  return { status: code === 'HPE_HEADER_OVERFLOW' ? 431 : 400, reason, why: message };
}
