// The record of a request as it comes in: what is known from its head alone. Called by serve.ts first of all.

import { type HeaderList, headerOf } from '../../mesh/http-request.ts';
import { serviceKey } from '../../mesh/service.ts';
import type { Exchange } from '../http/exchange.ts';
import type { PickParts } from '../pick.ts';
import type { RequestProtocol } from './request-facts.ts';
import type { RequestTrail, RequestTrails } from './request-trail.ts';

export function beginTrail(
  exchange: Exchange,
  head: { readonly id: string; readonly headers: HeaderList },
  { trails, pick }: { readonly trails: RequestTrails; readonly pick: Pick<PickParts, 'settings'> },
): RequestTrail {
  const { inbound, method, target, authority = '' } = exchange;
  const { asked } = inbound;
  return trails.begin(
    {
      method,
      authority,
      path: target,
      protocol: protocolOf(exchange),
      requestId: head.id,
      userAgent: headerOf(head, 'user-agent'),
      forwardedFor: headerOf(head, 'x-forwarded-for'),
      source: inbound.remote,
      sourceIdentity: inbound.source.identity,
      sourceWorkload: inbound.sourceWorkload,
      local:
        inbound.authority.kind === 'address'
          ? { ip: inbound.authority.ip, port: inbound.authority.port }
          : undefined,
      service: asked.kind === 'service' ? asked.service : undefined,
    },
    { headers: head.headers, connection: inbound.trace, sampling: samplingFor(asked, pick) },
  );
}

function samplingFor(
  asked: Exchange['inbound']['asked'],
  { settings }: Pick<PickParts, 'settings'>,
): number | undefined {
  if (asked.kind !== 'service') return undefined;
  const { service, port } = asked;
  const place = { service: serviceKey(service), port: port.servicePort, route: undefined };
  return settings.of(place).tracing?.sampling;
}

export function protocolOf({ version, headers }: Exchange): RequestProtocol {
  if (version !== '2') return 'http/1.1';
  return headerOf({ headers }, 'content-type')?.startsWith('application/grpc') === true
    ? 'grpc'
    : 'h2';
}
