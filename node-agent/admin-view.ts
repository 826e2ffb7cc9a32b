// What of an agent its admin door may look at. Put together by app.ts for admin-routes.ts, config-dump.ts and gauges.ts.

import type { Clock } from '../runtime/clock.ts';
import type { Certificates } from '../tunnel/certificates/certificates.ts';
import type { TunnelPool } from '../tunnel/pool.ts';
import type { Connections } from './connections.ts';
import type { Enrolments } from './enrolment.ts';
import type { SnapshotSource } from './known-source.ts';

export type AdminView = {
  readonly clock: Clock;
  readonly discovery: Pick<SnapshotSource, 'snapshot'>;
  readonly certificates: Certificates;
  readonly connections: Connections;
  readonly enrolments: Enrolments;
  readonly pool: TunnelPool;
  readonly settings: object;
};
