// A connection that came to the waypoint or ingress: who opened it, and what it asked for. Made by accept.ts and by
// ingress/accept-connection.ts, read by all that happens to its requests.

import type { Authority, IpPort } from '../mesh/address.ts';
import type { GatewayListener } from '../mesh/gateway-listeners.ts';
import type { RequestSource } from '../mesh/http-request.ts';
import type { Service } from '../mesh/service.ts';
import type { PortMapping, Workload } from '../mesh/workload.ts';
import type { ConnectionTrace } from './telemetry/request-spans.ts';

/** What requests can be sent on to. */
export type Destination =
  | {
      readonly kind: 'service';
      readonly service: Service;
      readonly port: PortMapping;
      /** Of a route's backend: these workloads only, by uid. */
      readonly subset?: { readonly name: string; readonly uids: ReadonlySet<string> };
    }
  | { readonly kind: 'workload'; readonly workload: Workload; readonly port: number };

/** A port of an ingress gateway: each request finds its listener by its host. */
export type AskedListener = {
  readonly kind: 'listener';
  /** `namespace/name` of the Gateway. */
  readonly gateway: string;
  readonly port: number;
  /** Those of the port as they are now. */
  readonly listeners: () => readonly GatewayListener[];
  readonly scheme: 'http' | 'https';
  /** That the TLS client asked for, empty when it asked for none; undefined: it came without TLS. */
  readonly serverName: string | undefined;
  /** Its TLS ends at the backend. */
  readonly passthrough: boolean;
  /** Proxies of our own before the gateway, whose word on the client counts. */
  readonly trustedHops: number;
};

/** What was asked for by address or name. */
export type Asked = Destination | AskedListener;

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
