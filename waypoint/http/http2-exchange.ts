// One request of HTTP/2 and its answer, over Node's own stream. Made by http2-server.ts.

import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Duplex, Writable } from 'node:stream';
import { HttpFailure } from '../../mesh/http-failures.ts';
import type { HeaderList } from '../../mesh/http-request.ts';
import type { Inbound } from '../inbound.ts';
import type { Exchange, ResponseHead } from './exchange.ts';
import { pairsOf, recordOf } from './header-pairs.ts';
import { passableTrailers } from './headers.ts';
import { brokenRule } from './http2-watch.ts';

/** undefined: there is none, or they differ, and who goes by another would serve what nobody judged (RFC 9113 8.3.1). */
function oneHost(authority: string | undefined, hosts: readonly string[]): string | undefined {
  const [first, ...others] = authority === undefined ? hosts : [authority, ...hosts];
  return others.every((one) => one.toLowerCase() === first?.toLowerCase()) ? first : undefined;
}

export class Http2Exchange implements Exchange {
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
    const target = this.method === 'CONNECT' ? ':authority' : ':path';
    this.target = pseudo.get(target) ?? '';
    const hosts = rest.flatMap(([name, value]) => (name === 'host' ? value : []));
    this.authority = oneHost(pseudo.get(':authority'), hosts);
    this.headers = rest.filter(([name]) => name !== 'host');
    this.signal = this.#gone.signal;
    stream.once('close', () => {
      const whole = stream.writableFinished && stream.rstCode === constants.NGHTTP2_NO_ERROR;
      if (!whole && !this.#reset) {
        this.abort(goneBy(stream.rstCode));
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

  onClosed(listener: () => void): void {
    this.#stream.once('close', listener);
  }

  reset(): void {
    this.#reset = true;
    if (!this.#stream.destroyed) this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }
}

function goneBy(code: number | undefined): HttpFailure {
  const rule = brokenRule(code);
  return rule === undefined
    ? new HttpFailure('DOWNSTREAM_RESET', 'The client has gone')
    : new HttpFailure('DOWNSTREAM_PROTOCOL', `The stream ended by ${rule}`);
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
