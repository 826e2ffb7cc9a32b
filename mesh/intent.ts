// What the client addressed, as far as the mesh knows: the outcome of classify(), and what admit() turns into a Permit.

import type { IpPort } from './address.ts';
import type { Service } from './service.ts';
import type { PortMapping, Workload } from './workload.ts';

export type Intent =
  /** A service address: one of its endpoints is to be picked. */
  | {
      readonly kind: 'service';
      readonly destination: IpPort;
      readonly service: Service;
      readonly port: PortMapping;
    }
  /** A workload's own address. */
  | { readonly kind: 'workload'; readonly destination: IpPort; readonly workload: Workload }
  /** Something that must be reached through a waypoint, never around it. */
  | {
      readonly kind: 'waypoint';
      readonly destination: IpPort;
      /** Candidates behind the waypoint's address, and the port they take tunnels on. */
      readonly waypoints: readonly Workload[];
      readonly port: number;
      /** Identities the waypoint's service may also show. */
      readonly subjectAltNames: readonly string[];
      readonly of: { readonly service: Service } | { readonly workload: Workload };
    }
  /** Not ours: plain TCP to where it was going. */
  | {
      readonly kind: 'passthrough';
      readonly destination: IpPort;
      readonly reason: 'unknown-destination' | 'passthrough-service';
    };
