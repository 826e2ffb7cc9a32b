// HTTP/2 as clients speak it to us, by prior knowledge: requests off a connection's bytes into Exchanges. Called by
// accept.ts. The codec is Node's own (nghttp2). Invariant: a header list is within the limits of HTTP/1, so that it can be
// passed on by either.

import {
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { HttpFailure } from '../../mesh/http-failures.ts';
import { ignoreError } from '../../tunnel/socket.ts';
import type { Inbound } from '../inbound.ts';
import type { ConnectionParts } from './http1-connection.ts';
import { MAX_HEADER_BYTES, MAX_HEADERS } from './http1-server.ts';
import { Http2Exchange } from './http2-exchange.ts';
import { Http2Watch, TAKEN_BACK_A_SECOND, TAKEN_BACK_BURST } from './http2-watch.ts';
import type { StreamSocket } from './stream-socket.ts';

/** Envoy's default; a client that has more waits. */
const MAX_STREAMS = 100;
/** Without a request, a connection is kept for so long: as one of HTTP/1. */
const IDLE_MS = 3_600_000;

type Session = {
  readonly h2: ServerHttp2Session;
  readonly open: Set<Http2Exchange>;
  draining: boolean;
};

export class Http2Server {
  readonly #parts: ConnectionParts;
  readonly #sessions = new Set<Session>();
  #draining = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  get connections(): number {
    return this.#sessions.size;
  }

  take(socket: StreamSocket, inbound: Inbound): void {
    const { onBad, onExchange } = this.#parts;
    const h2 = performServerHandshake(socket as never, {
      settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: MAX_HEADER_BYTES },
      strictSingleValueFields: false,
      maxHeaderListPairs: MAX_HEADERS + 4,
      streamResetBurst: TAKEN_BACK_BURST,
      streamResetRate: TAKEN_BACK_A_SECOND,
    });
    const session: Session = { h2, open: new Set(), draining: false };
    this.#sessions.add(session);
    h2.once('close', () => this.#sessions.delete(session));
    h2.on('error', (error: NodeJS.ErrnoException) => {
      // whoever has simply gone broke no rule
      if (error.code === 'ECONNRESET') return;
      const failure = new HttpFailure('DOWNSTREAM_PROTOCOL', `Its connection: ${error.message}`);
      for (const exchange of session.open) exchange.abort(failure);
      onBad(inbound, { status: 400, reason: wordOf(error.message), why: error.message });
    });
    const watch = new Http2Watch(socket, {
      ...this.#parts,
      onRefused: (refusal) => onBad(inbound, refusal),
      onBroken: (refusal) => {
        onBad(inbound, refusal);
        h2.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
      },
    });
    h2.on('stream', (stream: ServerHttp2Stream, _, flags: number, raw: readonly string[]) => {
      stream.on('error', ignoreError);
      watch.add(stream);
      const hasBody = (flags & constants.NGHTTP2_FLAG_END_STREAM) === 0;
      const exchange = new Http2Exchange(stream, raw, hasBody, inbound);
      session.open.add(exchange);
      if (this.#draining) sendAway(session);
      stream.once('close', () => {
        session.open.delete(exchange);
        if (session.draining && session.open.size === 0 && !h2.destroyed) h2.close();
      });
      // nghttp2 asks for it and does not hold anybody to it
      if (bytesOf(raw) > MAX_HEADER_BYTES) {
        const why = `More than ${MAX_HEADER_BYTES} bytes of headers`;
        exchange.abort(new HttpFailure('HEADERS_TOO_LARGE', why));
      }
      onExchange(exchange);
    });
    h2.setTimeout(IDLE_MS, () => {
      if (session.open.size === 0) h2.close();
    });
  }

  /** Requests that are open, and those on their way, are answered; new ones go elsewhere. */
  drain(): void {
    this.#draining = true;
    for (const session of this.#sessions) if (session.open.size > 0) sendAway(session);
  }

  /** Ends the connections on which no request is under way. */
  closeResting(): void {
    for (const { h2, open } of this.#sessions) if (open.size === 0) h2.close();
  }

  close(): void {
    for (const { h2 } of this.#sessions) h2.destroy();
  }
}

/**
 * RFC 9113 section 6.8: first a GOAWAY that still takes what is on its way, a round trip later the final one. Only while a
 * stream is open: without one nghttp2 would read no more after the first.
 */
function sendAway(session: Session): void {
  const { h2 } = session;
  if (session.draining || h2.destroyed) return;
  session.draining = true;
  h2.goaway(constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1);
  h2.ping(() => {
    if (!h2.destroyed) h2.close();
  });
}

function bytesOf(raw: readonly string[]): number {
  let bytes = 0;
  for (const text of raw) bytes += text.length;
  return bytes;
}

/** nghttp2 has a sentence for each of its errors, some forty. */
function wordOf(sentence: string): string {
  return sentence
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .slice(0, 40);
}
