// The fields of a CONNECT and of its 200: who the sender's workload is, for the other side's telemetry and logs. Called by
// app.ts for both journeys. Nothing in them is ever believed for policy.

import { randomFillSync } from 'node:crypto';
import type { IpPort } from '../mesh/address.ts';
import type { TunnelHop } from '../mesh/next-hop.ts';
import type { Workload } from '../mesh/workload.ts';
import type { ConnectHead, TunnelFields } from '../tunnel/tunnel.ts';
import { formatBaggage } from '../wire/baggage.ts';
import { formatForwarded, readForwardedHost } from '../wire/forwarded.ts';
import { newTraceparent } from '../wire/traceparent.ts';

const TRACE_BYTES = 24;

export function connectHead(hop: TunnelHop, source: Workload, from: IpPort): ConnectHead {
  return {
    authority: hop.authority,
    fields: {
      ...baggageFields(source),
      forwarded: formatForwarded(from, hop.service?.hostname),
      traceparent: newTraceparent(randomFillSync(Buffer.alloc(TRACE_BYTES))),
    },
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
