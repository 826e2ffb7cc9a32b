// What is known of a request when policy is asked about it, as tests compare it. Made once a request, for all policies,
// by authorize-request.ts and explain-request.ts. Pure.

import { type IpAddress, type IpPort, parseIp } from './address.ts';
import type { TextAttribute } from './http-policy.ts';
import { type HttpRequest, joinedHeaderOf, type RequestSource } from './http-request.ts';
import { formatIdentity, type Identity } from './identity.ts';
import { claimTexts, tokenPrincipalOf, type VerifiedToken } from './request-authentication.ts';

export type RequestFacts = {
  readonly request: HttpRequest;
  readonly source: RequestSource;
  /** What the client asked for: a service's address and port, or a pod's. */
  readonly destination: IpPort;
  /** The name in the TLS handshake, where there was one. */
  readonly sni: string | undefined;
  /** undefined: there was none, or it has not been looked at yet. */
  readonly token: VerifiedToken | undefined;
  /** How many proxies before this one are believed in what they add to X-Forwarded-For; 0: nobody is. */
  readonly trustedHops: number;
};

export type RequestSubject = {
  readonly facts: RequestFacts;
  readonly peer: Identity | undefined;
  /** undefined: a trusted proxy wrote something that is no address. */
  readonly remoteIp: IpAddress | undefined;
  /** What each attribute is; several for a list, none for what is not there. */
  readonly texts: Readonly<Record<TextAttribute, readonly string[]>>;
};

export function requestSubjectOf(facts: RequestFacts): RequestSubject {
  const { request, source, sni, token } = facts;
  const { identity } = source;
  const claims = token?.claims ?? {};
  const principal = token === undefined ? undefined : tokenPrincipalOf(token);
  return {
    facts,
    peer: identity,
    remoteIp: remoteIpOf(facts),
    texts: {
      'source.principal': present(identity && formatIdentity(identity).slice('spiffe://'.length)),
      'source.namespace': present(identity?.namespace),
      'request.auth.principal': present(principal),
      'request.auth.audiences': claimTexts(claims, ['aud']),
      'request.auth.presenter': claimTexts(claims, ['azp']),
      'request.host': hostForms(request.authority),
      'request.method': present(request.method),
      'connection.sni': present(sni?.toLowerCase()),
    },
  };
}

function present(text: string | undefined): readonly string[] {
  return text === undefined || text === '' ? [] : [text];
}

/** Without a port and with it, both without the dot that may end a name: a policy may have been written either way. */
export function hostForms(authority: string): readonly string[] {
  const [, name = '', port = ''] = /^(.*?)(:\d*)?$/s.exec(authority.trim().toLowerCase()) ?? [];
  const host = name.endsWith('.') ? name.slice(0, -1) : name;
  if (host === '') return [];
  return port.length > 1 ? [host, host + port] : [host];
}

/**
 * The client's address: each trusted proxy added, at the end, the address it was asked from. When fewer addresses are
 * there than proxies are trusted, the request did not come through them, and it is the caller itself.
 */
export function remoteIpOf({
  request,
  source,
  trustedHops,
}: Pick<RequestFacts, 'request' | 'source' | 'trustedHops'>): IpAddress | undefined {
  if (trustedHops === 0) return source.ip;
  const addresses = joinedHeaderOf(request, 'x-forwarded-for')?.split(',') ?? [];
  const text = addresses.at(-trustedHops)?.trim();
  if (addresses.length < trustedHops || text === undefined) return source.ip;
  // some proxies add the port, and brackets
  const bare = /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? /^([^:]+):\d+$/.exec(text)?.[1] ?? text;
  try {
    return parseIp(bare);
  } catch {
    return undefined;
  }
}
