// An Exchange's head as decisions see it: framed and normalised, or refused. Called by serve.ts first of all. Invariant:
// what is judged is what is forwarded; a target that two parsers could read differently is refused.

import { HttpFailure } from '../../mesh/http-failures.ts';
import type { HeaderList, HttpRequest } from '../../mesh/http-request.ts';
import { readHost, readRequestTarget } from '../../wire/request-target.ts';
import type { Inbound } from '../inbound.ts';
import type { Exchange } from './exchange.ts';
import { forwardedAtEdge } from './headers.ts';

export type ReadRequest = {
  readonly request: HttpRequest;
  /** The path as it is sent on unless a filter changes it. */
  readonly forwardedPath: string;
};

/** Headers that only the mesh may write: what a client sends under these names counts for nothing. */
const OURS = /^x-ambit-source-/;

/** `headers`: the exchange's own, with what we add of ourselves. @throws HttpFailure DOWNSTREAM_PROTOCOL, URI_TOO_LONG */
export function readRequest(exchange: Exchange, headers: HeaderList): ReadRequest {
  const { method, target } = exchange;
  if (method === 'PRI') {
    // RFC 9113 section 11.6: of HTTP/2's own preface, and of nothing else
    throw new HttpFailure('DOWNSTREAM_PROTOCOL', 'Cannot take PRI as a method');
  }
  const read = readRequestTarget(method, target);
  if (read.form === 'refused') {
    const code = read.status === 414 ? 'URI_TOO_LONG' : 'DOWNSTREAM_PROTOCOL';
    throw new HttpFailure(
      code,
      `Cannot take the request target ${target.slice(0, 200)}: ${read.reason}`,
    );
  }
  if (read.form === 'authority') {
    throw new HttpFailure('DOWNSTREAM_PROTOCOL', 'Cannot take CONNECT: this is no forward proxy', {
      status: 405,
    });
  }
  const authority = read.form === 'absolute' ? read.authority : readHost(exchange.authority ?? '');
  if (authority === undefined) {
    const said = String(exchange.authority).slice(0, 200);
    throw new HttpFailure('DOWNSTREAM_PROTOCOL', `Cannot take a request for the host "${said}"`);
  }
  const { asked } = exchange.inbound;
  return {
    request: {
      method,
      scheme: asked.kind === 'listener' ? asked.scheme : 'http',
      authority,
      path: read.path,
      query: read.query,
      headers: headersOf(headers, exchange.inbound, authority),
    },
    forwardedPath: read.forwarded,
  };
}

function headersOf(headers: HeaderList, inbound: Inbound, authority: string): HeaderList {
  const kept = headers.some(([name]) => OURS.test(name))
    ? headers.filter(([name]) => !OURS.test(name))
    : headers;
  return atEdge(kept, authority, inbound);
}

/** What came in from outside says by whom, before anything is decided by it. */
function atEdge(headers: HeaderList, authority: string, { asked, remote }: Inbound): HeaderList {
  if (asked.kind !== 'listener') return headers;
  const { scheme, trustedHops } = asked;
  return forwardedAtEdge(headers, { remote: remote.ip, scheme, authority, trustedHops });
}
