// Whose request is it, by its token? RequestAuthentications enforced: a good token gives claims, a bad one refuses the
// request, and without one the request goes on as nobody's. Called by request-auth.ts. Invariant: the headers that tell
// the application what a token said are ours alone; whatever a client sent in them is gone.

import type { HttpRequest } from '../../mesh/http-request.ts';
import {
  claimTexts,
  type JwtRule,
  type RequestAuthentication,
  type VerifiedToken,
} from '../../mesh/request-authentication.ts';
import { badToken, type Refusal } from './refusal.ts';
import { type TokenPlace, tokensFor, withoutToken } from './token-places.ts';
import type { TokenVerifier } from './verify-token.ts';

export type Authenticated =
  | {
      readonly kind: 'known';
      /** undefined: it came without a token. */
      readonly token: VerifiedToken | undefined;
      /** As it goes on: without tokens that are not to be passed on, with what the policies want said. */
      readonly request: HttpRequest;
    }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

type Found = { readonly rules: JwtRule[]; readonly places: TokenPlace[] };

/** `policies`: those that hold where the request is. */
export async function authenticate(
  policies: readonly RequestAuthentication[],
  request: HttpRequest,
  verifier: TokenVerifier,
): Promise<Authenticated> {
  const broken = policies.find((policy) => policy.broken !== undefined);
  if (broken !== undefined) {
    const which = `RequestAuthentication ${broken.namespace}/${broken.name}`;
    return refused('tokens cannot be checked', `${which}: ${broken.broken}`);
  }
  const rules = policies.flatMap((policy) => policy.rules);
  if (rules.length === 0) return { kind: 'known', token: undefined, request };
  const tokens = new Map<string, Found>();
  for (const rule of rules) {
    for (const { token, place } of tokensFor(rule, request)) {
      const found = tokens.get(token) ?? { rules: [], places: [] };
      found.rules.push(rule);
      found.places.push(place);
      tokens.set(token, found);
    }
  }
  const outputs = new Set(rules.flatMap(outputHeadersOf));
  const headers = request.headers.filter(([name]) => !outputs.has(name));
  const clean = { ...request, headers };
  const [first, second] = tokens;
  if (first === undefined) return { kind: 'known', token: undefined, request: clean };
  // whose request it would then be depends on who is asked
  if (second !== undefined) return refused('there is more than one', 'More than one token');
  const [token, found] = first;
  const verdict = await verifier.verify(found.rules, token);
  if (verdict.kind === 'refused') {
    return refused(verdict.why, `Token of ${describe(found.places)}: ${verdict.why}`);
  }
  return {
    kind: 'known',
    token: verdict.token,
    request: forwarded(clean, { token, found, rule: verdict.rule, verified: verdict.token }),
  };
}

function forwarded(
  request: HttpRequest,
  {
    token,
    found,
    rule,
    verified,
  }: { token: string; found: Found; rule: JwtRule; verified: VerifiedToken },
): HttpRequest {
  let present = request;
  if (!rule.forwardOriginalToken) {
    for (const place of found.places) present = withoutToken(present, place);
  }
  const said: (readonly [string, string])[] = [];
  const { outputPayloadToHeader, outputClaimToHeaders } = rule;
  const payload = token.split('.')[1] ?? '';
  if (outputPayloadToHeader !== undefined) said.push([outputPayloadToHeader, payload]);
  for (const { header, claim } of outputClaimToHeaders) {
    // a name may have dots of its own
    const path = Object.hasOwn(verified.claims, claim) ? [claim] : claim.split('.');
    const value = claimTexts(verified.claims, path).join(',');
    // what no header can carry is not said
    if (value !== '' && /^[\x20-\x7e]*$/.test(value)) said.push([header, value]);
  }
  return said.length === 0 ? present : { ...present, headers: [...present.headers, ...said] };
}

function outputHeadersOf({ outputPayloadToHeader, outputClaimToHeaders }: JwtRule): string[] {
  const claims = outputClaimToHeaders.map(({ header }) => header);
  return outputPayloadToHeader === undefined ? claims : [outputPayloadToHeader, ...claims];
}

function describe(places: readonly TokenPlace[]): string {
  const names = places.map((place) =>
    place.kind === 'header' ? `header ${place.header.name}` : `${place.kind} ${place.name}`,
  );
  return [...new Set(names)].join(', ');
}

function refused(why: string, detail: string): Authenticated {
  return { kind: 'refused', refusal: badToken(why, detail) };
}
