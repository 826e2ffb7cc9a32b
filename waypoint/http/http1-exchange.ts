// One request of HTTP/1 and its answer, over Node's own objects. Made by http1-server.ts, served when its connection says so
// (http1-connection.ts).

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex, Writable } from 'node:stream';
import { HttpFailure } from '../../mesh/http-failures.ts';
import type { HeaderList } from '../../mesh/http-request.ts';
import type { Inbound } from '../inbound.ts';
import type { Exchange, ResponseHead } from './exchange.ts';
import { pairsOf } from './header-pairs.ts';
import { passableTrailers } from './headers.ts';

export type How = { readonly expectsContinue?: boolean; readonly upgrades?: boolean };

export class Http1Exchange implements Exchange {
  readonly inbound: Inbound;
  readonly version: '1.0' | '1.1';
  readonly authority: string | undefined;
  readonly headers: HeaderList;
  readonly expectsContinue: boolean;
  readonly signal: AbortSignal;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #upgrades: boolean;
  readonly #gone = new AbortController();
  #continued = false;
  #reset = false;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    inbound: Inbound,
    { expectsContinue = false, upgrades = false }: How,
  ) {
    this.#request = request;
    this.#response = response;
    this.inbound = inbound;
    this.expectsContinue = expectsContinue;
    this.#upgrades = upgrades;
    this.version = request.httpVersion === '1.0' ? '1.0' : '1.1';
    this.authority = request.headers.host;
    this.headers = pairsOf(request.rawHeaders).filter(([name]) => name !== 'host');
    this.signal = this.#gone.signal;
    response.once('close', () => {
      if (!response.writableFinished && !this.#reset) {
        this.abort(new HttpFailure('DOWNSTREAM_RESET', 'The client has gone'));
      }
    });
    request.on('error', () => {
      // told by `close`
    });
  }

  /** All of it has come. */
  get isComplete(): boolean {
    return this.#request.complete;
  }

  /** No parser looks for requests in its connection any more. */
  get tookConnection(): boolean {
    return this.#upgrades;
  }

  /** It is its turn on the connection. `answered`: its answer has gone out, or the connection has ended. */
  begin(answered: () => void): void {
    const response = this.#response;
    if (this.#upgrades) {
      response.assignSocket(this.#request.socket);
      response.shouldKeepAlive = false;
      response.once('finish', answered);
    }
    response.once('close', answered);
  }

  /** The connection takes no further request. */
  isLast(): void {
    if (!this.#response.headersSent) this.#response.shouldKeepAlive = false;
  }

  abort(failure: HttpFailure): void {
    if (this.signal.aborted) return;
    // what is left of the request may be taken for the next one
    if (!this.isComplete) this.isLast();
    this.#gone.abort(failure);
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
    return passableTrailers(pairsOf(this.#request.rawTrailers));
  }

  continue(): void {
    this.#continued = true;
    if (!this.#response.headersSent) this.#response.writeContinue();
  }

  hint(headers: HeaderList): void {
    const links = headers.filter(([name]) => name === 'link').map(([, value]) => value);
    if (this.#response.headersSent || links.length === 0) return;
    try {
      this.#response.writeEarlyHints({ link: links });
    } catch {
      // one that Node does not write may be left out
    }
  }

  respond({ status, headers, empty }: ResponseHead, trailers?: () => HeaderList): Writable {
    const response = this.#response;
    // whether the body comes after all nobody can know
    if (this.expectsContinue && !this.#continued) response.shouldKeepAlive = false;
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
    // its end is told by whoever carries the bytes
    this.#reset = true;
    socket.once('close', () => this.#response.emit('close'));
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines}\r\n`, 'latin1');
    return socket;
  }

  onClosed(listener: () => void): void {
    this.#response.once('close', listener);
  }

  reset(): void {
    this.#reset = true;
    this.#request.socket.destroy();
  }
}
