// HTTP/2 as clients speak it to us, by prior knowledge: requests off a connection's bytes into Exchanges. Called by
// accept.ts. The codec is Node's own (nghttp2). Invariant: a header list is within the limits of HTTP/1, so that it can be
// passed on by either.

import {
  constants,
  type Http2Session,
  performServerHandshake,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex, Writable } from 'node:stream';
import { HttpFailure } from '../mesh/http-failures.ts';
import type { HeaderList } from '../mesh/http-request.ts';
import { ignoreError } from '../tunnel/socket.ts';
import type { Exchange, ResponseHead } from './exchange.ts';
import { pairsOf } from './header-pairs.ts';
import { passableTrailers } from './headers.ts';
import type { ConnectionParts } from './http1-connection.ts';
import { MAX_HEADER_BYTES, MAX_HEADERS } from './http1-server.ts';
import type { Inbound } from './inbound.ts';
import type { StreamSocket } from './stream-socket.ts';

/** Envoy's default; a client that has more waits. */
const MAX_STREAMS = 100;
// a client may give up many requests at once; who goes on is a rapid reset (CVE-2023-44487)
const RESET_BURST = 500;
const RESETS_PER_SECOND = 50;

export class Http2Server {
  readonly #parts: ConnectionParts;
  readonly #connections = new Map<Http2Session, Connection>();
  #draining = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  get connections(): number {
    return this.#connections.size;
  }

  take(socket: StreamSocket, inbound: Inbound): void {
    const session = performServerHandshake(socket as never, {
      settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: MAX_HEADER_BYTES },
      strictSingleValueFields: false,
      maxHeaderListPairs: MAX_HEADERS + 4,
      streamResetBurst: RESET_BURST,
      streamResetRate: RESETS_PER_SECOND,
    });
    const connection: Connection = { session, streams: 0, isSentAway: false };
    this.#connections.set(session, connection);
    session.once('close', () => this.#connections.delete(session));
    session.on('error', (error) =>
      this.#parts.onBad(inbound, { status: 400, reason: 'session', why: error.message }),
    );
    session.on('stream', (stream: ServerHttp2Stream, _, flags: number, raw: readonly string[]) => {
      stream.on('error', ignoreError);
      connection.streams++;
      stream.once('close', () => {
        connection.streams--;
        closeWhenDone(connection);
      });
      if (this.#draining) sendAway(connection);
      this.#parts.onExchange(
        new Http2Exchange(stream, raw, (flags & constants.NGHTTP2_FLAG_END_STREAM) === 0, inbound),
      );
    });
  }

  /** Requests that are open, and those on their way, are answered; new ones go elsewhere. */
  drain(): void {
    this.#draining = true;
    for (const connection of this.#connections.values()) {
      if (connection.streams > 0) sendAway(connection);
    }
  }

  /** Ends the connections on which no request is under way. */
  closeResting(): void {
    for (const { session, streams } of this.#connections.values()) {
      if (streams === 0) session.close();
    }
  }

  close(): void {
    for (const session of this.#connections.keys()) session.destroy();
  }
}

/** undefined: there is none, or they differ, and who goes by another would serve what nobody judged (RFC 9113 8.3.1). */
function oneHost(authority: string | undefined, hosts: readonly string[]): string | undefined {
  const [first, ...others] = authority === undefined ? hosts : [authority, ...hosts];
  return others.every((one) => one.toLowerCase() === first?.toLowerCase()) ? first : undefined;
}

type Connection = { readonly session: Http2Session; streams: number; isSentAway: boolean };

/**
 * RFC 9113 section 6.8: first a GOAWAY that still takes what is on its way, a round trip later the final one. Only while a
 * stream is open: without one nghttp2 would read no more after the first.
 */
function sendAway(connection: Connection): void {
  const { session } = connection;
  if (connection.isSentAway || session.destroyed || session.closed) return;
  connection.isSentAway = true;
  session.goaway(constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1);
  session.ping(() => {
    if (!session.destroyed) session.close();
  });
}

function closeWhenDone({ session, streams, isSentAway }: Connection): void {
  if (isSentAway && streams === 0 && !session.destroyed) session.close();
}

class Http2Exchange implements Exchange {
  readonly inbound: Inbound;
  readonly version = '2';
  readonly method: string;
  readonly target: string;
  readonly authority: string | undefined;
  readonly headers: HeaderList;
  readonly hasBody: boolean;
  readonly upgrade = undefined;
  readonly signal: AbortSignal;
  readonly #stream: ServerHttp2Stream;
  readonly #gone = new AbortController();
  #trailers: HeaderList = [];
  #reset = false;

  constructor(
    stream: ServerHttp2Stream,
    raw: readonly string[],
    hasBody: boolean,
    inbound: Inbound,
  ) {
    this.#stream = stream;
    this.inbound = inbound;
    this.hasBody = hasBody;
    const { pseudo, rest } = fieldsOf(raw);
    this.method = pseudo.get(':method') ?? '';
    this.target = pseudo.get(':path') ?? '';
    const hosts = rest.flatMap(([name, value]) => (name === 'host' ? value : []));
    this.authority = oneHost(pseudo.get(':authority'), hosts);
    this.headers = rest.filter(([name]) => name !== 'host');
    this.signal = this.#gone.signal;
    stream.once('close', () => {
      const whole = stream.writableFinished && stream.rstCode === constants.NGHTTP2_NO_ERROR;
      if (!whole && !this.#reset) {
        this.abort(new HttpFailure('DOWNSTREAM_RESET', 'The client has gone'));
      }
    });
    stream.once('trailers', (_headers: unknown, _flags: unknown, lines: readonly string[]) => {
      this.#trailers = passableTrailers(pairsOf(lines));
    });
  }

  get body(): ServerHttp2Stream {
    return this.#stream;
  }

  get expectsContinue(): boolean {
    return this.headers.some(
      ([name, value]) => name === 'expect' && value.toLowerCase() === '100-continue',
    );
  }

  trailers(): HeaderList {
    return this.#trailers;
  }

  continue(): void {
    if (!this.#stream.headersSent) this.#stream.additionalHeaders({ ':status': 100 });
  }

  hint(headers: HeaderList): void {
    if (this.#stream.headersSent) return;
    try {
      this.#stream.additionalHeaders({ ':status': 103, ...recordOf(headers) });
    } catch {
      // one that cannot be written may be left out
    }
  }

  respond({ status, headers, empty }: ResponseHead, trailers?: () => HeaderList): Writable {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return stream;
    const list = [':status', String(status), ...headers.flat()];
    const waitForTrailers = trailers !== undefined && !empty;
    stream.respond(list as never, { endStream: empty, waitForTrailers, sendDate: false } as never);
    if (waitForTrailers) {
      stream.once('wantTrailers', () => {
        const last = trailers();
        // none at all ends the answer with an empty DATA frame
        stream.sendTrailers(recordOf(last));
      });
    }
    return stream;
  }

  switch(): Duplex {
    throw new Error('HTTP/2 knows no Upgrade');
  }

  abort(failure: HttpFailure): void {
    if (!this.signal.aborted) this.#gone.abort(failure);
  }

  reset(): void {
    this.#reset = true;
    if (!this.#stream.destroyed) this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }
}

function fieldsOf(raw: readonly string[]): {
  pseudo: Map<string, string>;
  rest: [string, string][];
} {
  const pseudo = new Map<string, string>();
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] ?? '';
    if (name.startsWith(':')) pseudo.set(name, raw[at + 1] ?? '');
  }
  return { pseudo, rest: pairsOf(raw) };
}

/** Trailers are taken by Node in this shape only. */
export function recordOf(list: HeaderList): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = {};
  for (const [name, value] of list) {
    const before = record[name];
    record[name] = before === undefined ? value : [before, value].flat();
  }
  return record;
}
