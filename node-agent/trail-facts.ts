// What is known of a connection: the journey adds to it as it learns. The seam between trail.ts and the two that tell of
// connections, access-log.ts and traffic-series.ts.

import type { IpPort } from '../mesh/address.ts';
import type { Decision } from '../mesh/authorize.ts';
import type { Identity } from '../mesh/identity.ts';
import type { Service } from '../mesh/service.ts';
import type { DescribedWorkload } from '../mesh/workload.ts';
import type { Direction } from './connections.ts';

export type TrailFacts = {
  readonly direction: Direction;
  readonly source: IpPort;
  readonly destination: IpPort;
  readonly sourceWorkload?: DescribedWorkload | undefined;
  /** Proven by a certificate, never just looked up. */
  readonly sourceIdentity?: Identity | undefined;
  readonly destinationWorkload?: DescribedWorkload | undefined;
  readonly destinationIdentity?: Identity | undefined;
  readonly service?: Service | undefined;
  /** The CONNECT authority, where there was a tunnel. */
  readonly authority?: string | undefined;
  /** What policy said, on the destination's side. */
  readonly decision?: Decision | undefined;
};

export function reporterOf(facts: TrailFacts): 'source' | 'destination' {
  return facts.direction === 'outbound' ? 'source' : 'destination';
}
