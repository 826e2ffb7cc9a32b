// One request and its answer, whichever HTTP version the client speaks: what http1-server.ts and http2-server.ts make of
// their streams, and all that serve.ts knows of them. Invariant: answered exactly once, by respond, upgrade or reset.

import type { Duplex, Readable, Writable } from 'node:stream';
import type { HttpFailure } from '../../mesh/http-failures.ts';
import type { HeaderList } from '../../mesh/http-request.ts';
import type { Inbound } from '../inbound.ts';

export interface Exchange {
  readonly inbound: Inbound;
  readonly version: '1.0' | '1.1' | '2';
  readonly method: string;
  /** As sent: a path with its query, an absolute URI, or `*`. */
  readonly target: string;
  /** Of `:authority` or Host, as sent; undefined when there was none. */
  readonly authority: string | undefined;
  /** Names in lower case; no pseudo headers, Host is left out. */
  readonly headers: HeaderList;
  /** The request's bytes; ends without any when there is no body. */
  readonly body: Readable;
  readonly hasBody: boolean;
  readonly expectsContinue: boolean;
  /** The protocol the client wants to change to (HTTP/1.1 Upgrade). */
  readonly upgrade: string | undefined;
  /** Aborted, with a HttpFailure, when the client has gone before its answer was complete, or by {@link abort}. */
  readonly signal: AbortSignal;
  /** After the end of the body. */
  trailers(): HeaderList;
  /** A 100 (Continue). */
  continue(): void;
  /** A 103 (Early Hints). */
  hint(headers: HeaderList): void;
  /** The head, then bytes into what is returned; its end is the answer's, with `trailers` as they are then. */
  respond(head: ResponseHead, trailers?: () => HeaderList): Writable;
  /** 101, and from then on bytes both ways. Only when `upgrade` is set. */
  switch(headers: HeaderList): Duplex;
  /** Gives it up for a reason of ours, or for what the client does; it is still to be answered, or reset. */
  abort(failure: HttpFailure): void;
  /** The answer has gone out to its last byte, or never will. */
  onClosed(listener: () => void): void;
  /** Ends it so that the client sees a break. */
  reset(): void;
}

export type ResponseHead = {
  readonly status: number;
  readonly headers: HeaderList;
  /** True when no byte follows: HEAD, 204, 304, or simply nothing to say. */
  readonly empty: boolean;
};
