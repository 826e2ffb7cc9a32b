// Is this token one that the rule accepts? Called by authenticate.ts; the only place that checks a signature. Invariants:
// only public-key algorithms; keys only from the rule's own source, never from the token; a token that was found good is
// not verified again until it ends or its issuer's keys change, and how many of those are remembered is bounded.

import { createHash } from 'node:crypto';
import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import type { JwtRule, VerifiedToken } from '../../mesh/request-authentication.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { IssuerKeys, KeySet } from './issuer-keys.ts';

export type TokenVerdict =
  | { readonly kind: 'verified'; readonly token: VerifiedToken; readonly rule: JwtRule }
  | { readonly kind: 'refused'; readonly why: string };

/** None, and nothing that a shared secret signs: whoever has the public key could make such a token. */
const ALGORITHMS = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519'.split(' ');
/** As the reference has it. */
export const CLOCK_SKEW_S = 60;
/** More than the tokens of any issuer; headers are not much longer at all. */
export const MAX_TOKEN_CHARS = 16 * 1024;
/** Some megabytes of claims. */
const MAX_REMEMBERED = 4096;
/** A token that names no key may be tried with so many: more would be a way to keep us busy. */
const MAX_TRIES = 10;

type Remembered = { readonly token: VerifiedToken; readonly set: KeySet; readonly untilMs: number };

export class TokenVerifier {
  readonly #parts: { readonly clock: Clock; readonly keys: IssuerKeys };
  /** In the order of their last use. */
  readonly #remembered = new Map<string, Remembered>();
  readonly #ruleKeys = new WeakMap<JwtRule, string>();

  constructor(parts: { readonly clock: Clock; readonly keys: IssuerKeys }) {
    this.#parts = parts;
  }

  /** Against those rules that are of the token's issuer; any of them suffices. */
  async verify(rules: readonly JwtRule[], token: string): Promise<TokenVerdict> {
    if (token.length > MAX_TOKEN_CHARS) return refused('it is too long');
    const issuer = issuerOf(token);
    if (issuer === undefined) return refused('it is malformed');
    let last: TokenVerdict = refused('its issuer is not known here');
    for (const rule of rules) {
      if (rule.issuer !== issuer) continue;
      const verdict = await this.#check(rule, token);
      if (verdict.kind === 'verified') return verdict;
      last = verdict;
    }
    return last;
  }

  async #check(rule: JwtRule, token: string): Promise<TokenVerdict> {
    const { clock, keys } = this.#parts;
    let set: KeySet;
    try {
      set = await keys.current(rule.keys);
    } catch {
      // why is the operator's to know, and in the log
      return refused("its issuer's keys are not to be had");
    }
    const name = this.#nameOf(rule, token);
    const known = this.#remembered.get(name);
    if (known !== undefined) {
      this.#remembered.delete(name);
      if (known.set === set && clock.now() < known.untilMs) {
        this.#remembered.set(name, known);
        return { kind: 'verified', token: known.token, rule };
      }
    }
    let result = await tryKeys(rule, token, set, clock.now());
    if (result.kind === 'no-key') {
      const newer = await keys.newer(rule.keys, set);
      if (newer !== undefined) {
        set = newer;
        result = await tryKeys(rule, token, set, clock.now());
      }
    }
    if (result.kind === 'no-key') return refused('no key of its issuer fits it');
    if (result.kind === 'refused') return result;
    const verified: VerifiedToken = { issuer: rule.issuer, claims: result.payload };
    const untilMs = ((result.payload.exp ?? 0) + CLOCK_SKEW_S) * 1000;
    this.#remember(name, { token: verified, set, untilMs });
    return { kind: 'verified', token: verified, rule };
  }

  #remember(name: string, entry: Remembered): void {
    this.#remembered.set(name, entry);
    if (this.#remembered.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#remembered.keys();
    if (oldest !== undefined) this.#remembered.delete(oldest);
  }

  #nameOf(rule: JwtRule, token: string): string {
    let key = this.#ruleKeys.get(rule);
    if (key === undefined) {
      key = hash(JSON.stringify([rule.issuer, rule.audiences, rule.keys]));
      this.#ruleKeys.set(rule, key);
    }
    return `${key} ${hash(token)}`;
  }
}

type Tried =
  | { readonly kind: 'verified'; readonly payload: JWTPayload }
  | { readonly kind: 'refused'; readonly why: string }
  | { readonly kind: 'no-key' };

async function tryKeys(rule: JwtRule, token: string, set: KeySet, nowMs: number): Promise<Tried> {
  const options = {
    issuer: rule.issuer,
    ...(rule.audiences.length === 0 ? {} : { audience: [...rule.audiences] }),
    algorithms: ALGORITHMS,
    clockTolerance: CLOCK_SKEW_S,
    currentDate: new Date(nowMs),
    // one that never ends could never be taken back
    requiredClaims: ['exp'],
  };
  const verified = ({ payload }: { payload: JWTPayload }): Tried => ({ kind: 'verified', payload });
  try {
    return verified(await jwtVerify(token, set.find, options));
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) return { kind: 'no-key' };
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) return refused(whyOf(error));
    let tries = 0;
    for await (const key of error) {
      if (++tries > MAX_TRIES) break;
      try {
        return verified(await jwtVerify(token, key, options));
      } catch (other) {
        // another key may have signed it; whatever else is wrong with it no key makes good
        if (!(other instanceof errors.JWSSignatureVerificationFailed)) return refused(whyOf(other));
      }
    }
    return refused('its signature is wrong');
  }
}

/** In words for the client; nothing of what was compared. */
function whyOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'it has expired';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'its signature is wrong';
  if (error instanceof errors.JOSEAlgNotAllowed) return 'its algorithm is not allowed';
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'nbf') return 'it is not valid yet';
    if (error.claim === 'aud') return 'it is not for this audience';
    return `its ${error.claim} is ${error.reason === 'missing' ? 'missing' : 'wrong'}`;
  }
  return 'it is malformed';
}

function issuerOf(token: string): string | undefined {
  try {
    const { iss } = decodeJwt(token);
    return typeof iss === 'string' ? iss : undefined;
  } catch {
    return undefined;
  }
}

function refused(why: string): { readonly kind: 'refused'; readonly why: string } {
  return { kind: 'refused', why };
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
