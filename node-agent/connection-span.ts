// The span of one connection at this end of its tunnel: what a trace shows of the node's hop. Begun and ended by trail.ts,
// only where traces are collected. The asking end's place in the trace travels as `traceparent` of the CONNECT.

import { formatIpPort } from '../mesh/address.ts';
import { FAILURES, type MeshError } from '../mesh/failures.ts';
import { formatIdentity } from '../mesh/identity.ts';
import type { Span, SpanEnd, Tracer } from '../runtime/tracing/tracer.ts';
import type { SpliceCounts } from '../tunnel/splice.ts';
import { readTraceparent } from '../wire/trace-context.ts';
import type { TrailFacts } from './trail-facts.ts';

/** `traceparent`: of the CONNECT it came by; undefined where it did not come by any. */
export function beginSpan(
  tracer: Tracer,
  direction: TrailFacts['direction'],
  traceparent: string | undefined,
): Span {
  const kind = direction === 'outbound' ? 'client' : 'server';
  return tracer.begin({ kind, incoming: readTraceparent(traceparent) });
}

/** Names as the waypoint's spans have them; what is not known is left out. */
export function describeConnection(
  facts: TrailFacts,
  counts: SpliceCounts,
  failure: MeshError | undefined,
): SpanEnd {
  const { service, sourceWorkload: from, destinationWorkload: to } = facts;
  const attributes = {
    'network.transport': 'tcp',
    'client.address': formatIpPort(facts.source),
    'network.peer.address': formatIpPort(facts.destination),
    'ambit.hbone_authority': facts.authority,
    'istio.source_workload': from?.workloadName,
    'istio.source_namespace': from?.namespace,
    'istio.source_principal': facts.sourceIdentity && formatIdentity(facts.sourceIdentity),
    'istio.destination_service': service?.hostname,
    'istio.destination_workload': to?.workloadName,
    'istio.destination_namespace': to?.namespace,
    'istio.destination_principal':
      facts.destinationIdentity && formatIdentity(facts.destinationIdentity),
    response_flags: failure === undefined ? '-' : FAILURES[failure.code].flag,
    'ambit.bytes_sent': counts.sent,
    'ambit.bytes_received': counts.received,
  };
  const known: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== '') known[name] = value;
  }
  return {
    name: `${facts.direction} ${service?.hostname ?? to?.workloadName ?? 'connection'}`,
    attributes: known,
    failure: failure && `${failure.code}: ${failure.message}`,
  };
}
