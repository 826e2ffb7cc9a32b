// The fields of a CONNECT and of its 200: who the sender's workload is, for the other side's telemetry and logs. Called by
// app.ts for both journeys. Nothing in them is ever believed for policy.

import { randomFillSync } from 'node:crypto';
import type { IpPort } from '../mesh/address.ts';
import type { Identity } from '../mesh/identity.ts';
import type { GatewayHop, TunnelHop } from '../mesh/next-hop.ts';
import type { DescribedWorkload, Workload } from '../mesh/workload.ts';
import type { ConnectHead, TunnelFields } from '../tunnel/tunnel.ts';
import { formatBaggage, readBaggage } from '../wire/baggage.ts';
import { formatForwarded, readForwardedHost } from '../wire/forwarded.ts';
import { formatTraceparent, newTrace } from '../wire/trace-context.ts';

const TRACE_BYTES = 24;

/** As long as a Kubernetes name can be; what is longer names nothing. */
const MAX_NAME = 253;
/** Says that the asking side is on another network, so that its address means nothing to the answering one. */
const FORWARDED_NETWORK = 'x-forwarded-network';

export function connectHead(
  hop: TunnelHop | GatewayHop,
  source: Workload,
  from: IpPort,
  traceparent = unrecorded(),
): ConnectHead {
  return {
    authority: hop.authority,
    fields: {
      ...baggageFields(source),
      forwarded: formatForwarded(from, hop.service?.hostname),
      traceparent,
    },
  };
}

/** Joins the lines of both ends of a tunnel, and asks nobody for a span. */
function unrecorded(): string {
  return formatTraceparent(newTrace(randomFillSync(Buffer.alloc(TRACE_BYTES)), false));
}

/** For the tunnel inside: whoever answers there is on another network. */
export function headInside(head: ConnectHead, source: Workload): ConnectHead {
  return { ...head, fields: { ...head.fields, [FORWARDED_NETWORK]: source.network } };
}

/** True when the caller says that it is on another network than this. */
export function isFromAbroad(fields: TunnelFields, network: string): boolean {
  const said = fields[FORWARDED_NETWORK];
  return said !== undefined && said.toLowerCase() !== network.toLowerCase();
}

/** What the other side's baggage says of its workload; the namespace is the one its certificate proves. */
export function describedBy(
  fields: TunnelFields,
  identity: Identity,
): DescribedWorkload | undefined {
  const { baggage: text } = fields;
  if (text === undefined) return undefined;
  const baggage = readBaggage(text);
  const name = (value = ''): string => (value.length > MAX_NAME ? '' : value);
  return {
    name: name(baggage.workloadName),
    namespace: identity.namespace,
    cluster: name(baggage.cluster),
    workloadName: name(baggage.workloadName),
    canonicalName: name(baggage.serviceName),
    canonicalRevision: name(baggage.serviceVersion),
    locality: { region: name(baggage.region), zone: name(baggage.zone), subzone: '' },
  };
}

export function baggageFields(workload: Workload): TunnelFields {
  const baggage = formatBaggage({
    cluster: workload.cluster,
    namespace: workload.namespace,
    workloadType: workload.workloadType,
    workloadName: workload.workloadName,
    serviceName: workload.canonicalName,
    serviceVersion: workload.canonicalRevision,
    region: workload.locality.region,
    zone: workload.locality.zone,
  });
  return baggage === '' ? {} : { baggage };
}

/** The service the caller asked for, by its own word. */
export function addressedService(fields: TunnelFields): string | undefined {
  const { forwarded } = fields;
  return forwarded === undefined ? undefined : readForwardedHost(forwarded);
}
