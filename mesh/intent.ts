// What the client addressed, as far as the mesh knows: the outcome of classify(), and what admit() turns into a Permit.

import type { IpPort } from './address.ts';
import type { ResolvedGateway } from './gateway.ts';
import type { Service } from './service.ts';
import type { PortMapping, Workload } from './workload.ts';

/** One of the waypoints that share a destination's connections by weight. */
export type WaypointChoice = ResolvedGateway & { readonly weight: number };

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
      /** At least one. */
      readonly choices: readonly WaypointChoice[];
      readonly of: { readonly service: Service } | { readonly workload: Workload };
    }
  /** Not ours: plain TCP to where it was going. */
  | {
      readonly kind: 'passthrough';
      readonly destination: IpPort;
      readonly reason: 'unknown-destination' | 'passthrough-service';
    };
