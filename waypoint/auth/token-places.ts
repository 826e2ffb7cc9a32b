// Where tokens are in a request: found for each rule, and taken out again. Pure. Called by authenticate.ts.

import type { HeaderList, HttpRequest } from '../../mesh/http-request.ts';
import {
  DEFAULT_TOKEN_HEADER,
  DEFAULT_TOKEN_PARAM,
  type JwtRule,
  type TokenHeader,
} from '../../mesh/request-authentication.ts';

export type TokenPlace =
  | { readonly kind: 'header'; readonly header: TokenHeader }
  | { readonly kind: 'param'; readonly name: string }
  | { readonly kind: 'cookie'; readonly name: string };

export type FoundToken = { readonly token: string; readonly place: TokenPlace };

/** Every token in the places that the rule looks at, as it was sent; an empty one counts: it is a bad token. */
export function tokensFor(rule: JwtRule, request: HttpRequest): FoundToken[] {
  return placesOf(rule).flatMap((place) =>
    valuesAt(place, request).map((token) => ({ token, place })),
  );
}

export function placesOf({ fromHeaders, fromParams, fromCookies }: JwtRule): TokenPlace[] {
  if (fromHeaders.length + fromParams.length + fromCookies.length === 0) {
    return [
      { kind: 'header', header: DEFAULT_TOKEN_HEADER },
      { kind: 'param', name: DEFAULT_TOKEN_PARAM },
    ];
  }
  return [
    ...fromHeaders.map((header) => ({ kind: 'header' as const, header })),
    ...fromParams.map((name) => ({ kind: 'param' as const, name })),
    ...fromCookies.map((name) => ({ kind: 'cookie' as const, name })),
  ];
}

function valuesAt(place: TokenPlace, { headers, query }: HttpRequest): string[] {
  switch (place.kind) {
    case 'header':
      return headers.flatMap(([name, value]) => {
        const isHere = name === place.header.name && beginsWith(value, place.header.prefix);
        return isHere ? [value.slice(place.header.prefix.length).trim()] : [];
      });
    case 'param':
      return pairsOf(query).flatMap(([name, value]) => (name === place.name ? [value] : []));
    case 'cookie':
      return headers.flatMap(([name, value]) =>
        name === 'cookie'
          ? cookiesOf(value).flatMap((one) => (nameOf(one) === place.name ? [valueOf(one)] : []))
          : [],
      );
  }
}

/** The request without what is in that place. Of a header only the lines with the prefix go. */
export function withoutToken(request: HttpRequest, place: TokenPlace): HttpRequest {
  const { headers, query } = request;
  switch (place.kind) {
    case 'header': {
      const { name, prefix } = place.header;
      const stays = ([key, value]: HeaderList[number]): boolean =>
        key !== name || !beginsWith(value, prefix);
      return { ...request, headers: headers.filter(stays) };
    }
    case 'param': {
      const kept = (query ?? '').split('&').filter((pair) => pairsOf(pair)[0]?.[0] !== place.name);
      return { ...request, query: kept.length === 0 ? undefined : kept.join('&') };
    }
    case 'cookie':
      return {
        ...request,
        headers: headers.flatMap(([key, value]) => {
          if (key !== 'cookie') return [[key, value] as const];
          const kept = cookiesOf(value).filter((one) => nameOf(one) !== place.name);
          return kept.length === 0 ? [] : [[key, kept.join('; ')] as const];
        }),
      };
  }
}

/** The names of authentication schemes go without case (RFC 9110 section 11.1). */
function beginsWith(value: string, prefix: string): boolean {
  return value.slice(0, prefix.length).toLowerCase() === prefix.toLowerCase();
}

function pairsOf(query: string | undefined): [string, string][] {
  return query === undefined ? [] : [...new URLSearchParams(query)];
}

function cookiesOf(header: string): string[] {
  return header.split(';').map((one) => one.trim());
}

function nameOf(cookie: string): string {
  return cookie.slice(0, Math.max(cookie.indexOf('='), 0)).trim();
}

function valueOf(cookie: string): string {
  return cookie
    .slice(cookie.indexOf('=') + 1)
    .trim()
    .replace(/^"(.*)"$/, '$1');
}
