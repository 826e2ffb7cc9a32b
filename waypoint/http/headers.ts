// Which headers go from one hop to the next, as pure functions on a HeaderList. Called by serve.ts and forward.ts, and by
// gateways for what comes from outside. Invariants: nothing that belongs to one connection reaches the next one, no client
// can make a header of ours go away by naming it in Connection, and none of them is ever a Via.

import type { IpAddress } from '../../mesh/address.ts';
import { type HeaderList, headerOf } from '../../mesh/http-request.ts';
import { formatIdentity, type Identity } from '../../mesh/identity.ts';

/** What a client may send as its request's name: more than a uuid, no more than a log line bears. */
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

/** RFC 9110 section 7.6.1, and what older HTTP/1.1 knew. `te` has a rule of its own. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'transfer-encoding',
  'upgrade',
]);
/** A Connection header that names one of these would have us drop what the next hop decides by. */
const NEVER_BY_NAME =
  /^(?:host|content-.*|authorization|cookie|set-cookie|x-forwarded-.*|x-request-id|x-envoy-.*|traceparent|tracestate|b3|x-b3-.*)$/;
/** More names than any honest client has; the rest of them stays. */
const MAX_NAMED = 32;

/** The request's own id, or a new one put in its place. */
export function withRequestId(
  headers: HeaderList,
  uuid: () => string,
): { readonly id: string; readonly headers: HeaderList } {
  const known = headerOf({ headers }, 'x-request-id');
  if (known !== undefined && REQUEST_ID.test(known)) return { id: known, headers };
  const id = uuid();
  return { id, headers: setHeader(headers, 'x-request-id', id) };
}

/**
 * What may go to the next hop. `upgrade`: the protocol that both hops shall change to, whose two headers are then ours.
 * `TE: trailers` is kept, for gRPC demands it; other encodings of it are between two hops.
 */
export function withoutHopByHop(headers: HeaderList, upgrade?: string): HeaderList {
  const named = namedByConnection(headers);
  const kept: (readonly [string, string])[] = [];
  for (const header of headers) {
    const [name, value] = header;
    if (name === 'te') {
      if (/(?:^|,)\s*trailers\s*(?:,|;|$)/i.test(value)) kept.push(['te', 'trailers']);
    } else if (!HOP_BY_HOP.has(name) && !named.has(name)) kept.push(header);
  }
  if (upgrade !== undefined) kept.push(['connection', 'upgrade'], ['upgrade', upgrade]);
  return kept;
}

function namedByConnection(headers: HeaderList): ReadonlySet<string> {
  const named = new Set<string>();
  for (const [name, value] of headers) {
    if (name !== 'connection') continue;
    for (const part of value.split(',', MAX_NAMED)) {
      const one = part.trim().toLowerCase();
      if (one !== 'te' && !NEVER_BY_NAME.test(one)) named.add(one);
    }
  }
  return named;
}

/** Who the client is, for applications that ask to be told by `x-forwarded-client-cert`. */
export type ClientCertificate = { readonly by: Identity; readonly client: Identity };

/**
 * Inside the mesh: who forwarded is already said, by the gateway or the client itself; only what is missing is added. A
 * client's own x-forwarded-client-cert could name anybody, so it goes; `certificate` is what the tunnel proved.
 */
export function forwardedInside(
  headers: HeaderList,
  scheme: 'http' | 'https',
  certificate?: ClientCertificate,
): HeaderList {
  const kept = headers.filter(([name]) => name !== 'x-forwarded-client-cert');
  if (headerOf({ headers }, 'x-forwarded-proto') === undefined) {
    kept.push(['x-forwarded-proto', scheme]);
  }
  if (certificate !== undefined) {
    const { by, client } = certificate;
    const said = `By=${formatIdentity(by)};URI=${formatIdentity(client)}`;
    kept.push(['x-forwarded-client-cert', said]);
  }
  return kept;
}

export type Edge = {
  /** Whoever is at the other end of the socket. */
  readonly remote: IpAddress;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  /** Proxies of our own before this gateway, whose word on the client counts. */
  readonly trustedHops: number;
};

/** What a client from outside says of itself in the mesh's own words; a trusted proxy may have said it. */
const EDGE_WORDS = /^(?:x-forwarded-(?:proto|host|port)|forwarded|x-envoy-.*)$/;

/** At the mesh's edge: who connected is added to x-forwarded-for; without trusted proxies nothing else is believed. */
export function forwardedAtEdge(headers: HeaderList, edge: Edge): HeaderList {
  const { remote, scheme, authority, trustedHops } = edge;
  const kept: (readonly [string, string])[] = [];
  const hops: string[] = [];
  for (const header of headers) {
    const [name, value] = header;
    if (name === 'x-forwarded-for') hops.push(value);
    else if (name === 'x-forwarded-client-cert') continue;
    else if (trustedHops > 0 || !EDGE_WORDS.test(name)) kept.push(header);
  }
  kept.push(['x-forwarded-for', [...hops, remote].join(',')]);
  const said = (name: string): boolean => headerOf({ headers: kept }, name) !== undefined;
  if (!said('x-forwarded-proto')) kept.push(['x-forwarded-proto', scheme]);
  if (!said('x-forwarded-host')) kept.push(['x-forwarded-host', authority]);
  return kept;
}

// RFC 9110 section 6.5.1: whoever reads trailers as headers would frame, route or trust by what came too late to be judged
const NEVER_A_TRAILER =
  /^(?:content-.*|transfer-encoding|te|trailer|host|connection|keep-alive|proxy-.*|upgrade|expect|range|if-.*|max-forwards|authorization|cookie|set-cookie|forwarded|x-forwarded-.*|x-request-id|x-envoy-.*|x-ambit-.*)$/;

/** Of trailers that came, those that go on. */
export function passableTrailers(trailers: HeaderList): HeaderList {
  return trailers.some(([name]) => NEVER_A_TRAILER.test(name))
    ? trailers.filter(([name]) => !NEVER_A_TRAILER.test(name))
    : trailers;
}

/** The number of this try, from 1: for routes that ask for it. */
export function withAttemptCount(headers: HeaderList, attempt: number): HeaderList {
  return setHeader(headers, 'x-envoy-attempt-count', String(attempt));
}

/** How long the upstream has, so that it need not work on what nobody waits for. */
export function withExpectedTimeout(headers: HeaderList, timeoutMs: number): HeaderList {
  const whole = String(Math.max(1, Math.round(timeoutMs)));
  return setHeader(headers, 'x-envoy-expected-rq-timeout-ms', whole);
}

/** How long the upstream took, on the answer. */
export function withUpstreamTime(headers: HeaderList, upstreamMs: number): HeaderList {
  return setHeader(headers, 'x-envoy-upstream-service-time', String(Math.round(upstreamMs)));
}

function setHeader(headers: HeaderList, name: string, value: string): HeaderList {
  return [...headers.filter(([key]) => key !== name), [name, value]];
}
