// Which end-user tokens (JWT) count: RequestAuthentications that waypoints enforce, and what a verified token says. Made by
// the control plane, carried by discovery, enforced by waypoint/auth/jwt.ts.

import type { PolicyTarget } from './policy-target.ts';

export type RequestAuthentication = {
  readonly namespace: string;
  readonly name: string;
  readonly targets: readonly PolicyTarget[];
  readonly rules: readonly JwtRule[];
  /** It could not be read: what it was there to verify nobody can tell, so no request gets through where it holds. */
  readonly broken: string | undefined;
};

export type JwtRule = {
  readonly issuer: string;
  /** The token must be for one of these; empty: for anybody. */
  readonly audiences: readonly string[];
  readonly keys: KeySource;
  readonly fromHeaders: readonly TokenHeader[];
  /** Query parameters. */
  readonly fromParams: readonly string[];
  readonly fromCookies: readonly string[];
  /** The token stays in the request; taken out of it without. */
  readonly forwardOriginalToken: boolean;
  /** Lower case; undefined: the payload is not passed on. */
  readonly outputPayloadToHeader: string | undefined;
  readonly outputClaimToHeaders: readonly { readonly header: string; readonly claim: string }[];
};

/** `name` in lower case; `prefix` is what stands before the token. */
export type TokenHeader = { readonly name: string; readonly prefix: string };

export type KeySource =
  | { readonly kind: 'inline'; readonly jwks: string }
  | { readonly kind: 'fetched'; readonly uri: string; readonly timeoutMs: number }
  /** At the `jwks_uri` that the issuer's OpenID configuration names. */
  | { readonly kind: 'discovered'; readonly issuer: string; readonly timeoutMs: number };

/** Where a token is looked for when a rule does not say: as OAuth 2 has it (RFC 6750 sections 2.1 and 2.3). */
export const DEFAULT_TOKEN_HEADER: TokenHeader = { name: 'authorization', prefix: 'Bearer ' };
export const DEFAULT_TOKEN_PARAM = 'access_token';

export type Claims = Readonly<Record<string, unknown>>;

/** What a token said that a rule accepted. */
export type VerifiedToken = { readonly issuer: string; readonly claims: Claims };

/** `iss/sub`; undefined: the token names no subject. */
export function tokenPrincipalOf({ issuer, claims }: VerifiedToken): string | undefined {
  const subject = claimAt(claims, ['sub']);
  return typeof subject === 'string' && subject !== '' ? `${issuer}/${subject}` : undefined;
}

/** Claims that are lists written as one text (RFC 8693 section 4.2). */
const SPACED: ReadonlySet<string> = new Set(['scope', 'permission']);

/** A claim as texts to compare: of a list each member, of a number or boolean its JSON. Objects have none. */
export function claimTexts(claims: Claims, path: readonly string[]): readonly string[] {
  const value = claimAt(claims, path);
  const [name = ''] = path;
  if (typeof value === 'string' && path.length === 1 && SPACED.has(name)) {
    return value.split(' ').filter((word) => word !== '');
  }
  return (Array.isArray(value) ? value : [value]).flatMap((one: unknown) => {
    if (typeof one === 'string') return [one];
    return typeof one === 'number' || typeof one === 'boolean' ? [JSON.stringify(one)] : [];
  });
}

function claimAt(claims: Claims, path: readonly string[]): unknown {
  let value: unknown = claims;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Claims)[name];
  }
  return value;
}
