// What a CONNECT that arrived for a workload asks for, once it is sure that it asks for this one: where its application is
// dialled. Made without I/O, by node-agent/inbound.ts for real and by whoever explains a connection.
// Invariant: it is always the workload's own address (or loopback, for a tunnel to its application), never another's.

import {
  type Authority,
  formatIpPort,
  type IpAddress,
  type IpPort,
  isIpv6,
  isLoopback,
  parseIp,
} from './address.ts';
import { MeshError } from './failures.ts';
import { isReplica, resolveGateway, waypointsOf } from './gateway.ts';
import { OWN_PORTS } from './own-ports.ts';
import { type Service, serviceKey } from './service.ts';
import type { Snapshot } from './snapshot.ts';
import type { PortMapping, Workload } from './workload.ts';

export type Target = {
  readonly workload: Workload;
  /** What policy decides about: the workload's own address, and the port of its application. */
  readonly to: IpPort;
  /** The service that was asked for by name. */
  readonly service: Service | undefined;
  /** Set when the application wants a PROXY header, over loopback: the destination to name in it. */
  readonly announced: IpPort | undefined;
};

/** Where the application is dialled: its own address, or loopback when it takes a PROXY header there. */
export function dialledAt({ to, announced }: Target): IpPort {
  // where pods are addresses of loopback themselves, each is its own
  if (announced === undefined || isLoopback(to.ip)) return to;
  return { ip: isIpv6(to.ip) ? LOOPBACK_V6 : LOOPBACK_V4, port: to.port };
}

const LOOPBACK_V4 = parseIp('127.0.0.1');
const LOOPBACK_V6 = parseIp('::1');

export type Arrival = {
  readonly authority: Authority;
  /** Where the connection came to: the workload's address and the port of its door. */
  readonly local: IpPort;
};

/** @throws MeshError DESTINATION_UNKNOWN, DESTINATION_MISMATCH, RECURSION */
export function targetOf(arrival: Arrival, workload: Workload, snapshot: Snapshot): Target {
  const { authority, local } = arrival;
  const { applicationTunnel } = workload;
  if (authority.kind === 'address' && !isFor(authority.ip, local, workload, snapshot)) {
    throw new MeshError(
      'DESTINATION_MISMATCH',
      `Cannot serve ${formatIpPort(authority)}: this is ${local.ip}, and no waypoint of it`,
    );
  }
  const target =
    applicationTunnel === undefined
      ? ordinary(authority, workload, snapshot)
      : tunnelled(authority, workload, snapshot, applicationTunnel);
  if (OWN_PORTS.has(target.port)) {
    throw new MeshError(
      'RECURSION',
      `Cannot serve ${nameOf(authority)}: port ${target.port} is the node agent's own`,
    );
  }
  const { port, service, announced } = target;
  return { workload, to: { ip: local.ip, port }, service, announced };
}

type Found = {
  readonly port: number;
  readonly service?: Service | undefined;
  readonly announced?: IpPort | undefined;
};

function ordinary(authority: Authority, workload: Workload, snapshot: Snapshot): Found {
  if (authority.kind === 'address') return { port: authority.port, announced: undefined };
  return { ...servedHere(authority, workload, snapshot), announced: undefined };
}

/** All its connections come to one port; what they were for is told in the header, or not at all. */
function tunnelled(
  authority: Authority,
  workload: Workload,
  snapshot: Snapshot,
  { protocol, port }: NonNullable<Workload['applicationTunnel']>,
): Found {
  const service =
    authority.kind === 'hostname'
      ? snapshot.serviceByHostname(authority.hostname, workload.namespace)
      : undefined;
  const found = { port: port || authority.port, service };
  if (protocol === 'none') return found;
  const ip = authority.kind === 'address' ? authority.ip : vipOf(service, workload);
  if (ip !== undefined) return { ...found, announced: { ip, port: authority.port } };
  throw new MeshError(
    'DESTINATION_UNKNOWN',
    `Cannot serve ${nameOf(authority)}: no address is known for that name, and ${workload.uid} must be told one`,
  );
}

function vipOf(service: Service | undefined, workload: Workload): IpAddress | undefined {
  const exact = service?.vips.filter(
    (vip) => vip.network === workload.network && vip.prefixLength === undefined,
  );
  const ipv6 = workload.addresses[0] !== undefined && isIpv6(workload.addresses[0]);
  return (exact?.find(({ ip }) => isIpv6(ip) === ipv6) ?? exact?.[0])?.ip;
}

/**
 * Connections are for the address they came to: another one's would borrow this workload's policy. Only who tunnels to
 * its application, or is the waypoint in front of what was asked for, takes others'.
 */
function isFor(asked: IpAddress, local: IpPort, workload: Workload, snapshot: Snapshot): boolean {
  if (asked === local.ip || workload.applicationTunnel !== undefined) return true;
  const { network, namespace } = workload;
  const addressed =
    snapshot.serviceByVip(network, asked, namespace) ?? snapshot.workloadByIp(network, asked);
  if (addressed === undefined) return false;
  return waypointsOf(addressed).some(({ destination }) =>
    isReplica(resolveGateway(destination, namespace, snapshot), workload),
  );
}

/** A service's name: this workload must be behind it and serve that port. */
function servedHere(
  asked: Authority & { readonly kind: 'hostname' },
  workload: Workload,
  snapshot: Snapshot,
): Found {
  const serves = (mapping: PortMapping): boolean => mapping.servicePort === asked.port;
  for (const service of snapshot.servicesByHostname(asked.hostname)) {
    const here = workload.services.get(serviceKey(service))?.find(serves);
    const port = here && (here.targetPort || service.ports.find(serves)?.targetPort);
    if (port !== undefined && port !== 0) return { service, port };
  }
  throw new MeshError(
    'DESTINATION_UNKNOWN',
    `Cannot serve ${nameOf(asked)}: ${workload.uid} is no endpoint of it`,
  );
}

function nameOf(authority: Authority): string {
  return authority.kind === 'address'
    ? formatIpPort(authority)
    : `${authority.hostname}:${authority.port}`;
}
