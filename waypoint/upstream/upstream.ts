// What is sent to an endpoint and what comes back, whichever HTTP version it speaks. The seam between forward.ts and the
// two clients.

import type { Duplex, Readable, Writable } from 'node:stream';
import type { HeaderList } from '../../mesh/http-request.ts';
import type { Announced } from './dial.ts';

export type UpstreamRequest = {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  /** With its query. */
  readonly target: string;
  /** Without Host, and without what concerns one connection only. */
  readonly headers: HeaderList;
  /** undefined: there is none. */
  readonly body: RequestBody | undefined;
  /** The endpoint is asked first (100-continue): called when it says yes. */
  readonly onContinue: (() => void) | undefined;
  /** A 103 (Early Hints) on the way to the answer. */
  readonly onHints: (headers: HeaderList) => void;
  readonly upgrade: string | undefined;
  /** On whose behalf a connection is opened, should there be none. */
  readonly announced: Announced;
  /** It has got a connection, and waits for one no more. */
  readonly onConnection: () => void;
};

/** A body that may have to be sent again. */
export interface RequestBody {
  /** Sends what there is so far and all that comes into `to`, then ends it; returns how to stop that. */
  attach(to: Writable, trailers: (list: HeaderList) => void): () => void;
}

export type UpstreamResponse = {
  readonly status: number;
  readonly headers: HeaderList;
  /** True when the head was all there is: no body and no trailers. */
  readonly headOnly: boolean;
  readonly body: Readable;
  /** After the body's end. */
  trailers(): HeaderList;
  /** Set after a 101: bytes both ways. */
  readonly upgraded: Duplex | undefined;
  /** Gives it up. */
  reset(): void;
};

/** What a service's policy says of connections to it: of all its endpoints together. */
export type UpstreamLimits = {
  readonly circuit: {
    connectionSoon(signal?: AbortSignal): Promise<() => void>;
    readonly isCrowded: boolean;
    mayReuse(served: number): boolean;
  };
  readonly settings: { readonly timeouts: { readonly connectMs: number; readonly idleMs: number } };
};

/** What came instead of an answer. `sent`: bytes of the request may have been processed. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly kind: 'connect' | 'reset' | 'refused-stream' | 'protocol' | 'overflow';

  constructor(
    kind: UpstreamError['kind'],
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
    this.kind = kind;
  }
}

/** An endpoint that was asked before the body and says nothing gets it after so long (RFC 9110 section 10.1.1). */
export const CONTINUE_TIMEOUT_MS = 1000;
/** Answers of 1xx before the one that counts: more than one of each kind there is. */
export const MAX_INTERIM = 8;

export function tooManyInterim(): UpstreamError {
  return new UpstreamError('protocol', `More than ${MAX_INTERIM} interim answers`);
}

/** RFC 9110 section 15: others mean nothing, and HTTP/2 does not carry them. */
export function statusProblem(status: number): UpstreamError | undefined {
  if (status >= 200 && status <= 599) return undefined;
  return new UpstreamError('protocol', `It answers with status ${status}`);
}

export type Send = (request: UpstreamRequest, signal: AbortSignal) => Promise<UpstreamResponse>;
