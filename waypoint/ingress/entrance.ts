// A Service that wants requests from outside to come through its waypoint (label ambit-mesh.io/ingress-use-waypoint): which
// waypoint that is, and how it is asked for the Service. Asked by pick.ts. Decisions without I/O. Invariant: a waypoint that
// is wanted and not there is an error, never a reason to go around it.

import { MeshError } from '../../mesh/failures.ts';
import { gatewayName, resolveGateway, waypointsOf } from '../../mesh/gateway.ts';
import type { TunnelHop } from '../../mesh/next-hop.ts';
import { serviceKey } from '../../mesh/service.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import { type Workload, workloadIdentity } from '../../mesh/workload.ts';
import type { Asked, Destination } from '../inbound.ts';
import type { Target } from '../upstream/endpoints.ts';

export type Entrance = {
  /** The waypoint itself. */
  readonly waypoint: Extract<Destination, { kind: 'service' }>;
  readonly tunnelPort: number;
};

/** undefined: requests go straight to the endpoints. @throws MeshError WAYPOINT_UNAVAILABLE */
export function entranceOf(
  backend: Extract<Destination, { kind: 'service' }>,
  asked: Asked | undefined,
  self: Workload,
  snapshot: Snapshot,
): Entrance | undefined {
  const { service } = backend;
  if (asked?.kind !== 'listener' || !service.ingressUseWaypoint) return undefined;
  const wanted = waypointsOf(service).toSorted((a, b) => b.weight - a.weight);
  // several are somebody's experiment: the one that most of it goes to is as good as any
  const gateway = wanted[0]?.destination;
  if (gateway === undefined) return undefined;
  const found = resolveGateway(gateway, self.namespace, snapshot).service;
  const port = found?.ports.find(({ servicePort }) => servicePort === gateway.port);
  if (found !== undefined && port !== undefined) {
    return { waypoint: { kind: 'service', service: found, port }, tunnelPort: gateway.port };
  }
  throw new MeshError(
    'WAYPOINT_UNAVAILABLE',
    `Cannot reach ${serviceKey(service)}: it must be reached through waypoint ${gatewayName(gateway)}, and no such waypoint is known`,
  );
}

/** A replica of the waypoint, asked for the Service by name: which of its endpoints it is, is the waypoint's to say. */
export function throughEntrance(
  replica: Target,
  { tunnelPort }: Entrance,
  { service, port }: Extract<Destination, { kind: 'service' }>,
): Target {
  const { workload } = replica;
  const to = { ip: replica.to.ip, port: tunnelPort };
  const through: TunnelHop = {
    via: 'tunnel',
    to,
    expected: [workloadIdentity(workload)],
    authority: `${service.hostname}:${port.servicePort}`,
    workload,
    service,
  };
  return { workload, to, service, servicePort: port.servicePort, through };
}
