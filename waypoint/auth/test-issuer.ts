// An issuer of tokens for tests: real keys, made by jose, and rules that accept what it signs.

import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import type { JwtRule, KeySource } from '../../mesh/request-authentication.ts';

export const ISSUER = 'https://id.test';

export type TestKey = {
  readonly kid: string | undefined;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
};

export async function makeKey(kid: string | undefined, alg = 'ES256'): Promise<TestKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = await exportJWK(publicKey);
  return { kid, privateKey, jwk: { ...jwk, alg, ...(kid === undefined ? {} : { kid }) } };
}

export function jwksOf(...keys: readonly TestKey[]): string {
  return JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });
}

export type TokenParts = {
  readonly key: TestKey;
  readonly nowMs: number;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
};

/** Of ann, for an hour. */
export function signToken({ key, nowMs, claims, header }: TokenParts): Promise<string> {
  const now = Math.floor(nowMs / 1000);
  const all = { iss: ISSUER, sub: 'ann', aud: 'shop', iat: now, exp: now + 3600, ...claims };
  const kid = key.kid === undefined ? {} : { kid: key.kid };
  return new SignJWT(all)
    .setProtectedHeader({ alg: key.jwk.alg ?? 'ES256', ...kid, ...header })
    .sign(key.privateKey);
}

export function jwtRuleOf(keys: KeySource, parts: Partial<JwtRule> = {}): JwtRule {
  return {
    issuer: ISSUER,
    audiences: [],
    keys,
    fromHeaders: [],
    fromParams: [],
    fromCookies: [],
    forwardOriginalToken: false,
    outputPayloadToHeader: undefined,
    outputClaimToHeaders: [],
    ...parts,
  };
}
