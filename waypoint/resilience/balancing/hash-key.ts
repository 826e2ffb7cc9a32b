// What of a request keeps it with one endpoint, as a hash, and the cookie for a client that has none yet. Called by the
// waypoint before it picks. Pure: randomness is passed in.

import { type HttpRequest, headerOf, type RequestSource } from '../../../mesh/http-request.ts';
import type { HashSource } from '../../../mesh/traffic-policy.ts';
import { hash32 } from './hash.ts';

export type HashKey = {
  /** undefined: the request has nothing to go by. */
  readonly hash: number | undefined;
  /** To be added to the response. */
  readonly setCookie: string | undefined;
};

const NOTHING: HashKey = { hash: undefined, setCookie: undefined };

export function hashKeyOf(
  source: HashSource | undefined,
  request: HttpRequest,
  from: RequestSource,
  random: () => number,
): HashKey {
  switch (source?.by) {
    case undefined:
      return NOTHING;
    case 'header':
      return keyOf(headerOf(request, source.name));
    case 'source-ip':
      return keyOf(from.ip);
    case 'query':
      return keyOf(new URLSearchParams(request.query ?? '').get(source.name) ?? undefined);
    case 'cookie': {
      const present = cookieOf(request, source.name);
      if (present !== undefined) return keyOf(present);
      return source.ttlMs === undefined ? NOTHING : newCookie(source, source.ttlMs, random);
    }
  }
}

function keyOf(value: string | undefined): HashKey {
  return value === undefined ? NOTHING : { hash: hash32(value), setCookie: undefined };
}

/** The first of that name (RFC 6265 section 5.4: the most specific path comes first). */
function cookieOf({ headers }: HttpRequest, name: string): string | undefined {
  for (const [key, line] of headers) {
    if (key !== 'cookie') continue;
    for (const pair of line.split(';')) {
      const equals = pair.indexOf('=');
      if (equals > 0 && pair.slice(0, equals).trim() === name) {
        return pair
          .slice(equals + 1)
          .trim()
          .replace(/^"(.*)"$/, '$1');
      }
    }
  }
  return undefined;
}

function newCookie(
  { name, path }: Extract<HashSource, { by: 'cookie' }>,
  ttlMs: number,
  random: () => number,
): HashKey {
  const word = (): string =>
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0');
  const value = word() + word();
  const attributes = [
    `${name}=${value}`,
    ...(ttlMs === 0 ? [] : [`Max-Age=${Math.ceil(ttlMs / 1000)}`]),
    ...(path === undefined ? [] : [`Path=${path}`]),
    'HttpOnly',
  ];
  return { hash: hash32(value), setCookie: attributes.join('; ') };
}
