// What the gate is asked about a request, made of its exchange. Called by guard.ts and open-streams.ts. A decision without
// I/O. Invariant: where a request's destination cannot be told nothing is asked, and it is denied.

import type { IpPort } from '../../mesh/address.ts';
import { HttpFailure } from '../../mesh/http-failures.ts';
import { type HttpRequest, headerOf } from '../../mesh/http-request.ts';
import type { VerifiedToken } from '../../mesh/request-authentication.ts';
import { nameOf } from '../asked.ts';
import type { Exchange } from '../http/exchange.ts';
import type { Asked, Inbound } from '../inbound.ts';
import type { BodyPeek } from './body-peek.ts';
import type { Question } from './external-authorization.ts';

/** Of the exchange only what the gate needs. */
export type Guarded = Pick<
  Exchange,
  'inbound' | 'version' | 'hasBody' | 'body' | 'expectsContinue' | 'signal' | 'continue' | 'reset'
>;

/** A range of addresses in a policy could be meant either way, so nothing goes on. */
export const NO_ADDRESS = 'it has no address to judge policy by';

/** @throws HttpFailure POLICY_DENIED */
export function questionOf(
  { request, token }: { readonly request: HttpRequest; readonly token: VerifiedToken | undefined },
  { inbound, version, hasBody }: Guarded,
  body: BodyPeek,
): Question {
  const { asked } = inbound;
  const destination = destinationOf(inbound);
  if (destination === undefined) {
    throw new HttpFailure('POLICY_DENIED', `${nameOf(asked)}: ${NO_ADDRESS}`);
  }
  return {
    facts: {
      request,
      source: inbound.source,
      destination,
      sni: serverNameOf(asked),
      token,
      // before a waypoint nobody is believed in what it says of others: the tunnel's peer is the client. At the edge our
      // own word stands there too, behind that of the proxies (read-request.ts)
      trustedHops: asked.kind === 'listener' ? asked.trustedHops + 1 : 0,
    },
    id: headerOf(request, 'x-request-id') ?? '',
    protocol: version === '2' ? 'HTTP/2' : `HTTP/${version}`,
    body: hasBody ? body.peek : undefined,
  };
}

/** What the client connected to; by name: the address that stands for it. */
export function destinationOf({
  asked,
  authority,
}: Pick<Inbound, 'asked' | 'authority'>): IpPort | undefined {
  if (authority.kind === 'address') return { ip: authority.ip, port: authority.port };
  if (asked.kind === 'listener') return undefined;
  const ip = asked.kind === 'service' ? asked.service.vips[0]?.ip : asked.workload.addresses[0];
  return ip && { ip, port: authority.port };
}

/** Of a TLS client's own handshake with us; inside of tunnels nobody looks for one. */
export function serverNameOf(asked: Asked): string | undefined {
  const name = asked.kind === 'listener' ? (asked.serverName ?? '') : '';
  return name === '' ? undefined : name;
}
