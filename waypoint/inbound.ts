// A connection that came to the waypoint: who opened it, and what it asked for. Made by accept.ts, read by all that
// happens to its requests.

import type { Authority, IpPort } from '../mesh/address.ts';
import type { RequestSource } from '../mesh/http-request.ts';
import type { Service } from '../mesh/service.ts';
import type { PortMapping, Workload } from '../mesh/workload.ts';
import type { ConnectionTrace } from './telemetry/request-spans.ts';

/** What was asked for by address or name. */
export type Asked =
  | {
      readonly kind: 'service';
      readonly service: Service;
      readonly port: PortMapping;
      /** Of a route's backend: these workloads only, by uid. */
      readonly subset?: { readonly name: string; readonly uids: ReadonlySet<string> };
    }
  | { readonly kind: 'workload'; readonly workload: Workload; readonly port: number };

export type Inbound = {
  readonly source: RequestSource;
  /** The workload that the source's address belongs to, when its certificate agrees. */
  readonly sourceWorkload: Workload | undefined;
  readonly remote: IpPort;
  /** Where the client meant to connect to, before anything was decided. */
  readonly authority: Authority;
  readonly asked: Asked;
  /** What the CONNECT says of a trace. */
  readonly trace: ConnectionTrace;
};
