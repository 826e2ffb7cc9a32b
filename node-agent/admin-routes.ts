// What the admin door shows of this agent: /config_dump in the reference's JSON shape, /connections. Called by app.ts.
// Keys are never shown; certificates are.

import { X509Certificate } from 'node:crypto';
import { formatIdentity } from '../mesh/identity.ts';
import type { Service } from '../mesh/service.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import type { GatewayAddress, Workload } from '../mesh/workload.ts';
import type { Answer, Route } from '../runtime/admin.ts';
import { VERSION } from '../runtime/version.ts';
import type { TunnelPool } from '../tunnel/pool.ts';
import type { Certificates } from './certificates.ts';
import type { Connections, OpenConnection } from './connections.ts';
import type { Enrolments } from './enrolment.ts';
import type { SnapshotSource } from './known-source.ts';

export type AdminView = {
  readonly discovery: Pick<SnapshotSource, 'snapshot'>;
  readonly certificates: Certificates;
  readonly connections: Connections;
  readonly enrolments: Enrolments;
  readonly pool: TunnelPool;
  readonly settings: object;
};

export function adminRoutes(view: AdminView): Record<string, Route> {
  return {
    '/config_dump': () => json(configDump(view)),
    '/connections': () =>
      json(
        [...view.connections.open()].map((connection) => ({
          pod: connection.podUid,
          direction: connection.direction,
          ...connection.description,
        })),
      ),
  };
}

function json(value: unknown): Answer {
  return { contentType: 'application/json', body: `${JSON.stringify(value, undefined, 2)}\n` };
}

function configDump(view: AdminView): object {
  const snapshot = view.discovery.snapshot();
  return {
    workloads: [...snapshot.workloads()].map(describeWorkload),
    services: [...snapshot.services()].map((service) => describeService(service, snapshot)),
    policies: [...snapshot.policies()],
    stagedServices: {},
    staticConfig: {},
    version: { version: VERSION, snapshot: snapshot.version },
    config: view.settings,
    certificates: [...describeCertificates(view.certificates)],
    workloadState: workloadState(view),
  };
}

function describeWorkload(workload: Workload): object {
  return {
    uid: workload.uid,
    workloadIps: workload.addresses,
    waypoint: gateway(workload.waypoint),
    networkGateway: gateway(workload.networkGateway),
    protocol: workload.protocol === 'hbone' ? 'HBONE' : 'TCP',
    name: workload.name,
    namespace: workload.namespace,
    trustDomain: workload.trustDomain,
    serviceAccount: workload.serviceAccount,
    network: workload.network,
    workloadName: workload.workloadName,
    workloadType: workload.workloadType,
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    hostname: workload.hostname,
    node: workload.node,
    authorizationPolicies: workload.authorizationPolicies,
    status: workload.health === 'healthy' ? 'Healthy' : 'Unhealthy',
    clusterId: workload.cluster,
    locality: workload.locality,
    services: [...workload.services.keys()],
    capacity: workload.capacity,
  };
}

function describeService(service: Service, snapshot: Snapshot): object {
  const key = `${service.namespace}/${service.hostname}`;
  const members = snapshot.membersOf(key);
  return {
    name: service.name,
    namespace: service.namespace,
    hostname: service.hostname,
    vips: service.vips.map(({ network, ip, prefixLength }) =>
      prefixLength === undefined ? `${network}/${ip}` : `${network}/${ip}/${prefixLength}`,
    ),
    ports: portTable(service.ports),
    endpoints: Object.fromEntries(
      members.map((workload) => [
        workload.uid,
        {
          workloadUid: workload.uid,
          port: portTable(workload.services.get(key) ?? []),
          status: workload.health === 'healthy' ? 'Healthy' : 'Unhealthy',
        },
      ]),
    ),
    subjectAltNames: service.subjectAltNames,
    waypoint: gateway(service.waypoint),
    loadBalancer: service.loadBalancing ?? null,
    ipFamilies: service.ipFamilies,
  };
}

function portTable(ports: Service['ports']): Record<string, number> {
  return Object.fromEntries(ports.map(({ servicePort, targetPort }) => [servicePort, targetPort]));
}

function gateway(address: GatewayAddress | undefined): object | null {
  if (address === undefined) return null;
  const destination =
    address.by === 'address'
      ? `${address.network}/${address.ip}`
      : `${address.namespace}/${address.hostname}`;
  return { destination, hboneMtlsPort: address.port };
}

function* describeCertificates(certificates: Certificates): Iterable<object> {
  for (const { identity, svid, error } of certificates.held()) {
    const waiting = error === undefined ? 'Initializing' : 'Unavailable';
    yield {
      identity: formatIdentity(identity),
      state: svid === undefined ? waiting : 'Available',
      ...(error instanceof Error ? { error: error.message } : {}),
      certChain: svid === undefined ? [] : split(svid.chainPem).map(describeCertificate),
      rootCerts: svid === undefined ? [] : svid.roots.flatMap(split).map(describeCertificate),
    };
  }
}

function split(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

function describeCertificate(pem: string): object {
  const certificate = new X509Certificate(pem);
  return {
    pem,
    serialNumber: certificate.serialNumber,
    validFrom: certificate.validFromDate.toISOString(),
    expirationTime: certificate.validToDate.toISOString(),
  };
}

function workloadState({ enrolments, connections }: AdminView): object {
  const byPod = Map.groupBy(connections.open(), ({ podUid }) => podUid);
  const describe = (open: readonly OpenConnection[], direction: string): object[] =>
    open.filter((one) => one.direction === direction).map(({ description }) => description);
  return Object.fromEntries(
    [...enrolments.pods()].map(({ enrolment, state }) => {
      const open = byPod.get(enrolment.podUid) ?? [];
      return [
        enrolment.podUid,
        {
          state: STATES[state],
          connections: { inbound: describe(open, 'inbound'), outbound: describe(open, 'outbound') },
          info: {
            name: enrolment.name,
            namespace: enrolment.namespace,
            serviceAccount: enrolment.identity.serviceAccount,
          },
        },
      ];
    }),
  );
}

const STATES = {
  waiting: 'Pending',
  starting: 'Pending',
  enabled: 'Up',
  failed: 'Pending',
  leaving: 'Draining',
} as const;
